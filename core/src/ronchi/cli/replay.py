"""Run a provenance file again, or simulate a store again, and compare the results with it, array by array."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("provenance", type=Path, help="provenance.json of a run, or a store (.zarr) of a simulator")
    parser.add_argument("-o", "--out", type=Path, metavar="DIR", help="keep the new outputs here")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="STEP.params.X=VALUE",
        dest="overrides",
        help="e.g. load.params.path=FILE if the data have moved",
    )


def execute(args: argparse.Namespace) -> int:
    """Print what differs; exit 1 if anything does."""
    from ronchi.pipeline.replay import replay

    outcome = replay(args.provenance, out=args.out, overrides=tuple(args.overrides))
    for note in outcome.notes:
        print(f"note: {note}")
    for difference in outcome.differences:
        print(f"differs: {difference}")
    print(f"{outcome.compared} arrays compared: {'all equal' if outcome.equal else 'NOT equal'}")
    return int(not outcome.equal)

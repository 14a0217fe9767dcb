"""Draw what a detector accepts and rejects on a few patterns, and count the reasons.

The overlays go to one PNG, so that parameters can be tuned before a long run: try --set.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ronchi.cli.run import add_pipeline_arguments
from ronchi.errors import ConfigError, OutputError

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_pipeline_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    parser.add_argument("--step", help="detector step; needed only if there are several")
    parser.add_argument("--frames", type=int, default=9, metavar="N", help="patterns, evenly spread over the scan")
    parser.add_argument("--all", action="store_true", help="draw weak candidates too; they are always counted")
    parser.add_argument("-o", "--out", type=Path, default=Path("preview.png"), metavar="PNG")


def execute(args: argparse.Namespace) -> int:
    """Draw, and print a line a reason; the lines add up to all candidates."""
    from ronchi.pipeline.preview import preview_detection

    if args.frames < 1:
        raise ConfigError(f"--frames {args.frames}: must be at least 1")
    outcome = preview_detection(
        args.pipeline,
        step=args.step,
        frames=args.frames,
        overrides=args.overrides,
        hide=() if args.all else ("weak",),
    )
    try:
        outcome.figure.savefig(args.out, dpi=150)
    except OSError as error:
        raise OutputError(
            f"cannot be written: {error.strerror}", where=str(args.out), fix="choose another -o"
        ) from error
    except ValueError as error:
        raise ConfigError(str(error), where=f"-o {args.out}", fix="-o preview.png") from error
    total = sum(outcome.reasons.values())
    if args.json:
        counts = {"patterns": outcome.n_frames, "candidates": total, "reasons": dict(outcome.reasons)}
        print(json.dumps({**counts, "figure": str(args.out)}, indent=2))
        return 0
    print(f"{total} candidates in {outcome.n_frames} patterns")
    for reason, count in outcome.reasons.items():
        print(f"  {reason:<24} {count}")
    print(args.out)
    return 0

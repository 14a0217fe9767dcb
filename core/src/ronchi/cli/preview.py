"""Draw what a detector accepts and rejects on a few patterns, and count the reasons.

The overlays go to one PNG, so that parameters can be tuned before a long run: try --set.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ronchi.cli.run import add_pipeline_arguments
from ronchi.errors import ConfigError

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_pipeline_arguments(parser)
    parser.add_argument("--step", help="detector step; needed only if there are several")
    parser.add_argument("--frames", type=int, default=9, metavar="N", help="patterns, evenly spread over the scan")
    parser.add_argument("-o", "--out", type=Path, default=Path("preview.png"), metavar="PNG")


def execute(args: argparse.Namespace) -> int:
    """Draw, and print a line a reason."""
    from ronchi.pipeline.preview import preview_detection

    if args.frames < 1:
        raise ConfigError(f"--frames {args.frames}: must be at least 1")
    outcome = preview_detection(args.pipeline, step=args.step, frames=args.frames, overrides=args.overrides)
    outcome.figure.savefig(args.out, dpi=150)
    total = sum(outcome.reasons.values())
    print(f"{total} candidates in {outcome.n_frames} patterns")
    for reason, count in outcome.reasons.items():
        print(f"  {reason:<24} {count}")
    print(args.out)
    return 0

"""Make the report of a finished run again. Give the options of the run: all steps then come from the cache."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("pipeline", type=Path, help="the pipeline's YAML file")
    add("-o", "--out", type=Path, metavar="DIR", help="folder of the outputs (default ./NAME-out)")
    add("--set", action="append", default=[], metavar="STEP.params.X=VALUE", dest="overrides", help="as in the run")
    add("--path", type=Path, help="file to write (default DIR/report.html)")
    add("--figures", action="store_true", help="write the figures too, into figures/ beside it at 300 dpi")


def execute(args: argparse.Namespace) -> int:
    """Reuse what is cached, compute what is not, and write the report."""
    from ronchi.pipeline.run import run_pipeline
    from ronchi.report.html import write_report

    result = run_pipeline(args.pipeline, out=args.out, overrides=args.overrides, progress=False)
    path = args.path or result.out_dir / "report.html"
    # The run has drawn it already if it is among the outputs.
    if args.figures or path.absolute() not in result.outputs.values():
        write_report(result, path, figures=args.figures)
    print(path)
    return int(not result.ok)

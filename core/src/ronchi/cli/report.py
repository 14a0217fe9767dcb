"""Make the report of a finished run again, or that of a diffraction library.

Give the options of the run: all steps then come from the cache. Of a library only the patterns that are shown are read.
"""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["configure", "execute"]

_DATA = (".zarr", ".nc")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("pipeline", type=Path, metavar="FILE", help="the pipeline's YAML file, or a library (.zarr, .nc)")
    add("-o", "--out", type=Path, metavar="DIR", help="folder of the outputs (default ./NAME-out; beside a library)")
    add("--set", action="append", default=[], metavar="STEP.params.X=VALUE", dest="overrides", help="as in the run")
    add("--path", type=Path, help="file to write (default DIR/report.html; NAME-report.html of a library)")
    add("--figures", action="store_true", help="write the figures too, into figures/ beside it at 300 dpi")


def execute(args: argparse.Namespace) -> int:
    """Reuse what is cached, compute what is not, and write the report."""
    if args.pipeline.is_dir() or args.pipeline.suffix.lower() in _DATA:
        return _of_library(args)
    from ronchi.pipeline.run import run_pipeline
    from ronchi.report.html import write_report

    result = run_pipeline(args.pipeline, out=args.out, overrides=args.overrides, progress=False)
    path = args.path or result.out_dir / "report.html"
    # The run has drawn it already if it is among the outputs.
    if args.figures or path.absolute() not in result.outputs.values():
        write_report(result, path, figures=args.figures)
    print(path)
    return int(not result.ok)


def _of_library(args: argparse.Namespace) -> int:
    from ronchi.errors import ConfigError
    from ronchi.report.library import write_library_report
    from ronchi.schema import library, schema_of
    from ronchi.verbs import read

    data = read(args.pipeline)
    if schema_of(data) != library.NAME:
        found = schema_of(data) or "of no known schema"
        what = f"this is {found}, and of data alone there is a report of {library.NAME} only"
        raise ConfigError(
            what, where=str(args.pipeline), fix="give the pipeline that made it, or `ronchi preview FILE`"
        )
    if args.overrides:
        raise ConfigError("a library has no steps", where="--set", fix="leave it out")
    folder = args.out or args.pipeline.absolute().parent
    path = args.path or folder / f"{args.pipeline.stem}-report.html"
    print(write_library_report(data, args.pipeline.name, path, figures=args.figures))
    return 0

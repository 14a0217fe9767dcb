"""Make the report of a finished run again, or one of a data file: what is in it, drawn.

For a run, give its options: all steps then come from the cache, and what is not there is made again. Of a scan all
patterns are read once, of a diffraction library those that are shown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["configure", "execute"]

_PIPELINE = (".yaml", ".yml")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("pipeline", type=Path, metavar="FILE", help="the pipeline's YAML file, or data of any format that is read")
    add("-o", "--out", type=Path, metavar="DIR", help="folder of the outputs (default ./NAME-out; beside the data)")
    add("--set", action="append", default=[], metavar="STEP.params.X=VALUE", dest="overrides", help="as in the run")
    add("--path", type=Path, help="file to write (default DIR/report.html; NAME-report.html of data)")
    add("--figures", action="store_true", help="write the figures too, into figures/ beside it at 300 dpi")
    add("--reader", default="auto", help="reader of the data, by name; by default the most confident one")
    add("--param", action="append", default=[], metavar="NAME=VALUE", help="parameter of that reader")


def execute(args: argparse.Namespace) -> int:
    """Reuse what is cached, compute what is not, and write the report."""
    if args.pipeline.exists() and args.pipeline.suffix.lower() not in _PIPELINE:
        return _of_data(args)
    from ronchi.errors import ConfigError
    from ronchi.pipeline.config import load_config
    from ronchi.pipeline.provenance import FILE_NAME
    from ronchi.pipeline.run import run_pipeline
    from ronchi.report.html import write_report

    if args.param or args.reader != "auto":
        raise ConfigError("these are for data", where="--reader, --param", fix="a pipeline says it itself; try --set")
    folder: Path = args.out or Path(f"{load_config(args.pipeline, overrides=args.overrides).name}-out")
    if not (folder / FILE_NAME).exists():
        there = "" if args.out is None else f" -o {args.out}"
        fix = f"`ronchi run {args.pipeline}{there}` first, or give the folder of its outputs with -o"
        raise ConfigError("no run of the pipeline has ended here", where=str(folder), fix=fix)
    result = run_pipeline(args.pipeline, out=folder, overrides=args.overrides)
    path = args.path or result.out_dir / "report.html"
    # The run has drawn it already if it is among the outputs.
    if args.figures or path.absolute() not in result.outputs.values():
        write_report(result, path, figures=args.figures)
    print(path)
    return int(not result.ok)


def _of_data(args: argparse.Namespace) -> int:
    from ronchi.cli.named_values import parse_named
    from ronchi.errors import ConfigError
    from ronchi.manager import get_manager
    from ronchi.pipeline.provenance import FILE_NAME
    from ronchi.pipeline.reader_choice import choose_reader
    from ronchi.report.file import write_file_report
    from ronchi.result import StepResult
    from ronchi.verbs import read_result

    file: Path = args.pipeline
    outputs = file.parent if file.name == FILE_NAME else file
    if (outputs / FILE_NAME).is_file():
        what, fix = "a run has made this: give its pipeline", f"`ronchi report PIPELINE.yaml -o {outputs}`"
        raise ConfigError(what, where=str(file), fix=fix)
    if args.overrides:
        raise ConfigError("data have no steps", where="--set", fix="--param NAME=VALUE is for the reader")
    reader = choose_reader(file, get_manager(), []) if args.reader == "auto" else args.reader
    made = read_result(file, reader, **parse_named(args.param, "--param"))
    step = StepResult(step="file", kind="reader", name=reader, data=made.data, sides=made.sides, status="done")
    folder = args.out or file.absolute().parent
    path = args.path or folder / f"{file.stem}-report.html"
    print(write_file_report(step, file.name, path, figures=args.figures))
    return 0

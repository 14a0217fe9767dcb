"""Run the main job, from a file to a strain map, on a small data set with known truth.

The data are a multislice simulation of a strained multilayer that comes with ronchi; nothing is fetched.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
from importlib.resources import as_file, files
from pathlib import Path

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("-o", "--out", type=Path, default=Path("demo-out"), metavar="DIR", help="folder of the outputs")
    parser.add_argument("--save-data", type=Path, metavar="FILE.nc", help="only copy the data set, to play with")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")


def execute(args: argparse.Namespace) -> int:
    """Run the demo pipeline and print its scores and the path of the report."""
    with as_file(files("ronchi") / "demo_data") as folder:
        if args.save_data:
            _copy(folder / "sige_onzone.nc", args.save_data)
            print(args.save_data)
            return 0
        from ronchi.cli.run import summarise
        from ronchi.pipeline.run import run_pipeline

        result = run_pipeline(folder / "sige.yaml", out=args.out, progress=not args.quiet)
        code = summarise(result)
        if code == 0:
            print(f"\nopen {result.outputs['report']} to look at it")
        return code


def _copy(source: Path, target: Path) -> None:
    """Copy the data set, unless another file has its place."""
    from ronchi.errors import OutputError

    try:
        if not target.exists():
            shutil.copyfile(source, target)
        elif not filecmp.cmp(source, target, shallow=False):
            raise OutputError("another file is there", where=str(target), fix="choose another name, or remove it")
    except OSError as error:
        fix = "choose another"
        raise OutputError(f"cannot be written: {error.strerror}", where=str(target), fix=fix) from error

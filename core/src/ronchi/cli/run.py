"""Run a pipeline. What an earlier run has finished is not done again, inside a step too."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ronchi.pipeline.result import RunResult

__all__ = ["add_pipeline_arguments", "configure", "execute", "summarise"]


def add_pipeline_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what all commands on a pipeline share."""
    parser.add_argument("pipeline", type=Path, help="YAML file")
    parser.add_argument(
        "--set", action="append", default=[], metavar="STEP.params.X=VALUE", dest="overrides", help="override a value"
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_pipeline_arguments(parser)
    parser.add_argument("-o", "--out", type=Path, metavar="DIR", help="folder of the outputs (default ./NAME-out)")
    parser.add_argument("--executor", choices=["serial", "process", "dask"], help="instead of the pipeline's")
    parser.add_argument("--force", action="append", default=[], metavar="STEP", help="do this step again")
    parser.add_argument("--explain", action="store_true", help="say which steps would run, and why; run nothing")
    parser.add_argument("--dry-run", action="store_true", help="the same as --explain")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument("--inputs", metavar="GLOB", help="run once for every file, in place of the reader's path")
    parser.add_argument("--jobs", type=int, default=1, help="files at a time, with --inputs")


def execute(args: argparse.Namespace) -> int:
    """Run, and print where the outputs are."""
    dry = args.explain or args.dry_run
    if args.inputs:
        if dry or args.force:
            from ronchi.errors import ConfigError

            what = "a run over many files takes neither --explain nor --dry-run nor --force"
            fix = f"try it on one of the files: --set STEP.params.path=FILE, without --inputs {args.inputs}"
            raise ConfigError(what, where="--inputs", fix=fix)
        from ronchi.pipeline.batch import run_batch

        return run_batch(
            args.pipeline, args.inputs, out=args.out, jobs=args.jobs, overrides=args.overrides, executor=args.executor
        )
    from ronchi.pipeline.run import run_pipeline

    result = run_pipeline(
        args.pipeline,
        out=args.out,
        overrides=args.overrides,
        executor=args.executor,
        force=args.force,
        dry_run=dry,
        progress=not args.quiet,
    )
    if dry:
        for step in result.steps.values():
            print(f"{step.step}: {'reuse' if step.cached else 'run'}: {step.reason}")
        return 0
    return summarise(result)


def summarise(result: RunResult) -> int:
    """Print scores, warnings and outputs; 0 if all steps are done."""
    for warning in result.warnings:
        print(f"warning: {warning}")
    for step, figures in result.scores().items():
        for name, value in figures.items():
            print(f"{step}: {name} = {value:.6g}")
    for name, path in result.outputs.items():
        print(f"{name}: {path}")
    for broken in result.steps.values():
        if broken.status == "failed":
            print(f"failed: {broken.step}: {broken.error}")
    return int(not result.ok)

"""Run a pipeline. What an earlier run has finished is not done again, inside a step too."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ronchi.result import RunResult

__all__ = ["add_pipeline_arguments", "configure", "execute", "summarise", "unkept"]


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
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
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


def unkept(kinds: Mapping[str, str], outputs: Mapping[str, object]) -> str:
    """What to say of a pipeline that keeps nothing; empty if it has outputs, or metrics, whose scores are kept.

    Parameters
    ----------
    kinds : mapping of str to str
        Step to kind, in order.
    outputs : mapping
        By name.
    """
    if outputs or "metric" in kinds.values():
        return ""
    last = list(kinds)[-1]
    return f"the pipeline writes no results: it needs e.g. `outputs: {{{last}: {{from: {last}, path: {last}.nc}}}}`"


def summarise(result: RunResult) -> int:
    """Print scores, outputs, failures and warnings; 0 if all steps are done."""
    from ronchi.pipeline.config import REPORTS
    from ronchi.pipeline.remarks import warnings_of

    for step, figures in result.scores().items():
        for name, value in figures.items():
            print(f"{step}: {name} = {_short(value)}")
    for step, rotation in _rotations(result):
        print(f"{step}: {rotation}")
    for name, path in result.outputs.items():
        print(f"{name}: {path}")
    for broken in result.steps.values():
        if broken.status == "failed":
            print(f"failed: {broken.step}: {broken.error}")
    log = result.out_dir / "log.txt"
    if not result.ok and log.exists():
        print(f"log: {log}")
    warnings = warnings_of(result)
    if told := unkept({name: step.kind for name, step in result.steps.items()}, result.config["outputs"]):
        warnings.insert(0, told)
    if warnings:
        reports = [path.name for path in result.outputs.values() if path.name.lower().endswith(REPORTS)]
        also = f", see {reports[0]}" if reports else ""
        print(f"{len(warnings)} warning{'s' * (len(warnings) > 1)}{also}")
        for warning in warnings:
            print(f"  {warning}")
    return int(not result.ok)


def _short(value: float) -> str:
    """Three digits, and all of a whole number."""
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e9 else f"{value:.3g}"


def _rotations(result: RunResult) -> list[tuple[str, str]]:
    """Angles between scan and detector that steps have fitted, with their standard deviations."""
    found = []
    for name, step in result.steps.items():
        attrs = {} if step.data is None else step.data.attrs
        if "rotation_deg" in attrs and "rotation_sd_deg" in attrs:
            fitted = str(attrs.get("rotation_source")) == "fit"
            spread = f" +- {float(attrs['rotation_sd_deg']):.2g}" if fitted else ""
            doubt = "" if int(attrs.get("sign_resolved", 1)) else ", sign not resolved"
            told = (
                f"rotation {float(attrs['rotation_deg']):.2f}{spread} degrees ({attrs.get('rotation_source')}){doubt}"
            )
            found.append((name, told))
    return found

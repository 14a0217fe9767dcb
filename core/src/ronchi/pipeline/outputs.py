"""Where results go: folders are tried before the work, files are written all or nothing."""

from __future__ import annotations

import contextlib
import itertools
import logging
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ronchi.config.source import did_you_mean
from ronchi.errors import ConfigError, OutputError, RonchiError, RunError
from ronchi.pipeline.logs import LOG_NAME
from ronchi.pipeline.resources import locked
from ronchi.pipeline.steps import is_stored
from ronchi.processes import remove
from ronchi.result import RunResult, StepResult
from ronchi.writing import write_with

if TYPE_CHECKING:
    from ronchi.pipeline.planned import Plan
    from ronchi.pipeline.progress import Progress

__all__ = ["check_inputs_are_kept", "check_steps", "check_writable", "sole_writer", "write_outputs"]

_log = logging.getLogger("ronchi.run")

_LEAST_FREE_MB = 32


def check_inputs_are_kept(plan: Plan, out_dir: Path) -> None:
    """Refuse outputs that would replace, or be written into, an input; raises `ConfigError`."""
    source = plan.config.source
    for name, output in plan.config.outputs.items():
        target = (out_dir / output.path).resolve()
        for step, planned in plan.steps.items():
            for field, path in planned.files.items():
                held = path.resolve()
                if target == held or target in held.parents or held in target.parents:
                    what = f"the output would overwrite {str(path)!r}, which is {step}.params.{field}"
                    fix = "choose another name, or another folder with -o"
                    source.fault(("outputs", name, "path"), what, fix)
    source.check()


def check_writable(folder: Path, option: str) -> None:
    """Make a folder and write to it, so that hours of work do not end in an error.

    Parameters
    ----------
    folder : pathlib.Path
    option : str
        What chooses another folder, for the message.

    Raises
    ------
    OutputError
        It cannot be made or written to, or the disk is (nearly) full.
    """
    fix = f"choose another folder with {option}, and see its rights and quota"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".try-") as file:
            file.write(bytes(65536))
            file.flush()
        free = shutil.disk_usage(folder).free / 1e6
    except OSError as error:
        what = f"the folder cannot be written to: {error.strerror or error}"
        raise OutputError(what, where=str(folder), fix=fix) from error
    if free < _LEAST_FREE_MB:
        what = f"the disk is full: {free:.0f} MB are free, at least {_LEAST_FREE_MB} are needed"
        raise OutputError(what, where=str(folder), fix=fix)


def sole_writer(out_dir: Path, tell: Callable[[str], object]) -> contextlib.AbstractContextManager[None]:
    """Hold a folder, so that outputs of two runs are not mixed in it; ``tell`` says that another run holds it.

    Raises
    ------
    OutputError
        On entering: the lock is another user's.
    """

    def waiting() -> None:
        tell(f"waiting for another run, which writes to {out_dir.name}")

    return _entered(locked(out_dir / ".lock", waiting), out_dir)


@contextlib.contextmanager
def _entered(lock: contextlib.AbstractContextManager[None], out_dir: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock)
        except PermissionError as error:
            what = "another user has locked the folder, or left the lock of a run that was killed"
            fix = "choose another folder with -o, or remove .lock if nobody writes to it"
            raise OutputError(what, where=str(out_dir), fix=fix) from error
        yield


def write_outputs(
    run: RunResult, plan: Plan, progress: Progress, start: float, check: Callable[..., None]
) -> list[RonchiError]:
    """Write all outputs that can be written, and set those of an earlier run aside that cannot.

    Parameters
    ----------
    run : RunResult
        Its ``outputs``, ``warnings`` and ``seconds`` are filled in.
    plan : Plan
    progress : Progress
    start : float
        When the run began, by `time.perf_counter`: reports tell how long it took.
    check : callable
        Given lazy steps, raises `RunError` if a file that one of them reads changed since the run began.

    Returns
    -------
    list of RonchiError
        A fault each that an output could not be written for.
    """
    faults: list[RonchiError] = []
    # The reports come last: they tell about the rest.
    reports = [name for name, output in plan.config.outputs.items() if output.source is None]
    for name in [name for name in plan.config.outputs if name not in reports]:
        _write_shown(run, plan, name, faults, progress, check)
    run.warnings += _set_stale_aside(run, plan, reports)
    for name in reports:
        run.seconds = time.perf_counter() - start
        _write_shown(run, plan, name, faults, progress, check)
    run.warnings += _set_stale_aside(run, plan)
    return faults


def _write_shown(
    run: RunResult,
    plan: Plan,
    name: str,
    faults: list[RonchiError],
    progress: Progress,
    check: Callable[..., None],
) -> None:
    output = plan.config.outputs[name]
    if output.source is not None and run.steps[output.source.partition(".")[0]].data is None:
        return
    shown = StepResult(step=name, kind="output", name=output.path)
    start = time.perf_counter()
    progress.started(shown)
    try:
        run.outputs[name] = _write(run, plan, name, check)
        shown.status = "done"
    except RonchiError as error:
        faults.append(error)
        shown.status, shown.error = "failed", error.what
    except Exception as error:  # noqa: BLE001 - a failing report must not cost the provenance
        _log.error("output %s\n%s", name, traceback.format_exc())
        what = f"the output {name!r} could not be made: {type(error).__name__}: {error}"
        faults.append(RunError(what, fix=f"the traceback is in {run.out_dir / LOG_NAME}"))
        shown.status, shown.error = "failed", what
    shown.seconds = time.perf_counter() - start
    progress.finished(shown)


def _write(run: RunResult, plan: Plan, name: str, check: Callable[..., None]) -> Path:
    """Write one output under the run's folder; a step goes with its side outputs as groups."""
    output = plan.config.outputs[name]
    path = run.out_dir / output.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fix = "choose another folder with -o"
        raise OutputError(f"cannot be made: {error.strerror}", where=str(path.parent), fix=fix) from error
    if output.source is None:
        from ronchi.report.html import write_report

        write_report(run, path, figures=output.figures, started=time.perf_counter())
        # Its pictures of the data are drawn from what is lazy.
        lazy = [step for step in plan.steps if not is_stored(plan.steps[step]) and run.steps[step].data is not None]
        _keep_if_unchanged(path, lazy, check)
        return path
    step, _, side = output.source.partition(".")
    sides = {} if side else run.steps[step].sides
    if is_stored(plan.steps[step]):
        return write_with(plan.writers[name], run[output.source], path, sides)
    # What is lazy is read from the input files only now.
    check(step)
    written = write_with(plan.writers[name], run[output.source], path, sides)
    _keep_if_unchanged(written, [step], check)
    return written


def _keep_if_unchanged(written: Path, steps: Sequence[str], check: Callable[..., None]) -> None:
    """Remove an output if a file changed that one of the lazy steps it was made from reads; raises `RunError`."""
    try:
        check(*steps)
    except RunError:
        remove(written)
        raise


def _set_stale_aside(run: RunResult, plan: Plan, without: Sequence[str] = ()) -> list[str]:
    """Rename the outputs of an earlier run that this one has not written again, so that they do not pass for its own.

    Parameters
    ----------
    without : sequence of str
        Outputs that are yet to be written.

    Returns
    -------
    list of str
        A warning each.
    """
    told = []
    for name, output in plan.config.outputs.items():
        path = run.out_dir / output.path
        if name in run.outputs or name in without or not path.exists():
            continue
        aside = next(free for free in _stale_names(path) if not free.exists())
        words = f"{output.path} in {run.out_dir.name} is from an earlier run"
        try:
            path.rename(aside)
            told.append(f"{words}; it was not made again, and is now {aside.name}")
        except OSError as error:
            told.append(f"{words}, and could not be renamed: {error.strerror or error}")
        _log.warning("%s", told[-1])
    return told


def _stale_names(path: Path) -> Iterator[Path]:
    yield path.with_name(f"{path.name}.stale")
    for number in itertools.count(2):
        yield path.with_name(f"{path.name}.stale-{number}")


def check_steps(steps: Mapping[str, object], wanted: Sequence[str], option: str) -> None:
    """Check step names given on the command line; raises `ConfigError`."""
    for name in wanted:
        if name not in steps:
            raise ConfigError(f"there is no step {name!r}", where=f"{option} {name}", fix=did_you_mean(name, steps))

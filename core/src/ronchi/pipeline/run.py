"""The runner: steps in order, each from the cache or by its algorithm, whatever happens kept."""

from __future__ import annotations

import contextlib
import logging
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ronchi.errors import OutputError, RonchiError
from ronchi.pipeline.cache import Cache
from ronchi.pipeline.config import PipelineConfig, load_config
from ronchi.pipeline.execute import StepMaker
from ronchi.pipeline.executors import make_executor
from ronchi.pipeline.identity import Identities
from ronchi.pipeline.logs import LOG_NAME, logged
from ronchi.pipeline.opened import check_opened, check_scan
from ronchi.pipeline.outputs import check_inputs_are_kept, check_steps, check_writable, sole_writer, write_outputs
from ronchi.pipeline.plan import check_code, make_plan
from ronchi.pipeline.planned import Plan, PlannedStep
from ronchi.pipeline.progress import Progress, make_progress
from ronchi.pipeline.provenance import begin_record, check_folder_is_own, write_provenance
from ronchi.pipeline.resources import dask_threads, has_cuda, peak_rss_mb, reset_peak_rss, scratch_folder
from ronchi.pipeline.steps import is_stored
from ronchi.pipeline.versions import of_other_versions, versions_of
from ronchi.result import RunResult, Status

if TYPE_CHECKING:
    from ronchi.manager import Manager

__all__ = ["check_pipeline", "run_pipeline"]

_log = logging.getLogger("ronchi.run")


def check_pipeline(
    origin: str | Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    manager: Manager | None = None,
    base: Path | None = None,
) -> Plan:
    """Check a pipeline without reading data; the code of its algorithms is imported.

    Raises
    ------
    ConfigError
        With file, line and column of everything that is wrong.
    """
    plan, _ = _planned(load_config(origin, overrides=overrides, base=base), manager)
    check_code(plan)
    return plan


def run_pipeline(
    origin: str | Path | Mapping[str, Any],
    *,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    manager: Manager | None = None,
    executor: str | None = None,
    force: Sequence[str] = (),
    dry_run: bool = False,
    progress: bool = True,
    base: Path | None = None,
) -> RunResult:
    """Run a pipeline; what an earlier run has finished is not done again.

    Parameters
    ----------
    origin : path or mapping
        Pipeline file, or the same as a mapping.
    out : path, optional
        Folder of the outputs; ``./<name>-out`` by default.
    overrides : sequence of str
        ``"step.params.x=value"``.
    manager : Manager, optional
        Finds the algorithms; those installed by default.
    executor : str, optional
        Instead of ``run.executor``.
    force : sequence of str
        Steps to run even if their results are known.
    dry_run : bool
        Only say which steps would run, and why, in `StepResult.status` and `reason`.
    progress : bool
        Show progress on stderr.
    base : path, optional
        Folder that relative input paths start from; that of the file by default.

    Returns
    -------
    RunResult
        Also if a step failed: see `RunResult.ok`.

    Raises
    ------
    ConfigError
        The pipeline is not valid; nothing was read.
    OutputError
        The output folder is another pipeline's, or it or the cache cannot be written to; what is finished is kept.
    KeyboardInterrupt
        The user stopped the run; finished blocks are kept.
    """
    config = load_config(origin, overrides=[*overrides, *([f"run.executor={executor}"] if executor else [])], base=base)
    plan, manager = _planned(config, manager)
    check_steps(plan.steps, force, "--force")
    out_dir = Path(out or f"{config.name}-out").absolute()
    check_inputs_are_kept(plan, out_dir)
    _check_device(config)
    runner = _Runner(plan, manager, out_dir, frozenset(force))
    with make_progress(progress) as shown:
        return runner.explain(shown) if dry_run else runner.run(shown)


def _planned(config: PipelineConfig, manager: Manager | None) -> tuple[Plan, Manager]:
    if manager is None:
        from ronchi.manager import Manager, get_manager

        manager = get_manager() if config.allow is None else Manager(allow=set(config.allow))
    return make_plan(config, manager), manager


def _check_device(config: PipelineConfig) -> None:
    if config.run.device == "cuda" and not has_cuda():
        config.source.fault(("run", "device"), "no CUDA device was found", "device: auto, or cpu")
    config.source.check()


class _Runner:
    def __init__(self, plan: Plan, manager: Manager, out_dir: Path, force: frozenset[str]) -> None:
        self.plan, self.manager, self.force = plan, manager, force
        self.config = plan.config
        self.cache = Cache(Path(self.config.run.cache).absolute())
        self.run_result = RunResult(
            name=self.config.name,
            config=self.config.as_json(),
            out_dir=out_dir,
            seed=self.config.seed,
            source=self.config.source.text,
            versions=versions_of(plan),
            steps={name: step.waiting() for name, step in plan.steps.items()},
            warnings=list(plan.warnings),
        )

    def explain(self, progress: Progress) -> RunResult:
        """Fill in what would be done."""
        check_folder_is_own(self.config.name, self.run_result.out_dir)
        self._identify(progress)
        for name, result in self.run_result.steps.items():
            result.cached = self._is_known(name)
            result.status = "cached" if result.cached else "waiting"
        return self.run_result

    def run(self, progress: Progress) -> RunResult:
        """Run all steps and write all outputs."""
        start = time.perf_counter()
        check_writable(self.run_result.out_dir, "-o")
        check_writable(self.cache.folder, "--set run.cache=FOLDER")
        self.cache.tidy()
        with contextlib.ExitStack() as stack:
            stack.enter_context(sole_writer(self.run_result.out_dir, progress.tell))
            check_folder_is_own(self.config.name, self.run_result.out_dir)
            identities = self._identify(progress)
            self.manager.load_observers()
            self._notify("ronchi_run_started")
            stack.enter_context(logged(self.run_result.out_dir / LOG_NAME, self.run_result.warnings))
            stack.enter_context(dask_threads(self.config.run.threads))
            scratch = stack.enter_context(scratch_folder(self.cache.folder))
            executor = make_executor(self.config.run, scratch)
            stack.callback(executor.close)
            maker = StepMaker(
                run=self.run_result,
                options=self.config.run,
                identities=identities,
                cache=self.cache,
                executor=executor,
                progress=progress,
                scratch=scratch,
                force=self.force,
            )
            self._check_code(maker)
            readers = [name for name, step in self.plan.steps.items() if step.config.kind == "reader"]
            for name in readers:
                self._step(name, maker)
            check_opened(self.plan, self.run_result.steps)
            for name in [name for name in self.plan.steps if name not in readers]:
                self._look_ahead(name, maker)
                self._step(name, maker)
            identities.remember()
            self._check_memory()
            self._finish(start, identities, progress)
        self._notify("ronchi_run_finished")
        return self.run_result

    def _identify(self, progress: Progress) -> Identities:
        identities = Identities(self.plan, self.cache, progress.note)
        for name, result in self.run_result.steps.items():
            result.key, result.reason = identities.keys[name], identities.reason(name, self.force)
        return identities

    def _check_code(self, maker: StepMaker) -> None:
        """Fail what cannot be imported before the hours that other steps may take; workers import detectors."""
        for name, step in self.plan.steps.items():
            if self._is_known(name) or (step.config.kind == "disk_detector" and self.config.run.executor != "serial"):
                continue
            try:
                step.spec.create(step.params)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may fail in any way
                self._end(name, "failed", self._failure(step, error), maker)

    def _is_known(self, name: str) -> bool:
        key = self.run_result.steps[name].key
        return is_stored(self.plan.steps[name]) and name not in self.force and self.cache.has(key)

    def _look_ahead(self, name: str, maker: StepMaker) -> None:
        """Fail the solvers that cannot use the disks of this scan, and search them only if something else can."""
        solvers = [other for other in self.plan.steps if not self._is_known(other)]
        unfit = check_scan(self.plan, self.run_result, name, solvers)
        for solver, error in unfit.items():
            if self.run_result.steps[solver].status == "waiting":
                _log.error("step %s: %s", solver, error)
                self._end(solver, "failed", error, maker)
        if unfit and not self._is_wanted(name):
            self._end(name, "skipped", f"only {' and '.join(map(repr, unfit))} would need it", maker)

    def _is_wanted(self, name: str) -> bool:
        """Something takes what a step makes: an output, a step that can still be made, or who asks for no outputs."""
        outputs = self.config.outputs
        taken = [output.source for output in outputs.values()]
        for other, step in self.plan.steps.items():
            if self.run_result.steps[other].status == "waiting":
                taken += step.config.inputs.values()
        return not outputs or any(reference and reference.partition(".")[0] == name for reference in taken)

    def _step(self, name: str, maker: StepMaker) -> None:
        if self.run_result.steps[name].status == "waiting":
            self._make(name, maker)
            self._tell(name, maker)

    def _end(self, name: str, status: Status, error: str, maker: StepMaker) -> None:
        result = self.run_result.steps[name]
        result.status, result.error = status, error
        self._tell(name, maker)

    def _tell(self, name: str, maker: StepMaker) -> None:
        result = self.run_result.steps[name]
        maker.progress.finished(result)
        self._notify("ronchi_step_finished", step=result)

    def _make(self, name: str, maker: StepMaker) -> None:
        step, result = self.plan.steps[name], self.run_result.steps[name]
        absent = [
            ref for ref in step.config.inputs.values() if self.run_result.steps[ref.partition(".")[0]].data is None
        ]
        if absent:
            result.status, result.error = "skipped", f"it needs {absent[0]!r}, which was not made"
            return
        start = time.perf_counter()
        reset_peak_rss()
        maker.progress.started(result)
        try:
            made = maker.make(step, result)
        except OutputError:
            # Nothing that follows could be kept either.
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a step may fail in any way, those beside it go on
            result.status, result.error = "failed", self._failure(step, error)
        else:
            result.data, result.sides = made.data, made.sides
            result.status = "cached" if result.cached else "done"
        result.seconds = time.perf_counter() - start
        result.peak_rss_mb = peak_rss_mb() + maker.executor.peak_rss_mb()

    def _failure(self, step: PlannedStep, error: BaseException) -> str:
        if isinstance(error, SystemExit) and isinstance(error.code, int) and 128 < error.code <= 192:
            raise error  # a signal asked this process to end
        _log.error("step %s (%s %s)\n%s", step.config.step, step.dist, step.version, traceback.format_exc())
        if isinstance(error, RonchiError):
            return str(error)
        what = "memory ran out" if isinstance(error, MemoryError) else f"{type(error).__name__}: {error}"
        place = f"in {step.name} of {step.dist} {step.version}"
        return f"{what} ({place})\n  -> the traceback is in {self.run_result.out_dir / LOG_NAME}"

    def _check_memory(self) -> None:
        ceiling = self.config.run.memory_mb
        most = max(step.peak_rss_mb for step in self.run_result.steps.values())
        if ceiling is not None and most > ceiling:
            self.run_result.warnings.append(f"peak memory was {most:.0f} MB, above run.memory_mb {ceiling:g}")

    def _finish(self, start: float, identities: Identities, progress: Progress) -> None:
        self.run_result.warnings += of_other_versions(self.run_result)
        begin_record(self.run_result)
        faults = write_outputs(self.run_result, self.plan, progress, start, identities.check_files)
        self.run_result.seconds = time.perf_counter() - start
        write_provenance(self.run_result, self.plan, identities.components)
        if faults:
            raise faults[0]

    def _notify(self, hook: str, **more: Any) -> None:
        self.manager.notify(hook, run=self.run_result, **more)

"""One step: from the cache, or by its algorithm and into the cache."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from ronchi.api import Context, Result
from ronchi.errors import ConfigError, OutputError, RunError
from ronchi.pipeline.arrays import is_lazy, lent, load_dataset, save_dataset
from ronchi.pipeline.cache import Cache
from ronchi.pipeline.config import RunOptions
from ronchi.pipeline.detect import geometry_of, run_detection
from ronchi.pipeline.detect_job import DetectJob
from ronchi.pipeline.executors import Executor
from ronchi.pipeline.identity import Identities
from ronchi.pipeline.logs import in_step, logger_name
from ronchi.pipeline.planned import PlannedStep
from ronchi.pipeline.progress import Progress
from ronchi.pipeline.resources import peak_rss_mb
from ronchi.pipeline.steps import call, check_inputs, check_result, in_memory, is_stored
from ronchi.pipeline.tiles import patterns_per_block, samples_per_block
from ronchi.pipeline.versions import versions_for
from ronchi.pipeline.warned import BlockWarnings, for_step, of_any_step
from ronchi.result import RunResult, StepResult

__all__ = ["StepMaker", "make_job"]

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(kw_only=True)
class StepMaker:
    """Makes the results of steps, one after the other.

    Parameters
    ----------
    run : RunResult
        Holds the results of the steps before.
    scratch : pathlib.Path
        Folder for temporary files of the whole run.
    force : frozenset of str
        Steps to make even if their results are known.
    """

    run: RunResult
    options: RunOptions
    identities: Identities
    cache: Cache
    executor: Executor
    progress: Progress
    scratch: Path
    force: frozenset[str] = field(default_factory=frozenset)

    def make(self, step: PlannedStep, result: StepResult) -> Result:
        """Give the result of a step, validated; notes in ``result`` what was reused.

        Raises
        ------
        RonchiError
            Also if an input file changed meanwhile; and whatever the algorithm raises.
        """
        with in_step(step.config.step):
            return self._reuse_or_make(step, result)

    def _reuse_or_make(self, step: PlannedStep, result: StepResult) -> Result:
        if not is_stored(step):
            return self._make(step, result)
        forced = step.config.step in self.force
        known = None if forced else self.cache.get(result.key)
        if known is None:
            note = f"{step.config.step}: waiting for another run, which is making the same result"
            with self.cache.making(result.key, lambda: self.progress.tell(note)):
                # Another run may have made it since we looked.
                known = None if forced else self.cache.get(result.key)
                if known is None:
                    return self._make_and_store(step, result, forced=forced)
        result.cached = True
        result.made_seconds, result.made_peak_rss_mb = self.cache.took(result.key)
        result.made_with = self.cache.made_with(result.key)
        # What is doubtful in a result is so in every run that takes it; there the step may have another name.
        warned = for_step(step.config.step, self.cache.warned(result.key))
        self.run.warnings += [text for text in warned if text not in self.run.warnings]
        return known

    def _make_and_store(self, step: PlannedStep, result: StepResult, *, forced: bool) -> Result:
        if forced:
            self.cache.drop_partial(result.key)
        start, before = time.perf_counter(), len(self.run.warnings)
        made = in_memory(self._make(step, result))
        took = round(time.perf_counter() - start, 6), round(peak_rss_mb() + self.executor.peak_rss_mb(), 1)
        self._check_files(step, result)
        result.made_with = versions_for({step.dist: step.version})
        components = self.identities.components[step.config.step]
        warned = of_any_step(step.config.step, self.run.warnings[before:])
        self.cache.put(
            result.key, made, components, replace=forced, took=took, made_with=result.made_with, warned=warned
        )
        self.cache.drop_partial(result.key)
        # What is read back is what the next run will see, so both write the same bytes.
        return self.cache.get(result.key, check=False) or made

    def _check_files(self, step: PlannedStep, result: StepResult) -> None:
        try:
            self.identities.check_files(step.config.step)
        except RunError:
            # Blocks of folders are not checked one by one.
            self.cache.drop_partial(result.key)
            raise

    def _make(self, step: PlannedStep, result: StepResult) -> Result:
        inputs = {name: self._data(reference) for name, reference in step.config.inputs.items()}
        check_inputs(step, inputs)
        if step.config.kind in ("descriptor_learner", "simulator"):
            # Checkpoints and finished parts outlive a run that is killed, as the finished blocks of a detection do.
            scratch = self.cache.partial(result.key)
        else:
            scratch = self.scratch / step.config.step
            scratch.mkdir()
        if step.config.kind == "disk_detector":
            return self._detect(step, result, inputs, scratch)
        return call(step, inputs, self._context(step, scratch), lambda: self._patterns(inputs["data"]))

    def _detect(self, step: PlannedStep, result: StepResult, inputs: Mapping[str, xr.Dataset], scratch: Path) -> Result:
        patterns = self._patterns(inputs["data"])
        job = make_job(
            step,
            inputs,
            entropy=self.identities.entropy(step),
            device=self.identities.device(step),
            portable=None if self.options.executor == "serial" else scratch / "data",
        )
        folder = self.cache.partial(result.key)
        warned = BlockWarnings(folder, step.config.step, self.run.warnings)

        def check() -> None:
            self.identities.check_files(step.config.step, folders=False)
            warned.keep()

        try:
            peaks, result.blocks, result.blocks_reused = run_detection(
                job, self.executor, patterns, folder, self.progress.update, check
            )
        except OSError as error:
            if error.errno not in _DISK_FULL:
                raise
            fix = "free some space; finished blocks are kept and reused by the next run"
            raise OutputError("the disk is full, a block cannot be kept", where=str(folder), fix=fix) from error
        return check_result(step, Result(peaks))

    def _patterns(self, data: xr.Dataset) -> int:
        if "intensity" not in data or data["intensity"].ndim != 4:
            return self.options.block or samples_per_block(data["z" if "z" in data else "intensity"])
        memory_mb, workers = self.options.memory_mb, self.options.n_workers()
        most = patterns_per_block(data["intensity"], memory_mb=memory_mb, workers=workers)
        if memory_mb is not None and (self.options.block or 0) > most:
            what = f"a block of {self.options.block} patterns does not fit into {memory_mb:g} MB"
            raise ConfigError(what, where="run.block", fix=f"use at most {most}, or leave it out")
        return self.options.block or most

    def _data(self, reference: str) -> xr.Dataset:
        step, _, side = reference.partition(".")
        if side and side not in self.run.steps[step].sides:
            have = ", ".join(self.run.steps[step].sides) or "none"
            raise RunError(f"{step!r} has no side output {side!r} in these data (found: {have})", where=reference)
        return lent(self.run[reference])

    def _context(self, step: PlannedStep, scratch: Path) -> Context:
        return Context(
            rng=np.random.default_rng(self.identities.entropy(step)),
            device=self.identities.device(step),
            n_threads=self.options.threads,
            progress=self.progress.update,
            log=logging.getLogger(logger_name(step.config.step)),
            scratch=scratch,
            map=self.executor.map_tasks,
        )


def make_job(
    step: PlannedStep,
    inputs: Mapping[str, xr.Dataset],
    *,
    entropy: list[int],
    device: str = "cpu",
    portable: Path | None = None,
) -> DetectJob:
    """Put together what a detector needs, with the mean pattern and the probe.

    Parameters
    ----------
    inputs : mapping
        ``data`` (``fourd/1``), and ``probe`` (``maps/1``) if it does not come with the data.
    portable : pathlib.Path, optional
        Folder to be made for patterns that lie in memory, so that workers can read them.
    """
    data = inputs["data"]
    probe = inputs["probe"]["probe"] if "probe" in inputs else data.get("probe")
    return DetectJob(
        data=data if portable is None else _portable(data, portable),
        spec=step.spec,
        params=step.params,
        geometry=geometry_of(data),
        probe=None if probe is None else probe.values.astype(np.float32),
        entropy=entropy,
        device=device,
        log=logger_name(step.config.step),
    )


def _portable(data: xr.Dataset, scratch: Path) -> xr.Dataset:
    """Patterns that travel to workers as a file name: lazy ones as they are, others through a scratch folder."""
    needed = data[["intensity", "valid"]] if "valid" in data else data[["intensity"]]
    if is_lazy(data["intensity"]):
        return needed
    save_dataset(needed, scratch)
    return load_dataset(scratch)

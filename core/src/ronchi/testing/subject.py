"""The algorithm under test: found, made and run as a pipeline does it, through any manager."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ronchi.api import AlgorithmSpec, Context, Params, Result
from ronchi.pipeline.config import StepConfig
from ronchi.pipeline.detect import run_detection
from ronchi.pipeline.execute import make_job
from ronchi.pipeline.executors.serial import SerialExecutor
from ronchi.pipeline.keys import entropy, params_json
from ronchi.pipeline.planned import PlannedStep
from ronchi.pipeline.steps import call

if TYPE_CHECKING:
    from ronchi.manager import Manager
    from ronchi.pipeline.executors import Executor

__all__ = ["ALL", "Subject", "ignore_progress"]

ALL = 1_000_000
"""Samples in a block that holds all of them."""


def ignore_progress(done: int, total: int) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Subject:
    """One algorithm of one kind, as a manager finds it."""

    kind: str
    name: str
    manager: Manager

    @property
    def spec(self) -> AlgorithmSpec:
        """What its plugin says of it."""
        return self.manager.spec(self.kind, self.name)

    def checked(self, given: Mapping[str, Any]) -> Params:
        """Validate parameters as a pipeline does."""
        return self.manager.check_params(self.kind, self.name, dict(given))

    def create(self, given: Mapping[str, Any]) -> Any:
        """Make the algorithm object."""
        return self.spec.create(self.checked(given))

    def run(
        self,
        given: Mapping[str, Any] | Params,
        inputs: Mapping[str, xr.Dataset],
        *,
        seed: int = 0,
        block: int = ALL,
        progress: Callable[[int, int], None] = ignore_progress,
        executor: Executor | None = None,
        scratch: Path | None = None,
    ) -> Result:
        """Run it as a step of a pipeline, with the checks of one.

        Parameters
        ----------
        given : mapping or Params
        inputs : mapping of str to xarray.Dataset
        seed : int
            Of the pipeline.
        block : int
            Most samples in a block.
        executor : Executor, optional
            Works on the blocks of a detection; this process by default.
        scratch : pathlib.Path, optional
            Folder for temporary files; a new one by default.

        Raises
        ------
        RonchiError
            And whatever the algorithm raises.
        """
        params = given if isinstance(given, Params) else self.checked(given)
        dist, version, editable = self.manager.dist(self.kind, self.name)
        config = StepConfig(
            step=self.name, kind=self.kind, name=self.name, inputs={key: key for key in inputs}, params={}
        )
        files = {"path": Path(path)} if isinstance(path := getattr(params, "path", None), str | Path) else {}
        step = PlannedStep(config, self.name, self.spec, dist, version, editable, params, files)
        numbers = entropy(seed, self.kind, self.name, params_json(params))
        with tempfile.TemporaryDirectory(prefix="ronchi-testing-") as temporary:
            folder = scratch or Path(temporary)
            if self.kind == "disk_detector":
                portable = None if executor is None else folder / "data"
                job = make_job(step, inputs, entropy=numbers, portable=portable)
                blocks = folder / "blocks"
                blocks.mkdir()
                return Result(run_detection(job, executor or SerialExecutor(), block, blocks, progress)[0])
            ctx = Context(rng=np.random.default_rng(numbers), progress=progress, scratch=folder)
            return call(step, inputs, ctx, lambda: block)

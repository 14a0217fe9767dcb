"""A distribution of toy algorithms, and a pipeline that uses them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ronchi.catalog import scan
from ronchi.manager import Manager
from ronchi.pipeline.run import run_pipeline
from ronchi.result import RunResult

ENTRY_POINTS = """
[ronchi.readers]
toyread = toydist
otherread = toydist
[ronchi.simulators]
toysim = toydist
[ronchi.transforms]
halve = toydist
meanmap = toydist
[ronchi.disk_detectors]
brightest = toydist
[ronchi.descriptor_learners]
moments = toydist
[ronchi.strain_solvers]
toystrain = toydist
[ronchi.metrics]
rms = toydist
"""
WRITERS = """
[ronchi.writers]
native = ronchi.builtin.plugin
"""

PIPELINE = """\
schema: ronchi.pipeline/1
name: toy
seed: 3
run: {block: 4}
steps:
  load: {reader: toyread, params: {path: scan.npy}}
  half: {transform: halve, data: load}
  disks: {disk_detector: brightest, data: half, params: {noise: 0.1}}
  strain: {strain_solver: toystrain, peaks: disks}
  score: {metric: rms, result: strain, truth: load.truth}
outputs:
  peaks: {from: disks, path: peaks.nc}
  strain: {from: strain, path: strain.nc}
"""


@pytest.fixture
def toys(make_dist: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Manager:
    """A manager that knows the toy algorithms alone, and the writer of netCDF files."""
    code = (Path(__file__).parent / "toydist.py").read_text(encoding="utf-8")
    make_dist("toywriters", WRITERS)
    site = make_dist("toydist", ENTRY_POINTS, code)
    # They were there before this process, as for the other processes of the tests.
    monkeypatch.setattr("ronchi.imported.IMPORTED_NS", time.time_ns())
    return Manager(scan([site]))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a pipeline ``toy.yaml`` on a scan of 5 x 7 patterns of 8 x 9 pixels."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    np.save(work / "scan.npy", np.random.default_rng(0).random((5, 7, 8, 9), dtype="f4"))
    (work / "toy.yaml").write_text(PIPELINE, encoding="utf-8")
    return work


@pytest.fixture
def go(folder: Path, toys: Manager) -> Callable[..., RunResult]:
    """Run the toy pipeline with overrides and replacements of its text."""

    def run(*overrides: str, replace: Iterable[tuple[str, str]] = (), **more: Any) -> RunResult:
        text = (folder / "toy.yaml").read_text()
        for old, new in replace:
            assert old in text
            text = text.replace(old, new)
        (folder / "run.yaml").write_text(text)
        return run_pipeline(folder / "run.yaml", overrides=overrides, manager=toys, progress=False, **more)

    return run


@pytest.fixture
def statuses() -> Callable[[RunResult], dict[str, str]]:
    """What became of each step of a run."""
    return lambda run: {name: step.status for name, step in run.steps.items()}


@pytest.fixture
def all_done() -> dict[str, str]:
    """Statuses of a first run of the toy pipeline."""
    return dict.fromkeys(("load", "half", "disks", "strain", "score"), "done")


@pytest.fixture
def reused(all_done: dict[str, str]) -> dict[str, str]:
    """Statuses of a second run: what is cheap is done again."""
    return {**all_done, "disks": "cached", "strain": "cached", "score": "cached"}

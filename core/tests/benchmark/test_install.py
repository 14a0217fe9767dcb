"""Algorithms that need more than packages make it before the first cell, once each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ronchi.benchmark.install import install
from ronchi.benchmark.outcome import Outcome
from ronchi.manager import Manager
from ronchi.pipeline.config import load_config
from ronchi.pipeline.plan import make_plan
from ronchi.pipeline.planned import Plan

PLUGIN = """
from ronchi.api import AlgorithmSpec, Params, hookimpl


class P(Params):
    size: int = 1


class Needy:
    def __init__(self, params):
        self.params = params

    def install(self, tell):
        if self.params.size > 8:
            raise ValueError("too large")
        tell(f"made {self.params.size}")


def _spec(name, **more):
    return AlgorithmSpec(name=name, summary="Needs.", params=P, factory="ronchi_needy:Needy",
                         inputs={"data": "fourd/1"}, output="peaks/1", **more)


@hookimpl
def ronchi_disk_detectors():
    yield _spec("needy", capabilities=frozenset({"install"}))
    yield _spec("modest")
"""


Planned = Callable[[str, int], Plan]


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planned:
    """``plan(name, size)`` of a pipeline with that detector."""
    info = tmp_path / "ronchi_needy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ronchi-needy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ronchi.disk_detectors]\nneedy = ronchi_needy\nmodest = ronchi_needy\n")
    (tmp_path / "ronchi_needy.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))

    def plan(name: str, size: int) -> Plan:
        steps = {
            "load": {"simulator": "disks"},
            "find": {"disk_detector": name, "data": "load", "params": {"size": size}},
        }
        return make_plan(load_config({"schema": "ronchi.pipeline/1", "name": "x", "steps": steps}), manager)

    manager = Manager()
    return plan


def test_each_is_asked_once(plan: Planned) -> None:
    told: list[str] = []
    plans = dict(enumerate([plan("needy", 1), plan("needy", 1), plan("modest", 5), plan("needy", 2)]))
    assert install(plans, told.append) == {}
    assert told == ["made 1", "made 2"]


def test_one_that_cannot_be_made_costs_its_own_cells(plan: Planned) -> None:
    told: list[str] = []
    plans = dict(enumerate([plan("needy", 9), plan("needy", 1), plan("needy", 9), plan("modest", 9)]))
    lost = Outcome(status="failed", error="find: too large")
    assert install(plans, told.append) == {0: lost, 2: lost}
    assert told == ["needy: too large", "made 1"]

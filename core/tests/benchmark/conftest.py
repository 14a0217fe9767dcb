"""A benchmark of two cells, with a detector that works, or fails in every way, and a metric that does not take all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ronchi.manager import get_manager

PLUGIN = '''
import os
import time

import numpy as np

from ronchi.api import AlgorithmSpec, DataError, Params, PeakBatch, hookimpl


class P(Params):
    how: str = "work"
    offset_px: float = 0.0
    needs: str = ""


class Direct:
    """Centre of mass of the direct beam, moved on purpose."""

    def __init__(self, params):
        self.params = params

    def install(self, tell):
        if self.params.needs:
            tell(f"making {self.params.needs}")
        if self.params.needs == "the moon":
            raise OSError("out of reach")

    def prepare(self, geometry, probe, ctx):
        pass

    def detect(self, frames):
        how, n = self.params.how, len(frames)
        if how == "hang":
            time.sleep(600)
        if how == "die":
            os.kill(os.getpid(), 9)
        if how == "eat":
            self.held = [np.ones(5_000_000) for _ in range(400) if time.sleep(0.02) is None]
        if how == "slow":
            import ronchi_direct_heavy
            held = np.ones(10_000_000)
            time.sleep(0.3)
        if how == "raise":
            raise ValueError("a planted fault")
        window = frames[:, 16:33, 16:33].astype(float)
        window = np.where(window > 0.4 * window.max((1, 2), keepdims=True), window, 0)
        y, x = (16 + (window.sum(axis) * np.arange(17)).sum(1) / window.sum((1, 2)) for axis in (2, 1))
        single = dict.fromkeys(("intensity", "score", "var_yy", "var_yx", "var_xx"), np.ones(n, np.float32))
        return PeakBatch(counts=np.ones(n, np.int32), qy_px=y + self.params.offset_px, qx_px=x,
                         flags=np.zeros(n, np.uint16), **single)


class Picky:
    """Takes no peaks in the lower half of the direct beam."""

    def __init__(self, params):
        pass

    def score(self, result, truth, ctx):
        if float(result.qy.mean()) > 0.25 * result.attrs["q_step"][0]:
            raise DataError("too far down", where="picky")
        return {"n": float(result.sizes["peak"])}


@hookimpl
def ronchi_disk_detectors():
    yield AlgorithmSpec(name="direct", summary="Direct beam.", params=P, factory="ronchi_direct:Direct",
                        inputs={"data": "fourd/1"}, output="peaks/1", capabilities=frozenset({"install"}))


@hookimpl
def ronchi_metrics():
    yield AlgorithmSpec(name="picky", summary="Does not take all.", params=Params, factory="ronchi_direct:Picky",
                        inputs={"result": "peaks/1", "truth": "peaks/1"}, output="scores/1", better={"n": "higher"})
'''


@pytest.fixture
def direct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed plugin with the detector ``direct`` and the metric ``picky``, in child processes too."""
    site = tmp_path / "site"
    info = site / "ronchi_direct-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ronchi-direct\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[ronchi.disk_detectors]\ndirect = ronchi_direct\n[ronchi.metrics]\npicky = ronchi_direct\n"
    )
    (site / "ronchi_direct.py").write_text(PLUGIN)
    (site / "ronchi_direct_heavy.py").write_text("import time; time.sleep(1)")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    get_manager.cache_clear()
    yield
    get_manager.cache_clear()


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, direct: None) -> dict[str, Any]:
    """Two entries of a detector on one simulation, in a folder of their own."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    entries = [{"name": "direct", "as": "near"}, {"name": "direct", "as": "far", "params": {"offset_px": 0.5}}]
    shape = {"scan_shape": [1, 3], "pattern_shape": [48, 48], "slope": 0.2}
    return {
        "schema": "ronchi.benchmark/1",
        "name": "small",
        "seed": 3,
        "steps": {
            "load": {"simulator": "disks", "params": shape},
            "find": {"disk_detector": entries, "data": "load"},
            "score": {"metric": "peak-rmse", "result": "find", "truth": "load.truth_peaks"},
        },
        "compare": {"slot": "find", "figures": ["score.median_px"]},
    }

"""The suites of docs/benchmarks: they are valid, hold peers, and take a detector that pip has installed by its name."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ronchi.benchmark.cells import make_cells
from ronchi.benchmark.config import load_bench
from ronchi.benchmark.plans import plan_cells
from ronchi.cli.main import main
from ronchi.manager import get_manager

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "benchmarks"
SUITES = sorted(FOLDER.glob("*.yaml"))
OTHERS = {"py4dstem", "blobfinder", "pyxem", "atomai", "pyroved"}
"""Algorithms of other programs."""

DETECTOR = '''
import numpy as np

from ronchi.api import AlgorithmSpec, Params, PeakBatch, hookimpl


class Middle:
    """The middle of each pattern, where the direct beam is."""

    def __init__(self, params):
        pass

    def prepare(self, geometry, probe, ctx):
        pass

    def detect(self, frames):
        n = len(frames)
        y, x = (np.full(n, float(size // 2)) for size in frames.shape[1:])
        same = dict.fromkeys(("intensity", "score", "var_yy", "var_yx", "var_xx"), np.ones(n, np.float32))
        return PeakBatch(counts=np.ones(n, np.int32), qy_px=y, qx_px=x,
                         flags=np.zeros(n, np.uint16), **same)


@hookimpl
def ronchi_disk_detectors():
    yield AlgorithmSpec(name="middle", summary="Middle.", params=Params, inputs={"data": "fourd/1"},
                        factory="somebodys_detector:Middle", output="peaks/1")
'''


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.stem)
def test_a_suite_is_valid_and_has_other_programs(suite: Path) -> None:
    config = load_bench(suite)
    # As checked here, so it runs: nothing but the algorithms' own refusals of data may come later.
    plans, outcomes = plan_cells(config, make_cells(config), get_manager())
    assert plans
    assert not outcomes
    assert config.compare is not None
    names = {entry.name for entry in config.slots[config.compare.slot].entries}
    assert len(names & OTHERS) >= 2
    assert names - OTHERS
    assert len(config.about) > 200, "it says what its data are, and what it cannot tell"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Somebody's distribution with the detector ``middle``, by pip."""
    wheel = tmp_path / "somebodys_detector-1.0-py3-none-any.whl"
    info = "somebodys_detector-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("somebodys_detector.py", DETECTOR)
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: somebodys-detector\nVersion: 1.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/entry_points.txt", "[ronchi.disk_detectors]\nmiddle = somebodys_detector\n")
        file.writestr(f"{info}/RECORD", "")
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    get_manager.cache_clear()
    yield
    get_manager.cache_clear()


@pytest.mark.usefixtures("installed")
def test_a_detector_that_pip_has_installed_needs_its_name_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    suite = yaml.safe_load((FOLDER / "disks.yaml").read_text(encoding="utf-8"))
    # One dose, and the entry that needs no other environment.
    suite["steps"]["scan"]["vary"]["dose_e"] = [100000]
    suite["protocol"]["repeats"] = 1
    suite["steps"]["find"]["disk_detector"] = ["crosscorr", "middle"]
    Path("disks.yaml").write_text(yaml.safe_dump(suite, sort_keys=False))
    assert main(["bench", "disks.yaml", "-o", "out"]) == 0
    printed = capsys.readouterr().out
    found = {
        words[1]: float(words[3]) for words in map(str.split, printed.splitlines()) if "found.recall" in words[2:3]
    }
    # The direct beam is one disk of about thirty.
    assert found["crosscorr"] > 0.9
    assert 0.02 < found["middle"] < 0.06

"""Damaged files give a `RonchiError` whichever reader is asked, and no other exception, crash, hang or blow-up."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("worker.py")
SEED = 20
PEAK_MB = 1000

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or find_spec("ronchi_rosettasciio") is None,
    reason="NOT TESTED: damaged files, for which the plugin ronchi-rosettasciio and a POSIX system are needed",
)


def run(readers: str, shared_data: Path, folder: Path, every: int, parts: list[int]) -> Counter[str]:
    """Some of the cases, each part in a process of its own; checks them, and counts the outcomes of each reader."""
    processes = []
    for part in parts:
        scratch = folder / str(part)
        scratch.mkdir()
        command = [sys.executable, str(WORKER), readers, *map(str, (shared_data, scratch, SEED, every, part))]
        with (scratch / "log").open("w") as log:
            processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True))
    tally: Counter[str] = Counter()
    for part, process in zip(parts, processes, strict=True):
        printed, _ = process.communicate()
        last = (folder / str(part) / "log").read_text(encoding="utf-8")[-3000:]
        assert process.returncode == 0, f"the process died, at last over\n{last}"
        *faults, figures = [json.loads(line) for line in printed.splitlines()]
        print(figures)
        assert not faults, "\n".join(f"{fault['case']}: {fault['outcome']}" for fault in faults)
        assert figures["peak_mb"] < PEAK_MB
        tally.update(figures["tally"])
    return tally


@pytest.fixture
def alone(request):
    """Skips where `test_all_damaged_files` and its like run, too: the same cases are among theirs."""
    if any(item.originalname.startswith("test_all_damaged_files") for item in request.session.items):
        pytest.skip("all damaged files are tested, these among them")


@pytest.mark.usefixtures("alone")
def test_a_sample_of_damaged_files(shared_data, tmp_path):
    tally = run("project", shared_data, tmp_path, 37, [0])
    assert sum(tally.values()) > 60
    assert min(tally["native refused"], tally["auto refused"]) > 5


@pytest.mark.usefixtures("alone")
def test_a_sample_of_damaged_files_of_vendors(shared_data, tmp_path):
    tally = run("vendors", shared_data, tmp_path, 31, [0])
    assert sum(tally.values()) > 80
    assert min(tally["rosettasciio refused"], tally["rosettasciio opened"]) > 10


@pytest.mark.slow
def test_all_damaged_files(shared_data, tmp_path):
    """More than 2,000 cases: every file of every reader truncated, with flipped bits, renamed and emptied."""
    tally = run("project", shared_data, tmp_path, 2, [0, 1])
    assert sum(tally.values()) > 2000
    for reader in ("native", "npy", "raw", "py4dstem", "auto"):
        # Some damage does not show: of the values themselves, for example.
        assert min(tally[f"{reader} refused"], tally[f"{reader} opened"]) >= 5


@pytest.mark.slow
def test_all_damaged_files_of_vendors(shared_data, tmp_path):
    """More than 2,000 cases: every real file harmed in each way, its format given or found."""
    tally = run("vendors", shared_data, tmp_path, 2, [0, 1])
    assert sum(tally.values()) >= 2000
    assert min(tally["rosettasciio refused"], tally["rosettasciio opened"]) > 300

"""Damaged files give a `RonchiError`: no other exception, no crash, no hang, no memory without end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("fuzz_worker.py")
SEED = 20
PEAK_MB = 1000


def run(real_data: Path, folder: Path, every: int, parts: list[int]) -> dict[str, int]:
    """Some of the cases, each part in a process of its own; checks them, and counts the outcomes."""
    processes = []
    for part in parts:
        scratch = folder / str(part)
        scratch.mkdir()
        command = [sys.executable, str(WORKER), *map(str, (real_data, scratch, SEED, every, part))]
        with (scratch / "log").open("w") as log:
            processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True))
    tally: dict[str, int] = {}
    for part, process in zip(parts, processes, strict=True):
        printed, _ = process.communicate()
        last = (folder / str(part) / "log").read_text(encoding="utf-8")[-3000:]
        assert process.returncode == 0, f"the process died, at last over\n{last}"
        *faults, figures = [json.loads(line) for line in printed.splitlines()]
        print(figures)
        assert not faults, "\n".join(f"{fault['case']}: {fault['outcome']}" for fault in faults)
        assert figures["peak_mb"] < PEAK_MB
        for outcome, count in figures["tally"].items():
            tally[outcome] = tally.get(outcome, 0) + count
    return tally


def test_a_sample_of_damaged_files(real_data, tmp_path):
    tally = run(real_data, tmp_path, 31, [0])
    assert sum(tally.values()) > 80
    assert min(tally["refused"], tally["opened"]) > 10


@pytest.mark.slow
def test_all_damaged_files(real_data, tmp_path):
    """More than 2,000 cases: every real file truncated, with flipped bits, renamed and emptied."""
    tally = run(real_data, tmp_path, 2, [0, 1])
    assert sum(tally.values()) >= 2000
    assert min(tally["refused"], tally["opened"]) > 300

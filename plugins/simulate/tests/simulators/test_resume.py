"""A scan whose process is killed goes on where it was, and comes out the same."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import xarray as xr

from ronchi.cli.main import main
from ronchi.pipeline.simulation import PARTIAL_SUFFIX
from ronchi_simulate.scan import record

# Every column leans by an angle of its own; with noise, and phonons that all blocks share.
SCAN = ["hbn", "--seed", "3", "--quiet"]
for value in ("scan_shape=[1,12]", "pattern_shape=[64,64]", "thickness_angstrom=60", "frozen_phonons=2"):
    SCAN += ["--set", value]
BY_ONES = "from ronchi.cli.main import main; from ronchi_simulate.scan import record; record.POSITIONS_PER_BLOCK = 1"


def test_a_killed_scan_goes_on_and_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-c", f"{BY_ONES}; main({['simulate', *SCAN, '-o', 'killed.nc']})"]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    partial, deadline = tmp_path / f"killed.nc{PARTIAL_SUFFIX}", time.monotonic() + 600
    while time.monotonic() < deadline and process.poll() is None:
        logs = list(partial.rglob("positions_done"))
        # What the scan is, and three blocks.
        if logs and logs[0].read_text().count("\n") >= 4:
            break
        time.sleep(0.01)
    process.kill()
    process.wait(timeout=10)
    kept = logs[0].read_text().splitlines()[1:]
    assert 3 <= len(kept) < 12
    made: list[int] = []
    diffract = record.diffract

    def noted(*args: object, **options: object) -> object:
        made.append(1)
        return diffract(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(record, "diffract", noted)
    monkeypatch.setattr(record, "POSITIONS_PER_BLOCK", 1)
    assert main(["simulate", *SCAN, "-o", "killed.nc"]) == 0
    assert len(made) == 1 + 12 - len(kept), "the vacuum, and what was not there"
    assert main(["simulate", *SCAN, "-o", "whole.nc"]) == 0
    for group in (None, "truth"):
        with xr.open_dataset("killed.nc", group=group) as killed, xr.open_dataset("whole.nc", group=group) as whole:
            xr.testing.assert_identical(killed, whole)
    assert not list(tmp_path.glob("*.partial*"))

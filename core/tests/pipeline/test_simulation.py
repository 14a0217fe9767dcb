"""Simulators on the command line: files with their truth and provenance, stores that go on where they stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import xarray as xr

import ronchi
from ronchi.cli.main import main
from ronchi.pipeline.provenance import STORE_ATTR
from ronchi.pipeline.simulation import PARTIAL_SUFFIX

SMALL = ["--set", "scan_shape=[2,3]", "--set", "pattern_shape=[32,32]", "--set", "radius_px=4", "--quiet"]

STORE_PLUGIN = """
import os, time
from pathlib import Path
import numpy as np, zarr
from ronchi.api import AlgorithmSpec, Params, hookimpl

class PiecesParams(Params):
    pieces: int = 4
    wait_s: float = 0.0

def piece(job):
    folder, seed, number, wait_s = job
    time.sleep(wait_s)
    array = zarr.open_group(folder, mode="r+")["intensity"]
    array[number] = np.random.default_rng([seed, number]).random((1, 8, 8))
    (folder / f"done-{number}").write_text(str(os.getpid()))
    return number

class Pieces:
    def __init__(self, params):
        self.params = params
    def simulate(self, ctx):
        raise RuntimeError("a store is written piece by piece")
    def simulate_into(self, folder, ctx):
        n = self.params.pieces
        seed = int(ctx.rng.integers(2**32))
        if not (folder / "zarr.json").exists():
            root = zarr.create_group(folder, attributes={"ronchi_schema": "fourd/1"})
            root.create_array("intensity", shape=(n, 1, 8, 8), chunks=(1, 1, 8, 8), dtype="f8",
                              dimension_names=["scan_y", "scan_x", "qy", "qx"])
        left = [i for i in range(n) if not (folder / f"done-{i}").exists()]
        done = n - len(left)
        ctx.progress(done, n)
        for _ in ctx.map(piece, [(folder, seed, i, self.params.wait_s) for i in left]):
            done += 1
            ctx.progress(done, n)
        for i in range(n):
            (folder / f"done-{i}").unlink()

@hookimpl
def ronchi_simulators():
    return [AlgorithmSpec(name="pieces", summary="Pieces.", params=PiecesParams,
                          factory="ronchi_pieces:Pieces", inputs={}, output="fourd/1")]
"""


@pytest.fixture
def pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Environment with a simulator that writes its own store; commands in it run as processes."""
    site = tmp_path / "site"
    info = site / "ronchi_pieces-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ronchi-pieces\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ronchi.simulators]\npieces = ronchi_pieces\n")
    (site / "ronchi_pieces.py").write_text(STORE_PLUGIN)
    monkeypatch.chdir(tmp_path)
    return {**os.environ, "PYTHONPATH": str(site)}


def simulate(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ronchi", "simulate", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)


def values(path: str) -> bytes:
    import zarr

    return bytes(zarr.open_group(path, mode="r")["intensity"][:].tobytes())


def test_a_file_holds_the_truth_and_can_be_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", "disks", *SMALL, "-o", "scan.nc", "--seed", "4"]) == 0
    assert [Path(line).name for line in capsys.readouterr().out.split()] == ["scan.nc", "scan.nc.provenance.json"]
    assert {path.name for path in tmp_path.iterdir()} == {"scan.nc", "scan.nc.provenance.json"}
    assert ronchi.read("scan.nc", side="truth").attrs["is_truth"] == 1
    assert main(["replay", "scan.nc.provenance.json"]) == 0
    assert "all equal" in capsys.readouterr().out


def test_command_and_verb_give_the_same_data(tmp_path: Path) -> None:
    target = tmp_path / "scan.nc"
    assert main(["simulate", "disks", *SMALL, "-o", str(target), "--seed", "4"]) == 0
    params = {"scan_shape": [2, 3], "pattern_shape": [32, 32], "radius_px": 4}
    made = ronchi.simulate("disks", seed=4, **params)
    xr.testing.assert_equal(ronchi.read(target).load()["intensity"], made.data["intensity"])
    other = ronchi.simulate("disks", seed=5, **params)
    assert not other.data["intensity"].equals(made.data["intensity"])


def test_what_a_simulator_warns_of_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Counts that are cut off, or a grid too coarse for the atoms: the file looks as any other."""
    from ronchi.builtin.disks import Disks

    usual = Disks.simulate

    def doubtful(self, ctx):
        ctx.log.warning("counts are cut off at %d", 65535)
        return usual(self, ctx)

    monkeypatch.setattr(Disks, "simulate", doubtful)
    assert main(["simulate", "disks", *SMALL, "-o", str(tmp_path / "scan.nc")]) == 0
    said = [record.getMessage() for record in caplog.records if record.name == "ronchi.simulate"]
    assert said == ["counts are cut off at 65535"]


def test_without_a_kind_the_simulators_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate"]) == 0
    out = capsys.readouterr().out
    assert "disks\n" in out
    assert "motifs\n" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["diks", "-o", "a.nc"], "did you mean 'disks'"),
        (["disks", "-o", "a.nc", "--set", "scn_shape=[2,2]"], "did you mean 'scan_shape'"),
        (["disks", "-o", "a.nc", "--set", "scan_shape"], "NAME=VALUE"),
        (["disks"], "-o"),
        (["disks", "-o", "a.ncc"], "unknown extension"),
        (["disks", "-o", "a.nc", "--workers", "0"], "below 1"),
        (["disks", "-o", "a.nc", "--seed", "-1"], "below 0"),
    ],
)
def test_what_is_wrong_is_said_before_any_work(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", *arguments]) != 0
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_existing_file_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "scan.nc"
    target.write_text("mine")
    assert main(["simulate", "disks", *SMALL, "-o", str(target)]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert target.read_text() == "mine"
    assert main(["simulate", "disks", *SMALL, "-o", str(target), "--overwrite"]) == 0
    assert ronchi.read(target).sizes["scan_y"] == 2


def test_a_store_is_the_same_with_one_worker_and_two(pieces: dict[str, str], tmp_path: Path) -> None:
    assert simulate(pieces, "pieces", "-o", "one.zarr", "--seed", "3").returncode == 0
    done = simulate(pieces, "pieces", "-o", "two.zarr", "--seed", "3", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert values("one.zarr") == values("two.zarr")
    import zarr

    record = json.loads(zarr.open_group("two.zarr", mode="r").attrs[STORE_ATTR])
    assert record["simulator"] == "pieces"
    assert record["seed"] == 3
    assert record["params"] == {"pieces": 4, "wait_s": 0.0}
    assert not list(tmp_path.glob(f"*{PARTIAL_SUFFIX}*"))
    again = [sys.executable, "-m", "ronchi", "replay", "two.zarr"]
    replayed = subprocess.run(again, env=pieces, capture_output=True, text=True, timeout=120, check=False)
    assert "all equal" in replayed.stdout, replayed.stderr
    zarr.open_group("two.zarr", mode="r+")["intensity"][1] = 7
    replayed = subprocess.run(again, env=pieces, capture_output=True, text=True, timeout=120, check=False)
    assert replayed.returncode == 1
    assert "differs: intensity: the values differ" in replayed.stdout


def test_a_store_without_a_record_cannot_be_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "scan.zarr"
    assert main(["simulate", "disks", *SMALL, "-o", str(target)]) == 0
    assert main(["replay", str(target)]) != 0
    assert "scan.zarr.provenance.json" in capsys.readouterr().err
    (tmp_path / "scan.zarr.provenance.json").unlink()
    assert main(["replay", str(target)]) != 0
    assert "no record of how it was made" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["replay", str(tmp_path / "empty")]) != 0
    assert "no Zarr store" in capsys.readouterr().err


def test_a_killed_store_goes_on_and_equals_an_uninterrupted_one(pieces: dict[str, str], tmp_path: Path) -> None:
    slow = ["pieces", "--set", "wait_s=0.3", "--seed", "3"]
    process = subprocess.Popen([sys.executable, "-m", "ronchi", "simulate", *slow, "-o", "a.zarr"], env=pieces)
    store = tmp_path / f"a.zarr{PARTIAL_SUFFIX}" / "store"
    deadline = time.monotonic() + 60
    while not (store / "done-0").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    maker = (store / "done-0").read_text()
    assert not (tmp_path / "a.zarr").exists()
    wrong = simulate(pieces, "pieces", "--set", "wait_s=0.3", "--seed", "4", "-o", "a.zarr")
    assert wrong.returncode == 1
    assert "seed was 3, is 4" in wrong.stderr
    assert (store / "done-0").read_text() == maker, "what was finished is not made again"
    assert simulate(pieces, *slow, "-o", "a.zarr").returncode == 0
    assert simulate(pieces, *slow, "-o", "b.zarr").returncode == 0
    assert values("a.zarr") == values("b.zarr")


SCAN_PLUGIN = """
import time
from pathlib import Path
import numpy as np
from ronchi.api import AlgorithmSpec, Field, Params, Result, hookimpl
from ronchi.schema import fourd


class RowsParams(Params):
    wait_s: float = Field(0.0, description="Time a row takes.", json_schema_extra={"unit": "s"})


class Rows:
    def __init__(self, params):
        self.params = params

    def simulate(self, ctx):
        seed = int(ctx.rng.integers(2**62))
        rows = []
        for row in range(4):
            file = ctx.scratch / f"row-{row}.npy"
            if not file.exists():
                time.sleep(self.params.wait_s)
                np.save(ctx.scratch / "new.npy", np.random.default_rng([seed, row]).random((3, 8, 8), np.float32))
                (ctx.scratch / "new.npy").replace(file)
                with Path("made.txt").open("a") as log:
                    log.write(f"{row} ")
            rows.append(np.load(file))
        return Result(fourd.make(np.stack(rows), q_step=(0.1, 0.1)))


@hookimpl
def ronchi_simulators():
    return [AlgorithmSpec(name="rows", summary="Rows.", params=RowsParams,
                          factory="ronchi_rows:Rows", inputs={}, output="fourd/1")]
"""


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Environment with a simulator that keeps the rows it has finished."""
    site = tmp_path / "site"
    info = site / "ronchi_rows-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ronchi-rows\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ronchi.simulators]\nrows = ronchi_rows\n")
    (site / "ronchi_rows.py").write_text(SCAN_PLUGIN)
    monkeypatch.chdir(tmp_path)
    return {**os.environ, "PYTHONPATH": str(site)}


def test_a_killed_scan_goes_on_and_equals_an_uninterrupted_one(rows: dict[str, str], tmp_path: Path) -> None:
    slow = ["rows", "--set", "wait_s=0.4", "--seed", "3"]
    process = subprocess.Popen([sys.executable, "-m", "ronchi", "simulate", *slow, "-o", "a.nc"], env=rows)
    partial = tmp_path / f"a.nc{PARTIAL_SUFFIX}"
    made = tmp_path / "made.txt"
    deadline = time.monotonic() + 60
    while not made.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    assert partial.exists()
    # A command that is wrong takes nothing away.
    assert simulate(rows, "rows", "--set", "wait_s=a", "-o", "a.nc").returncode == 2
    done = simulate(rows, *slow, "-o", "a.nc")
    assert done.returncode == 0, done.stderr
    assert made.read_text().split().count("0") == 1, "what was finished is not made again"
    assert simulate(rows, *slow, "-o", "b.nc").returncode == 0
    xr.testing.assert_identical(xr.open_dataset("a.nc"), xr.open_dataset("b.nc"))
    assert not list(tmp_path.glob(f"*{PARTIAL_SUFFIX}*"))
    assert not list(tmp_path.glob("*.lock"))


def test_the_log_that_a_failure_names_is_there_until_the_file_is(rows: dict[str, str], tmp_path: Path) -> None:
    failed = simulate(rows, "rows", "--set", "wait_s=-1", "-o", "a.nc")
    assert failed.returncode == 1
    (log,) = set(re.findall(r"the traceback is in (.*)", failed.stderr))
    assert "sleep length must be non-negative" in Path(log).read_text()
    assert {path.name for path in tmp_path.glob("a.nc*/*")} == {"out"}
    assert simulate(rows, "rows", "-o", "a.nc").returncode == 0
    assert not list(tmp_path.glob(f"*{PARTIAL_SUFFIX}*"))


STOPPED = """
import sys
from ronchi.cli.main import main
from ronchi.pipeline import simulation
def stopped(store, target):
    raise KeyboardInterrupt
simulation.replace = stopped
sys.exit(main(sys.argv[1:]))
"""


def test_a_finished_store_survives_a_stop_while_the_older_one_is_removed(
    pieces: dict[str, str], tmp_path: Path
) -> None:
    assert simulate(pieces, "pieces", "--seed", "1", "-o", "a.zarr").returncode == 0
    command = ["simulate", "pieces", "--seed", "2", "-o", "a.zarr", "--overwrite"]
    stopped = subprocess.run(
        [sys.executable, "-c", STOPPED, *command], env=pieces, capture_output=True, timeout=120, check=False
    )
    assert stopped.returncode == 130
    made = tmp_path / f"a.zarr{PARTIAL_SUFFIX}" / "store" / "intensity" / "c"
    before = [path.stat().st_mtime_ns for path in sorted(made.rglob("*"))]
    assert before
    assert simulate(pieces, *command[1:]).returncode == 0
    kept = tmp_path / "a.zarr" / "intensity" / "c"
    assert [path.stat().st_mtime_ns for path in sorted(kept.rglob("*"))] == before, "a piece was made again"
    assert simulate(pieces, "pieces", "--seed", "2", "-o", "b.zarr").returncode == 0
    assert values("a.zarr") == values("b.zarr")
    assert not list(tmp_path.glob(f"*{PARTIAL_SUFFIX}*"))


@pytest.mark.parametrize("target", ["a.zarr", "a.store"])
def test_a_folder_of_something_else_is_not_overwritten(pieces: dict[str, str], tmp_path: Path, target: str) -> None:
    (tmp_path / target).mkdir()
    (tmp_path / target / "labbook.txt").write_text("years of work")
    refused = simulate(pieces, "pieces", "-o", target, "--overwrite")
    assert refused.returncode != 0
    assert (tmp_path / target / "labbook.txt").read_text() == "years of work"

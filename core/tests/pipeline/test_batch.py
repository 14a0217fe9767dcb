"""Batches: every file its own folder and row; a bad one costs only itself."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ronchi.errors import ConfigError, OutputError
from ronchi.manager import get_manager
from ronchi.pipeline import batch
from ronchi.pipeline.batch import SOME_FAILED, run_batch


@pytest.fixture
def scans(folder, toys, monkeypatch):
    """Four files, one of them broken; the toys are found by subprocesses too."""
    toys.load_all()
    import toydist

    site = str(Path(toydist.__file__).parent)
    # Subprocesses find ronchi's own writer, whose name this one has.
    shutil.rmtree(Path(site) / "toywriters-1.0.dist-info")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([site, os.environ.get("PYTHONPATH", "")]))
    (folder / "scans" / "b").mkdir(parents=True)
    for i, name in enumerate(("a1", "a2", "b/a1")):
        np.save(folder / "scans" / f"{name}.npy", np.random.default_rng(i).random((3, 4, 8, 9), dtype="f4"))
    (folder / "scans" / "bad.npy").write_bytes(b"not numpy")
    get_manager.cache_clear()
    yield folder
    get_manager.cache_clear()


def run(pattern, **more):
    return run_batch("toy.yaml", pattern, out="all", stream=io.StringIO(), **more)


def rows(path):
    with path.open(newline="") as file:
        return {row["out"].rpartition(os.sep)[2]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("waiting for another run\nronchi: no such file\n  -> check the path\n", "no such file"),
        ("ronchi: no such file\n  -> check the path\n", "no such file"),
        ("Traceback (most recent call last):\n  File …\nImportError: no library\n", "ImportError: no library"),
        ("", "the process ended with exit code 9"),
    ],
)
def test_the_reason_is_what_was_said_at_the_end(said, reason):
    assert batch._reason({}, said, 9) == reason


def test_batch(scans):
    text = io.StringIO()
    code = run_batch("toy.yaml", "scans/**/*.npy", out="all", jobs=2, stream=text)
    assert code == SOME_FAILED
    found = rows(scans / "all" / "summary.csv")
    assert {name: row["status"] for name, row in found.items()} == {
        "a1.npy": "done",
        "a2": "done",
        "b--a1.npy": "done",
        "bad": "failed",
    }
    assert found["bad"]["reason"].startswith("load: ")
    assert float(found["a2"]["score.e_xx"]) > 0
    assert float(found["a2"]["peak_rss_mb"]) > 20
    assert (scans / "all" / "a2" / "strain.nc").exists()
    assert len(text.getvalue().splitlines()) == 4


def test_a_process_that_leaves_without_a_record_is_not_done(scans):
    assert run("scans/a1.npy", overrides=["disks.params.fault=leave"]) == SOME_FAILED
    found = rows(scans / "all" / "summary.csv")["a1"]
    assert (found["status"], found["reason"]) == ("failed", "the process ended with exit code 0")


def test_a_row_tells_of_warnings(scans):
    """One warns once, though every block of it does."""
    text = io.StringIO()
    run_batch("toy.yaml", "scans/a1.npy", out="all", overrides=["disks.params.fault=warn"], stream=text)
    run_batch("toy.yaml", "scans/a2.npy", out="more", stream=text)
    assert [rows(scans / f / "summary.csv")[n]["warnings"] for f, n in (("all", "a1"), ("more", "a2"))] == ["1", "0"]
    first, second = text.getvalue().splitlines()
    assert first.endswith(" s, 1 warning")
    assert second.endswith(" s")


def test_faults_of_the_call(scans):
    with pytest.raises(ConfigError, match=r"no file matches\n  -> quote"):
        run_batch("toy.yaml", "scans/*.h5")
    with pytest.raises(ConfigError, match="at least one job"):
        run_batch("toy.yaml", "scans/*.npy", jobs=0)


def test_any_file_name(scans):
    name = "\N{MICROSCOPE}: 'a' \"b\" é #1"
    (scans / "scans" / "a1.npy").rename(scans / "scans" / f"{name}.npy")
    assert run(f"scans/{name[0]}*.npy") == 0
    assert rows(scans / "all" / "summary.csv")[name]["status"] == "done"


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux alone")
def test_names_that_are_no_text(scans):
    Path("scans/a2.npy").rename(os.fsdecode(b"scans/M\xfcnchen.npy"))
    assert run("scans/*[!d].npy") == SOME_FAILED
    named, text = rows(scans / "all" / "summary.csv").values()
    assert text["status"] == "done"
    assert (named["input"].rpartition(os.sep)[2], named["status"]) == ("M\\udcfcnchen.npy", "failed")
    assert named["reason"].endswith("is not UTF-8: rename it")
    # It names no folder that is not there.
    assert named["out"] == ""
    assert Path(text["out"]).is_dir()


def test_outputs_are_no_inputs_of_the_next_batch(scans):
    for name in ("bad", "a2", "b/a1"):
        (scans / "scans" / f"{name}.npy").unlink()
    text = (scans / "toy.yaml").read_text()
    (scans / "toy.yaml").write_text(text.replace("run: {block: 4}", "run: {block: 4, cache: cache}"))
    assert run("**/*.n*", jobs=2) == 0
    before = rows(scans / "all" / "summary.csv").keys()
    assert len(list(scans.glob("**/*.n*"))) > len(before) == 2
    # A folder of another pipeline is as good as any.
    (scans / "all" / "other").mkdir()
    (scans / "all" / "other" / "provenance.json").write_text(json.dumps({"name": "other"}))
    shutil.copy(scans / "scans" / "a1.npy", scans / "all" / "other" / "new.npy")
    assert run("**/*.n*", jobs=2) == 0
    assert rows(scans / "all" / "summary.csv").keys() == {*before, "new"}
    with pytest.raises(ConfigError, match="no file matches but what this pipeline has made"):
        run("all/a1/*.nc")


def test_a_pipeline_that_is_wrong_starts_nothing(scans, monkeypatch):
    monkeypatch.setattr(batch.subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    with pytest.raises(ConfigError, match="did you mean 'noise'"):
        run("scans/*.npy", overrides=["disks.params.noize=1"])
    assert not (scans / "all").exists()


def test_a_file_that_fails_the_check_costs_only_itself(scans, monkeypatch):
    check, checked = batch.check_pipeline, []

    def picky(*args, overrides):
        checked.append(overrides[-1])
        if len(checked) == 1:
            raise ConfigError("no reader knows this file")
        return check(*args, overrides=overrides)

    monkeypatch.setattr(batch, "check_pipeline", picky)
    assert run("scans/a*.npy") == 0
    assert len(checked) == 2


def test_a_summary_that_cannot_be_written_costs_no_file(scans, monkeypatch):
    write, full = batch.write_atomically, [True, False, True, True]

    def short(path, content):
        if full.pop(0):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    monkeypatch.setattr(batch, "write_atomically", short)
    assert run("scans/a*.npy") == 0
    assert rows(scans / "all" / "summary.csv").keys() == {"a1", "a2"}
    with pytest.raises(OutputError, match=r"summary cannot be written: No space left[\s\S]*run the same again"):
        run("scans/a*.npy")
    assert (scans / "all" / "a2" / "provenance.json").exists()


@pytest.mark.alone
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found by /proc (Linux)")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_runs_end_with_the_batch(scans, how):
    mark = f"RONCHI_TEST_MARK={scans}"
    slow = ["--set", "disks.params.sleep_s=20", "--set", f"disks.params.log={scans / 'blocks.txt'}"]
    command = [sys.executable, "-m", "ronchi", "run", "toy.yaml", "--inputs", "scans/a*.npy", "--jobs", "2", *slow]
    # As a shell's background: `&` lets Ctrl-C be ignored.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    ended = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "RONCHI_TEST_MARK": str(scans)})
    signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 60
    while not (scans / "blocks.txt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (scans / "blocks.txt").exists()
    ended.send_signal(how)
    assert ended.wait(10) == -how
    deadline = time.monotonic() + 10
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert marked(mark) == []
    # They were not killed but stopped: nothing temporary is left.
    assert not list((scans / ".ronchi" / "cache").glob("scratch*"))


def marked(mark):
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if int(entry.name) != os.getpid() and mark.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found

"""Batches: every file its own folder and row; a bad one costs only itself."""

from __future__ import annotations

import csv
import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from ronchi.errors import ConfigError
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
    return folder


def rows(path):
    with path.open(newline="") as file:
        return {row["out"].rpartition(os.sep)[2]: row for row in csv.DictReader(file)}


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


def test_faults_of_the_call(scans):
    with pytest.raises(ConfigError, match=r"no file matches\n  -> quote"):
        run_batch("toy.yaml", "scans/*.h5")
    with pytest.raises(ConfigError, match="at least one job"):
        run_batch("toy.yaml", "scans/*.npy", jobs=0)


def test_any_file_name(scans):
    name = "\N{MICROSCOPE}: 'a' \"b\" é #1"
    (scans / "scans" / "a1.npy").rename(scans / "scans" / f"{name}.npy")
    assert run_batch("toy.yaml", f"scans/{name[0]}*.npy", out="all", stream=io.StringIO()) == 0
    assert rows(scans / "all" / "summary.csv")[name]["status"] == "done"

"""What detector and solver find in multislice data is what the simulators say is true."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import ronchi
from ronchi.cli.main import main

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path, repo_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the examples."""
    for name in ("sige", "hbn"):
        shutil.copy(repo_root / "docs" / "examples" / f"{name}.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_strain_of_the_multilayer_is_found_to_a_tenth_of_a_percent(folder: Path) -> None:
    scores = ronchi.run("sige.yaml", progress=False).scores()["score"]
    assert scores["coverage"] == 1
    # Seed 5, 1e6 electrons, 8 angstrom and more from interfaces: the strains are 1 %.
    assert scores["rms_e_xx"] < 1e-3
    assert scores["rms_e_yy"] < 5e-4
    assert scores["rms_e_xy"] < 5e-4
    assert scores["rms_theta"] < 5e-4


def test_boron_nitride_shows_hardly_any_strain(folder: Path) -> None:
    scores = ronchi.run("hbn.yaml", progress=False).scores()["score"]
    assert scores["coverage"] == 1
    # Seed 5, 1e6 electrons, tilts to 0.5 degrees.
    for component in ("e_xx", "e_yy", "e_xy", "theta"):
        assert scores[f"rms_{component}"] < 5e-4


@pytest.mark.parametrize("detector", ["crosscorr", "fcunet"])
def test_strain_without_a_probe_is_not_far_smaller(folder: Path, detector: str) -> None:
    """Disks of two pixels with sharp edges: a softer or larger model would lean towards pixels."""
    assert main(["demo", "--save-data", "scan.nc"]) == 0
    data, true = ronchi.read("scan.nc").drop_vars("probe"), ronchi.read("scan.nc", side="truth")["e_xx"].values
    found = ronchi.strain(ronchi.detect(data, detector), reference={"scan_x": [190, 240]})["e_xx"].values
    step = [float(np.median(values[true > 0.009]) - np.median(values[true < -0.009])) for values in (found, true)]
    assert 0.8 < step[0] / step[1] < 1.05

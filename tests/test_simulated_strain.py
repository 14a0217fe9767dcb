"""What detector and solver find in multislice data is what the simulators say is true."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import ronchi

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

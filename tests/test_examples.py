"""Every example runs from start to end on the data that come with ronchi, and gives what its first line promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import ronchi
from ronchi.cli.main import main
from ronchi.result import RunResult

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "docs" / "examples").glob("*.yaml"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the data and the examples."""
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--save-data", "scan.nc"]) == 0
    for path in EXAMPLES:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def run(name: str) -> RunResult:
    made = ronchi.run(f"{name}.yaml", progress=False)
    assert made.ok, [step.error for step in made.steps.values()]
    return made


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_says_what_it_does_and_is_valid(path: Path, folder: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# "), "the first line says what it is for"
    assert f"\nname: {path.stem}\n" in text
    assert main(["validate", path.name]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path: Path, folder: Path) -> None:
    made = run(path.stem)
    assert made.outputs["report"].stat().st_size > 10_000
    for output in made.outputs.values():
        if output.suffix == ".nc":
            assert xr.open_dataset(output).attrs["ronchi_schema"]


@pytest.mark.slow
def test_calibrations_that_say_what_the_file_says_change_less_than_the_noise(folder: Path) -> None:
    plain, calibrated = run("strain")["strain"], run("calibrated-strain")["strain"]
    assert calibrated.attrs["frame"] == "scan"
    # No bad pixels, a round detector, the same steps to six digits; but the probe is the one that is in the patterns.
    difference = np.abs(calibrated["e_xx"] - plain["e_xx"])
    assert float(difference.median()) < float(plain["se_e_xx"].median())
    assert float(difference.max()) < 2e-3


@pytest.mark.slow
def test_simulated_patterns_are_scored_well(folder: Path) -> None:
    scores = run("simulate-and-score").scores()
    assert scores["found"]["f1"] > 0.98
    # At 50000 electrons the solver announces 7e-4; seed 11.
    assert scores["score"]["rms_e_xx"] < 1e-3
    assert scores["score"]["coverage"] == 1

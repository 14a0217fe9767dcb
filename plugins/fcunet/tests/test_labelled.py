"""Fine-tuning on patterns of one's own: what is read of them, what is refused, and that it goes through the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import ronchi
from ronchi.api import DataError
from ronchi.cli.main import main
from ronchi_fcunet.compact import CompactDetector
from ronchi_fcunet.labelled import LabelledSamples
from ronchi_fcunet.train_params import Labelled, TrainParams
from ronchi_fcunet.weights import load_weights, save_weights


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small scans of known disks, ``a`` and ``b``, with their peaks; no noise."""
    folder = tmp_path_factory.mktemp("scans")
    for seed, name in enumerate(("a", "b")):
        made = ronchi.simulate("disks", seed=seed, scan_shape=(2, 3), noise=False, background_fraction=0)
        ronchi.write(made.data, folder / f"{name}.nc")
        ronchi.write(made.sides["truth_peaks"], folder / f"{name}-peaks.nc")
    return folder


def _source(folder: Path, name: str, split: str = "train", peaks: str = "") -> Labelled:
    return Labelled(data=folder / f"{name}.nc", peaks=folder / f"{peaks or name}-peaks.nc", split=split)  # type: ignore[arg-type]


def test_a_sample_is_the_pattern_with_its_disks(scans: Path) -> None:
    samples = LabelledSamples((_source(scans, "a"), _source(scans, "b", "validation")), "train")
    assert len(samples) == 6
    assert samples.prototypes == {str(scans / "a.nc")}
    sample, data = samples.sample(4), ronchi.read(scans / "a.nc")
    frame = data["intensity"][1, 1].values
    np.testing.assert_allclose(sample["pattern"], frame / frame.sum(), rtol=1e-5)
    y, x, strength, beam, lit = sample["peaks"].T
    assert (lit == 1).all()
    assert beam.sum() == 1
    centre = np.array(frame.shape) // 2
    assert np.hypot(*(sample["peaks"][beam == 1, :2] - centre).T) < 2
    assert strength[beam == 0].max() == pytest.approx(1)
    row, column = np.unravel_index(int(sample["probe"].argmax()), frame.shape)
    assert np.hypot(row - centre[0], column - centre[1]) < 5
    inside = (np.array(frame.shape) > np.rint([y, x]).T).all(1) & (np.rint([y, x]).T >= 0).all(1)
    bright = inside & (strength > 0.3)
    at = sample["pattern"][np.rint(y[bright]).astype(int), np.rint(x[bright]).astype(int)]
    assert (at > 5 * np.median(sample["pattern"])).all()
    assert (sample["label"][np.rint(y[bright]).astype(int), np.rint(x[bright]).astype(int)] > 0.1).all()


def test_patterns_that_do_not_belong_together_are_refused(scans: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing labelled is for validation"):
        LabelledSamples((_source(scans, "a"),), "validation")
    with pytest.raises(DataError, match="in two splits"):
        LabelledSamples((_source(scans, "a"), _source(scans, "a", "validation")), "train")
    (tmp_path / "again").symlink_to(scans)
    with pytest.raises(DataError, match="in two splits"):
        LabelledSamples((_source(scans, "a"), _source(tmp_path / "again", "a", "validation")), "train")
    with pytest.raises(DataError, match="cannot be learned from"):
        LabelledSamples((_source(scans, "a"), _source(scans, "c")), "train")
    data = ronchi.read(scans / "a.nc")
    ronchi.write(data.isel(scan_x=slice(0, 2)), tmp_path / "part.nc")
    with pytest.raises(DataError, match="the peaks are of data of the shape"):
        LabelledSamples((Labelled(data=tmp_path / "part.nc", peaks=scans / "a-peaks.nc"),), "train")
    small = data.isel(qy=slice(10, -10), qx=slice(10, -10))
    peaks = ronchi.read(scans / "a-peaks.nc")
    peaks = peaks.assign_attrs(q_shape=np.array([small.sizes["qy"], small.sizes["qx"]], np.int32))
    ronchi.write(small, tmp_path / "small.nc")
    ronchi.write(peaks, tmp_path / "small-peaks.nc")
    with pytest.raises(DataError, match="several sizes"):
        LabelledSamples((_source(scans, "a"), _source(tmp_path, "small")), "train")


def test_patterns_without_numbers_or_light_are_refused(scans: Path, tmp_path: Path) -> None:
    for value, what in ((np.nan, "values are no numbers"), (0.0, "nothing is above 0")):
        data = ronchi.read(scans / "a.nc").load()
        data["intensity"][1, 2] = value
        path = tmp_path / f"{value}.nc"
        ronchi.write(data, path)
        samples = LabelledSamples((Labelled(data=path, peaks=scans / "a-peaks.nc"),), "train")
        assert samples.sample(4)["pattern"].sum() == pytest.approx(1, abs=1e-5)
        with pytest.raises(DataError, match=rf"\.nc, scan_y 1, scan_x 2: pattern: {what}"):
            samples.sample(5)


def test_other_labels_are_another_training(scans: Path, tmp_path: Path) -> None:
    before = LabelledSamples((_source(scans, "a"),), "train").identity
    assert LabelledSamples((_source(scans, "a"),), "train").identity == before
    peaks = ronchi.read(scans / "a-peaks.nc").load()
    moved: xr.Dataset = peaks.assign(qy=peaks["qy"] + 0.01)
    ronchi.write(moved, tmp_path / "moved-peaks.nc")
    changed = Labelled(data=scans / "a.nc", peaks=tmp_path / "moved-peaks.nc")
    assert LabelledSamples((changed,), "train").identity != before


def test_one_source_is_asked_for(scans: Path) -> None:
    with pytest.raises(ValueError, match="either `library` or `labelled`"):
        TrainParams()
    with pytest.raises(ValueError, match="either `library` or `labelled`"):
        TrainParams(library=scans, labelled=(_source(scans, "a"),))


CONFIG = """\
schema: ronchi.training/1
name: mine
params:
  start_from: begun.safetensors
  labelled:
    - {data: a.nc, peaks: a-peaks.nc}
    - {data: b.nc, peaks: b-peaks.nc, split: validation}
  augment_params: {effects: [shift]}
  steps: 2
  batch: 2
  workers: 0
  warm_up: 0
  learning_rate: 0.0001
  validation_batches: 1
"""


def test_the_command_goes_on_from_weights_with_ones_own_labels(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    save_weights(scans / "begun.safetensors", CompactDetector((4, 8), attention=0), {"threshold": 0.4, "sigma_px": 1.0})
    (scans / "mine.yaml").write_text(CONFIG)
    # Paths are those beside the file, also inside of a list.
    monkeypatch.chdir(tmp_path)
    assert main(["train", "fcunet", str(scans / "mine.yaml"), "-o", "out", "--quiet"]) == 0
    made = load_weights(tmp_path / "out" / "weights.safetensors")
    assert made.card["started_from"] == load_weights(scans / "begun.safetensors").sha256
    assert made.card["settings"]["widths"] == [4, 8]
    assert made.card["data"]["samples"] == 6
    assert [len(Path(name).parts) for name in made.card["data"]["held_out_prototypes"]] == [1]

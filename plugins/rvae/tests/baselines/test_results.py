"""What these learners give and keep: schema, models on disk, one result for one seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import ronchi
from ronchi.schema import descriptors, fourd


def test_results_follow_the_schema(name: str, few, fitted):
    learner = fitted(name, few)
    found = descriptors.validate(learner.transform(few))
    assert found["z"].dims == ("sample", "component")
    assert found.sizes["component"] == 2
    assert np.isfinite(found["nll"]).all()
    assert found["bound"].dims == found["bound_held_out"].dims == ("epoch",)
    assert found.sizes["epoch"] == 2
    posed = name in {"spatial-vae", "jrvae"}
    assert ("angle" in found, "shift" in found, "angle_R" in found) == (posed,) * 3
    assert ("label" in found, "label_prob" in found) == (name == "jrvae",) * 2
    if posed:
        assert found["angle"].attrs["n_fold"] == 1
        assert found["shift"].attrs["units"] == "pixel"
    sides = learner.sides()
    assert sides["manifold"]["image"].shape == (9, 9, 13, 13)
    assert ("means" in sides) == (name == "jrvae")


def test_models_go_through_the_platform(name: str, few, tmp_path: Path, quick):
    data = few.to_dataset().assign_attrs(ronchi_schema="crops/1")
    learned = ronchi.learn(data, name, **quick[name])
    path = ronchi.write(learned.sides["model"], tmp_path / "model.nc")
    applied = ronchi.encode(data, name, model=path)
    for variable in learned.data.variables:
        np.testing.assert_array_equal(applied[variable], learned.data[variable])


def test_same_seed_same_result(name: str, few, fitted):
    one, same, other = (fitted(name, few, seed).transform(few)["z"] for seed in (0, 0, 1))
    assert one.equals(same)
    assert not one.equals(other)


def test_scans_keep_their_dims(name: str, few, fitted):
    data = fourd.make(few.values[:12].reshape(3, 4, 13, 13), scan_step=(0.5, 0.5))
    found = fitted(name, data["intensity"]).transform(data["intensity"])
    assert found["z"].dims == ("scan_y", "scan_x", "component")
    np.testing.assert_array_equal(found["scan_x"], data["scan_x"])


def test_shifts_can_be_left_out(few, fitted):
    found = fitted("spatial-vae", few, shift_prior_px=0.0).transform(few)
    assert "angle" in found
    assert "shift" not in found


@pytest.mark.parametrize(("noise", "learned"), [("unit", False), ("learned", True)])
def test_the_noise_is_learned_unless_told_otherwise(few, noise: str, learned: bool, fitted):
    variance = float(fitted("spatial-vae", few, noise=noise).model.log_variance.detach())
    assert (variance != 0) == learned


def test_the_image_of_a_class_is_of_all_its_samples(fitted):
    """Also of those after the 1024 images that are encoded at a time: here, all of the bright ones."""
    rng = np.random.default_rng(0)
    images = np.repeat([1.0, 3.0], [1100, 300])[:, None, None] + rng.normal(0, 0.3, (1400, 6, 6))
    samples = xr.DataArray(images, dims=("sample", "y", "x"))
    learner = fitted("vae", samples, n_classes=2)
    found = learner.transform(samples)
    chance, z = found["label_prob"].values, found["z"].values
    np.testing.assert_allclose(learner.model.class_content, chance.T @ z / chance.sum(0)[:, None], atol=1e-5)

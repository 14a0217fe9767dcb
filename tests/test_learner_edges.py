"""Data at the edge of what can be learned: every learner gives what is right, or says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import ronchi
from ronchi.api import Context, DataError
from ronchi.builtin.motifs import simulate_motifs
from ronchi.manager import get_manager
from ronchi.schema import descriptors

QUICK: dict[str, dict[str, Any]] = {
    "polar-invariants": {},
    "polar-em": {"max_classes": 2, "passes": 1},
    "rvae": {"max_classes": 2, "passes": 1, "epochs": 1},
    "rrvae": {"passes": 1, "epochs": 1},
    "spatial-vae": {"hidden": 8, "epochs": 1},
    "jrvae": {"hidden": 8, "epochs": 1, "n_classes": 2},
    "vae": {"hidden": 8, "epochs": 1},
    "conv-ae": {"epochs": 1},
    "pca": {"n_components": 2},
    "ica": {"n_components": 2},
    "nmf": {"n_components": 2},
    "kmeans": {"n_classes": 2},
    "gmm": {"n_classes": 2, "n_scores": 3},
}
FACTORISED = ("pca", "ica", "nmf", "kmeans", "gmm")
"""Learners that need more samples than components or classes."""
DISCRETE = ("polar-em", "rvae", "rrvae", "kmeans", "gmm")
"""Learners that find classes among the samples."""

each_learner = pytest.mark.parametrize("name", QUICK)


@pytest.fixture(scope="module")
def few() -> xr.DataArray:
    """24 crops of 13 x 13 of two motifs, above 0, on a grid of 1/8, which half precision holds."""
    made = simulate_motifs(
        np.random.default_rng(0), n_samples=24, size_px=13, motifs=("f-glyph", "vacancy"), noise_sigma=0.2
    )
    values = np.round(8 * (made.data["intensity"].values + 2)) / 8
    assert values.min() > 0
    return xr.DataArray(values.astype("f4"), dims=("sample", "y", "x"), attrs={"units": "1"})


def fitted(name: str, x: xr.DataArray, **changes: Any) -> Any:
    learner = get_manager().create("descriptor_learner", name, {**QUICK[name], **changes})
    learner.fit(x, Context(rng=np.random.default_rng(0)))
    return learner


def test_all_learners_are_here():
    assert set(QUICK) | {"com", "atomai", "pyroved"} == set(ronchi.algorithms("descriptor_learner"))


@each_learner
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:0], r"no samples: the data have shape \(0, 13, 13\)"),
        (lambda x: x * 0, "constant|equal"),
        (lambda x: x * 0 + 3, "constant|equal"),
        (lambda x: x * np.nan, "no sample is valid|0 usable samples"),
        (lambda x: x.assign_coords(valid=("sample", np.zeros(24, bool))), "no sample is valid|0 usable samples"),
        (lambda x: x.assign_coords(bad_pixel=(("y", "x"), np.ones((13, 13), bool))), "every pixel is marked as bad"),
        (lambda x: x.astype("c8"), "complex64, not real"),
        (lambda x: x[0], "expected samples"),
    ],
    ids=["empty", "zero", "constant", "nan", "invalid", "all bad", "complex", "one image"],
)
def test_nothing_to_learn_from(name: str, few, change: Callable[[xr.DataArray], xr.DataArray], message: str):
    with pytest.raises(DataError, match=message) as raised:
        fitted(name, change(few))
    assert name in str(raised.value)


@each_learner
def test_a_single_sample(name: str, few):
    if name in FACTORISED:
        with pytest.raises(DataError, match="1 usable samples are too few"):
            fitted(name, few[:1])
    else:
        assert np.isfinite(fitted(name, few[:1]).transform(few[:1])["z"]).all()


@pytest.mark.parametrize("name", DISCRETE)
def test_fewer_samples_than_classes(name: str, few):
    with pytest.raises(DataError, match="4 usable samples are too few for 5 classes"):
        fitted(name, few[:4], n_classes=5)


@pytest.mark.parametrize("name", ["pca", "ica", "nmf"])
def test_fewer_samples_than_components(name: str, few):
    with pytest.raises(DataError, match="4 usable samples are too few for 5"):
        fitted(name, few[:4], n_components=5)


@each_learner
def test_values_that_are_no_numbers_are_left_out(name: str, few):
    spoilt = few.copy(deep=True)
    spoilt[3, 6, 6] = np.nan
    spoilt[7, 0, 0] = np.inf
    found = descriptors.validate(fitted(name, spoilt).transform(spoilt))
    missing = [3, 7]
    assert np.flatnonzero(~np.isfinite(found["z"]).all("component")).tolist() == missing
    for part in ("label", "mirror"):
        if part in found:
            assert np.flatnonzero(found[part] == -1).tolist() == missing
    for part in ("nll", "angle", "angle_R", "shift", "label_prob"):
        if part in found:
            assert np.isnan(found[part][missing]).all()


@each_learner
@pytest.mark.parametrize("hidden", [np.nan, np.inf, 1e6])
def test_bad_pixels_have_no_say(name: str, few, hidden: float):
    bad = np.zeros((13, 13), bool)
    bad[6, 5] = bad[0, :4] = True
    masked = few.assign_coords(bad_pixel=(("y", "x"), bad))
    hot = masked.copy(data=np.where(bad, np.float32(hidden), masked.values))
    learner, other = fitted(name, masked), fitted(name, hot)
    assert learner.transform(masked).identical(other.transform(hot))
    assert np.isfinite(learner.transform(masked)["z"]).all()


@each_learner
@pytest.mark.parametrize("shape", [(12, 12), (9, 13), (12, 8)])
def test_windows_even_and_not_square(name: str, few, shape: tuple[int, int]):
    x = few[:, : shape[0], : shape[1]]
    learner = fitted(name, x)
    z = learner.transform(x)["z"]
    assert np.isfinite(z).all()
    if name not in ("polar-invariants", "kmeans"):
        images = learner.decode(z.values.astype("f4"))
        assert images.shape == (24, *shape)
        assert np.isfinite(images).any()


@each_learner
@pytest.mark.parametrize("dtype", ["f2", ">f4", "f8", ">f8"])
def test_other_floats_are_the_same_numbers(name: str, few, dtype: str):
    other = few.copy(data=few.values.astype(dtype))
    assert fitted(name, other).transform(other).identical(fitted(name, few).transform(few))


@each_learner
@pytest.mark.parametrize("dtype", ["u1", "u2", ">u2", "i4", ">i8"])
def test_integers_are_the_same_numbers(name: str, few, dtype: str):
    counts = np.round(8 * few.values)
    whole, real = few.copy(data=counts.astype(dtype)), few.copy(data=counts)
    assert fitted(name, whole).transform(whole).identical(fitted(name, real).transform(real))


@each_learner
def test_lazy_data_are_the_same_numbers(name: str, few):
    lazy = few.copy(data=da.from_array(few.values, chunks=(7, 13, 5)))
    assert fitted(name, lazy).transform(few).identical(fitted(name, few).transform(few))
    assert np.isfinite(fitted(name, few).transform(lazy)["z"]).all()


@each_learner
@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_the_unit_of_the_data_counts_for_nothing(name: str, few, unit: float):
    x = few * np.float32(unit)
    assert np.isfinite(fitted(name, x).transform(x)["z"]).all()


@each_learner
def test_blocks_without_samples_and_other_windows(name: str, few):
    learner = fitted(name, few)
    with pytest.raises(DataError, match="no samples"):
        learner.transform(few[:0])
    with pytest.raises(DataError, match=r"fitted to \w+ of shape \(13, 13\), these have \(12, 13\)"):
        learner.transform(few[:, 1:])


@each_learner
def test_reloaded_models_encode_alike_bit_for_bit(name: str, few, tmp_path: Path):
    learner = fitted(name, few)
    learner.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".npz", ".safetensors"}
    again = get_manager().create("descriptor_learner", name, QUICK[name])
    again.load(tmp_path)
    found = learner.transform(few)
    assert again.transform(few).identical(found)
    if name not in ("polar-invariants", "kmeans"):
        z = found["z"].values.astype("f4")
        assert again.decode(z).identical(learner.decode(z))
    if hasattr(learner, "reconstruct"):
        assert again.reconstruct(few).identical(learner.reconstruct(few))
    if hasattr(learner, "sides"):
        for key, side in learner.sides().items():
            assert again.sides()[key].identical(side)

"""What the autoencoders send and give back, with fake programs; and the pose that their coordinates stand for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from ronchi.api import Context, DataError
from ronchi.manager import get_manager
from ronchi_peers.learners import PeerLearner, angle_and_shift

BOTH = pytest.mark.parametrize("name", ["atomai", "pyroved"])
SIZE = 5
PRIOR = 0.03
FAKES = {"python-atomai", "python-pyroved"}
"""Interpreters of the fake programs."""


@pytest.fixture
def context() -> Context:
    return Context(rng=np.random.default_rng(0))


@pytest.fixture
def images() -> xr.DataArray:
    """Twelve images of standard normal noise, which the fake programs read poses and latents from."""
    values = np.random.default_rng(1).normal(size=(12, SIZE, SIZE)).astype(np.float32)
    return xr.DataArray(values, dims=("sample", "y", "x"))


def _learner(name: str, **params: Any) -> PeerLearner:
    given = {"noise_sigma": 1.0, "epochs": 3, "translation_prior": PRIOR, **params}
    learner: PeerLearner = get_manager().create("descriptor_learner", name, given)
    return learner


@given(
    angle=st.floats(-3.1, 3.1),
    moves=st.tuples(st.floats(-2, 2), st.floats(-2, 2)),
    content=st.tuples(st.floats(-8, 8), st.floats(-8, 8)),
)
def test_the_pose_is_that_of_the_image(angle: float, moves: tuple[float, float], content: tuple[float, float]) -> None:
    """A point of the content is seen where the programs' coordinates, turned and then moved, are its own."""
    size = 25
    half = (size - 1) / 2
    found, shift = angle_and_shift(np.array([[angle, *moves]]), 0.05, size)
    y, x = content
    c, s = np.cos(found[0]), np.sin(found[0])
    # ronchi's convention: turn from x towards y, then shift.
    seen = np.array([s * x + c * y, c * x - s * y]) + shift[0]
    row, column = seen[0] / half, -seen[1] / half
    turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    at = np.array([row, column]) @ turned + 0.05 * np.array(moves)
    np.testing.assert_allclose(at, [y / half, -x / half], atol=1e-12)


@BOTH
def test_latents_are_mapped(name: str, fake: Callable[..., Path], images: xr.DataArray, context: Context) -> None:
    fake(name)
    learner = _learner(name)
    learner.fit(images, context)
    found = learner.transform(images)
    values = images.values.astype(float)
    # The content's own centre is free, so that the mean move counts for nothing.
    latent = np.concatenate([values[:, 0, :1], values[:, 0, 1:3] - values[:, 0, 1:3].mean(0)], 1)
    angle, shift = angle_and_shift(latent, PRIOR, SIZE)
    np.testing.assert_allclose(np.exp(1j * found["angle"]), np.exp(1j * angle), atol=1e-6)
    np.testing.assert_allclose(found["shift"], shift, atol=1e-6)
    # Three epochs, each of which adds one to a weight that was one.
    np.testing.assert_allclose(found["z"], 4 * values[:, 1, :2], rtol=1e-6)
    np.testing.assert_allclose(found["loss"], [10 / 2, 10 / 3, 10 / 4], rtol=1e-6)
    assert found["angle"].attrs["n_fold"] == 1


@BOTH
def test_a_loaded_one_encodes_alike_and_block_by_block(
    name: str, fake: Callable[..., Path], images: xr.DataArray, context: Context, tmp_path: Path
) -> None:
    fake(name)
    learner = _learner(name, noise_sigma=None)
    learner.fit(images, context)
    learner.save(tmp_path)
    # Nothing that could hold code: no pickle, no program's own file.
    assert {"state.json", "weights.npz"} == {path.name for path in tmp_path.iterdir() if path.is_file()} - FAKES
    again = _learner(name, noise_sigma=None)
    again.load(tmp_path)
    whole = learner.transform(images)
    xr.testing.assert_identical(again.transform(images), whole)
    parts = [again.transform(images[start : start + 5]) for start in (0, 5, 10)]
    np.testing.assert_array_equal(np.concatenate([part["z"] for part in parts]), whole["z"])


def test_what_is_not_valid_is_left_out_and_bad_pixels_are_filled(
    fake: Callable[..., Path], images: xr.DataArray, context: Context
) -> None:
    fake("atomai")
    images = images.copy()
    images[2, 0, 0] = np.nan
    # Were one of these sent, the fake program would refuse it.
    images[7] = 1e9
    images[:, 4, 4] = 1e9
    bad = np.zeros((SIZE, SIZE), bool)
    bad[4, 4] = True
    images = images.assign_coords(bad_pixel=(("y", "x"), bad), valid=("sample", np.arange(12) != 7))
    learner = _learner("atomai")
    learner.fit(images, context)
    found = learner.transform(images)
    lost = np.isnan(found["z"].values).all(1)
    assert np.flatnonzero(lost).tolist() == [2, 7]
    assert np.isnan(found["angle"].values[lost]).all()


def test_time_may_end_the_training(fake: Callable[..., Path], images: xr.DataArray, context: Context) -> None:
    fake("pyroved")
    learner = _learner("pyroved", max_seconds=1e-9)
    learner.fit(images, context)
    assert len(learner.losses) == 1


def test_more_samples_than_wanted_are_drawn_from(
    fake: Callable[..., Path], images: xr.DataArray, context: Context
) -> None:
    fake("atomai")
    learner = _learner("atomai", max_samples=4)
    learner.fit(images, context)
    moves = learner.transform(images)["shift"].values
    # With the mean over all samples the shifts would have none.
    assert np.abs(moves.mean(0)).max() > 1e-3
    assert np.isfinite(moves).all()


@BOTH
def test_what_cannot_be_learned_is_told(
    name: str, fake: Callable[..., Path], images: xr.DataArray, context: Context
) -> None:
    fake(name)
    learner = _learner(name)
    with pytest.raises(DataError, match="expected square images"):
        learner.fit(images[:, :4], context)
    with pytest.raises(DataError, match="equal and constant"):
        learner.fit(images * 0, context)
    with pytest.raises(DataError, match="no sample is valid"):
        learner.fit(images * np.nan, context)
    with pytest.raises(DataError, match=f"{name} failed: ValueError: too bright"):
        learner.fit(images * 1e9, context)
    learner.fit(images, context)
    with pytest.raises(DataError, match="images of 5 px a side, these have 4"):
        learner.transform(images[:, :4, :4])


def test_another_version_is_an_error(fake: Callable[..., Path], images: xr.DataArray, context: Context) -> None:
    fake("atomai", version="0.7.0")
    with pytest.raises(DataError, match=r"has atomai 0\.7\.0, not 0\.8\.1"):
        _learner("atomai").fit(images, context)

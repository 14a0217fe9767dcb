"""Samples are held out by whole groups; conditions are whole numbers along the samples."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from ronchi.api import DataError
from ronchi_rvae.holdout import along_samples, hold_out, one_hot


@given(
    sizes=st.lists(st.integers(1, 30), min_size=2, max_size=12),
    share=st.floats(0.05, 0.5),
    seed=st.integers(0, 99),
)
def test_groups_stay_whole_and_some_are_fitted(sizes: list[int], share: float, seed: int):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    held = hold_out(groups, share, np.random.default_rng(seed))
    assert held.any()
    assert not held.all()
    for group in range(len(sizes)):
        assert len(set(held[groups == group])) == 1


@pytest.mark.parametrize("groups", [np.zeros(200, int), np.arange(200)])
def test_share_of_single_samples(groups):
    held = hold_out(groups, 0.1, np.random.default_rng(0))
    assert held.sum() == 20


def test_equal_frames_give_the_share():
    held = hold_out(np.arange(500) // 50, 0.2, np.random.default_rng(0))
    assert held.sum() == 100


@pytest.mark.parametrize("seed", range(5))
def test_the_largest_frame_is_not_given_away(seed: int):
    groups = np.repeat([0, 1, 2], [1000, 60, 50])
    held = hold_out(groups, 0.1, np.random.default_rng(seed))
    assert held.sum() == 110


def test_of_two_large_frames_one_is_fitted():
    held = hold_out(np.repeat([0, 1], 100), 0.1, np.random.default_rng(0))
    assert held.sum() == 100


def test_nothing_is_held_out_on_request_or_of_one_sample():
    rng = np.random.default_rng(0)
    assert not hold_out(np.arange(50), 0.0, rng).any()
    assert not hold_out(np.zeros(1, int), 0.5, rng).any()


def test_conditions():
    x = xr.DataArray(np.zeros((2, 3, 4, 4)), dims=("scan_y", "scan_x", "qy", "qx"))
    x = x.assign_coords(
        row=("scan_y", [5, 7]), each=(("scan_x", "scan_y"), np.arange(6).reshape(3, 2)), q=("qx", range(4))
    )
    samples = ("scan_y", "scan_x")
    assert along_samples(x, "row", samples, "vae").tolist() == [5, 5, 5, 7, 7, 7]
    assert along_samples(x, "each", samples, "vae").tolist() == [0, 2, 4, 1, 3, 5]
    with pytest.raises(DataError, match="no coordinate 'q'"):
        along_samples(x, "q", samples, "vae")
    with pytest.raises(DataError, match="not whole numbers"):
        along_samples(x.assign_coords(row=("scan_y", [0.5, 1])), "row", samples, "vae")
    assert one_hot(np.array([7, 5]), np.array([5, 7]), "vae").tolist() == [[0, 1], [1, 0]]
    with pytest.raises(DataError, match="value 6 was not in the data"):
        one_hot(np.array([6]), np.array([5, 7]), "vae")

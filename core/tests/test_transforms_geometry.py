"""Crop and bin: counts and coordinates are kept exactly, lazily."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ronchi.api import Context
from ronchi.builtin.disks import disk_scan
from ronchi.builtin.params_transforms import BinParams, CropParams
from ronchi.builtin.transforms_geometry import Bin, Crop, sum_bins, sum_dtype
from ronchi.errors import DataError
from ronchi.schema import fourd
from ronchi.schema.common import variable

CTX = Context(rng=np.random.default_rng(0))


def scan(shape: tuple[int, ...] = (4, 6, 12, 10), dtype: str = "u2") -> xr.Dataset:
    rng = np.random.default_rng(1)
    data = fourd.make(
        rng.integers(0, 200, shape).astype(dtype),
        scan_step=(2.0, 3.0),
        q_step=(0.02, 0.03),
        probe=rng.random(shape[2:], "f4"),
        bad_pixel=np.arange(shape[2] * shape[3]).reshape(shape[2:]) == 17,
        valid=np.arange(shape[0] * shape[1]).reshape(shape[:2]) != 5,
        dose=100.0,
    )
    for axis, name in enumerate(("origin_y", "origin_x")):
        data[name] = variable(("scan_y", "scan_x"), np.full(shape[:2], 5.0 + axis), "pixel", name)
    return data


def crop(data: xr.Dataset, **params: Any) -> xr.Dataset:
    return Crop(CropParams.model_validate(params)).apply(data=data, ctx=CTX)


def bin_(data: xr.Dataset, **params: Any) -> xr.Dataset:
    return Bin(BinParams.model_validate(params)).apply(data=data, ctx=CTX)


def test_crop_by_index_keeps_coordinates_and_moves_origin_maps() -> None:
    data = scan()
    cut = crop(data, scan_x=(1, 4), qy=(3, None), qx=(None, -2))
    np.testing.assert_array_equal(cut["intensity"], data["intensity"][:, 1:4, 3:, :-2])
    np.testing.assert_array_equal(cut["qy"], data["qy"][3:])
    # The direct beam stays at the same q while its pixel moves.
    assert fourd.centre_px(cut) == pytest.approx((fourd.centre_px(data)[0] - 3, fourd.centre_px(data)[1]))
    assert cut["origin_y"].values[0, 0] == 2
    assert cut["origin_x"].values[0, 0] == 6
    assert data["origin_y"].values[0, 0] == 5
    assert cut["probe"].shape == cut["bad_pixel"].shape == (9, 8)


def test_crop_by_coordinate_includes_both_ends() -> None:
    cut = crop(scan(), by="coordinate", scan_x=(3.0, 9.0), qx=(-0.06, 0.031))
    assert cut["scan_x"].values.tolist() == [3, 6, 9]
    np.testing.assert_allclose(cut["qx"], [-0.06, -0.03, 0, 0.03], atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.floats(1e-3, 1e3), st.data())
def test_crop_by_coordinate_survives_rounding(step: float, draw: st.DataObject) -> None:
    """Ends that are computed otherwise than the coordinates, and differ from them by rounding, are included."""
    data = fourd.make(np.zeros((1, 1, 3, 40), "u1"), q_step=(1.0, step))
    first = draw.draw(st.integers(0, 39))
    last = draw.draw(st.integers(first, 39))
    low, high = ((np.arange(40.0) * step - 20 * step)[[first, last]] * (1 + np.array([1, -1]) * 4e-16)).tolist()
    cut = crop(data, by="coordinate", qx=(low, high))
    np.testing.assert_array_equal(cut["qx"], data["qx"][first : last + 1])
    # A hundredth of a step is no rounding.
    inner = crop(data, by="coordinate", qx=(low - 0.99 * step, high + 0.99 * step))
    np.testing.assert_array_equal(inner["qx"], cut["qx"])


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"scan_x": (4, 4)}, "has 6 elements"),
        ({"scan_x": (9, 12)}, "has 6 elements"),
        ({"qy": (0.5, 2)}, "whole"),
        ({"by": "coordinate", "qx": (1, 2)}, "1/angstrom"),
    ],
)
def test_empty_crops_are_refused_in_words(params: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        crop(scan(), **params)


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"scan_x": (0, 300)}, "the range (0.0, 300.0) of scan_x goes beyond the data: it has 6 elements"),
        ({"by": "coordinate", "scan_x": (3, 300)}, "the range (3.0, 300.0) of scan_x goes beyond the data: it runs"),
        ({"scan_x": (-6, 6), "qy": (2, None)}, ""),
        ({"by": "coordinate", "scan_x": (-1, 9)}, ""),
    ],
)
def test_a_range_that_the_data_cut_is_told(params: dict[str, Any], told: str, caplog: Any) -> None:
    crop(scan(), **params)
    assert [message.startswith(told) for message in caplog.messages] == [True] * bool(told)


def test_crop_stays_lazy() -> None:
    assert crop(scan().chunk(scan_y=1), qx=(2, 6))["intensity"].chunks is not None


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.integers(1, 4)] * 4), st.sampled_from(["u1", "u2", "i4", "f4"]))
def test_bins_hold_the_sum_and_the_mean_coordinate(factors: tuple[int, ...], dtype: str) -> None:
    data = scan(dtype=dtype)
    binned = bin_(data, scan=factors[:2], detector=factors[2:])
    for dim, factor in zip(fourd.DIMS, factors, strict=True):
        size = data.sizes[dim] // factor
        assert binned.sizes[dim] == size
        expected = data[dim].values[: size * factor].reshape(size, factor).mean(1)
        np.testing.assert_allclose(binned[dim], expected, atol=1e-12)
    whole = data["intensity"].isel(
        {d: slice(0, data.sizes[d] // f * f) for d, f in zip(fourd.DIMS, factors, strict=True)}
    )
    assert binned["intensity"].values.sum(dtype=float) == pytest.approx(whole.values.sum(dtype=float))
    first = whole.values[tuple(slice(0, f) for f in factors)].sum(dtype=float)
    assert binned["intensity"].values[0, 0, 0, 0] == pytest.approx(first)
    assert binned.attrs["dose"] == 100 * factors[0] * factors[1]


def test_a_beam_stays_at_its_q_when_binned() -> None:
    """Centre of mass in q, before and after, at odd and even factors; the slope within a bin is worth 0.003 px."""
    data = disk_scan(np.random.default_rng(0), scan_shape=(1, 1), noise=False, pattern_shape=(96, 90)).data

    def centre(ds: xr.Dataset) -> tuple[float, float]:
        frame = ds["intensity"].values[0, 0].astype(float)
        return float((frame.sum(1) * ds["qy"]).sum() / frame.sum()), float(
            (frame.sum(0) * ds["qx"]).sum() / frame.sum()
        )

    for factors in ((2, 3), (3, 2)):
        assert centre(bin_(data, detector=factors)) == pytest.approx(centre(data), abs=6e-5)


def test_bin_follows_masks_and_origins() -> None:
    binned = bin_(scan(), detector=(2, 2), scan=(2, 1))
    assert binned["bad_pixel"].values.sum() == 1
    assert binned["bad_pixel"].values[0, 3] == 1
    assert binned["valid"].values[0, 5] == 0
    assert list(binned.data_vars) == list(scan().data_vars)
    assert list(binned.sizes) == list(fourd.DIMS)
    assert binned["probe"].sum() == pytest.approx(float(scan()["probe"].sum()), rel=1e-6)
    # Pixels 4 and 5 make bin 2, whose middle lies at 4.5.
    assert binned["origin_y"].values[0, 0] == pytest.approx(2.25)
    assert binned["origin_x"].values[0, 0] == pytest.approx(2.75)


@pytest.mark.parametrize(("dtype", "count", "wide"), [
    ("u1", 4, "u4"), ("u2", 4, "u4"), ("u2", 65537, "u4"), ("u2", 65538, "u8"), ("u4", 2, "u8"), ("i2", 4, "i4"),
    ("f4", 4, "f4"), ("f8", 4, "f8"), ("f2", 4, "f4"), ("u2", 1, "u2"),
])  # fmt: skip
def test_sums_cannot_overflow(dtype: str, count: int, wide: str) -> None:
    assert sum_dtype(np.dtype(dtype), count) == np.dtype(wide)


def test_saturated_counts_add_up() -> None:
    full = np.full((1, 1, 4, 4), 65535, "u2")
    assert sum_bins(full, (1, 1, 4, 4), np.dtype("u4")).item() == 16 * 65535


@pytest.mark.parametrize("dtype", ["u2", "i2", "f4"])
def test_a_probe_of_counts_does_not_overflow(dtype: str) -> None:
    high = 60000 if dtype != "i2" else 30000
    data = fourd.make(np.zeros((1, 1, 4, 4), "u1"), probe=np.full((4, 4), high, dtype))
    assert (bin_(data, detector=2)["probe"] == 4 * high).all()
    assert bin_(data, scan=1)["probe"].identical(data["probe"])


def test_means_of_whole_numbers_are_not_cut_off() -> None:
    data = scan((2, 2, 4, 4))
    data["exposure"] = variable(("scan_y", "scan_x"), np.array([[1, 2], [2, 2]]), "ms", "exposure")
    assert bin_(data, scan=2)["exposure"].values.tolist() == [[1.75]]


@pytest.mark.parametrize(("detector", "ratio"), [((2, 2), 2), ((1, 1), 1), ((4, 1), 2)])
def test_residuals_of_the_origin_are_in_binned_pixels(detector: tuple[int, int], ratio: float) -> None:
    data = scan()
    data["origin_residual"] = variable(("scan_y", "scan_x"), np.full((4, 6), 0.8), "pixel", "residual")
    data.attrs["origin_residual_px"] = 0.8
    binned = bin_(data, detector=detector, scan=2, remainder="drop")
    np.testing.assert_allclose(binned["origin_residual"], 0.8 / ratio)
    assert binned["origin_residual"].attrs == data["origin_residual"].attrs
    assert binned.attrs["origin_residual_px"] == pytest.approx(0.8 / ratio)
    assert data.attrs["origin_residual_px"] == 0.8


@pytest.mark.parametrize("bare", [False, True])
def test_positions_off_the_grid_become_those_of_the_bins(bare: bool) -> None:
    data = scan()
    places = {
        "time": variable("scan_x", np.arange(6), "s", "time"),
        "label": variable("scan_x", list("abcdef"), "1", "label"),
        "run": variable((), "7", "1", "run"),
    }
    for name, values in zip(fourd.POSITIONS, np.random.default_rng(2).random((2, 4, 6)), strict=True):
        places[name] = variable(("scan_y", "scan_x"), values, "angstrom", name)
    data = data.assign_coords(places)
    if bare:
        data = data[["intensity"]]
    binned = bin_(data, scan=(2, 3))
    for name in fourd.POSITIONS:
        assert name in binned.coords
        np.testing.assert_allclose(binned[name], data[name].values.reshape(2, 2, 2, 3).mean((1, 3)), rtol=1e-12)
        assert binned[name].attrs == data[name].attrs
    assert binned["time"].values.tolist() == [1, 4]
    # Text has no mean; what is not binned stays.
    assert "label" not in binned.variables
    assert binned["run"] == "7"
    kept = bin_(data, scan=(2, 1))
    assert kept["label"].identical(data["label"])
    assert kept["time"].identical(data["time"])


def test_bin_is_lazy_whatever_the_chunks() -> None:
    data = scan((5, 7, 12, 10))
    eager = bin_(data, detector=(2, 2), scan=(2, 3))["intensity"]
    for chunks in ({"scan_y": 1, "scan_x": 1}, {"scan_y": 3, "scan_x": 2, "qy": 5}):
        lazy = bin_(data.chunk(chunks), detector=(2, 2), scan=(2, 3))["intensity"]
        assert lazy.chunks is not None
        np.testing.assert_array_equal(lazy, eager)


def test_a_scan_without_extras_and_one_with_a_scalar() -> None:
    bare = fourd.make(np.ones((2, 2, 4, 4), "u2"))
    assert bin_(bare, detector=(2, 2))["intensity"].values.max() == 4
    tagged = bare.assign(time=variable((), 3.0, "s", "time"))
    assert bin_(tagged, scan=(2, 2))["time"] == 3


def test_bins_that_do_not_fit() -> None:
    with pytest.raises(DataError, match="qx has 10 elements, fewer"):
        bin_(scan(), detector=(1, 11))
    with pytest.raises(DataError, match="do not fill"):
        bin_(scan(), detector=(5, 1), remainder="error")
    with pytest.raises(ValueError, match="1 or more"):
        BinParams.model_validate({"scan": (0, 1)})


def test_one_number_bins_both_axes() -> None:
    data = scan()
    assert bin_(data, detector=2, scan=2).identical(bin_(data, detector=(2, 2), scan=(2, 2)))
    with pytest.raises(ValueError, match="1 or more"):
        BinParams(detector=0)

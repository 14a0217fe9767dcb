"""Bad pixels: all found, disks left alone, values filled lazily."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import ronchi
from ronchi.api import Context
from ronchi.bad_pixels import BadPixelFill, left_out
from ronchi.builtin import filling
from ronchi.builtin.bad_pixels import BadPixels
from ronchi.builtin.disks import disk_scan
from ronchi.builtin.filling import fill_bad
from ronchi.builtin.params_transforms import BadPixelsParams, BinParams
from ronchi.builtin.patterns import float_frames, mean_and_variance, sample_runs
from ronchi.builtin.reduce import reduce_scan
from ronchi.builtin.transforms_geometry import Bin
from ronchi.errors import DataError
from ronchi.schema import fourd

CTX = Context(rng=np.random.default_rng(0))


def apply(data: xr.Dataset, **params: Any) -> xr.Dataset:
    return BadPixels(BadPixelsParams.model_validate(params)).apply(data=data, ctx=CTX)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("radius", "edge", "dose"), [(5.0, 0.5, 2e4), (2.0, 0.4, 1e5), (8.0, 0.3, 1e6)])
def test_hot_pixels_are_found_and_disks_are_not(seed: int, radius: float, edge: float, dose: float) -> None:
    scan = disk_scan(
        np.random.default_rng(seed), scan_shape=(8, 8), hot_pixels=25, radius_px=radius, edge_px=edge, dose_e=dose
    )
    found = apply(scan.data)["bad_pixel"].values.astype(bool)
    np.testing.assert_array_equal(found, scan.sides["truth_maps"]["bad_pixel"].values.astype(bool))


def test_dead_pixels_in_the_light_are_found() -> None:
    scan = disk_scan(np.random.default_rng(4), scan_shape=(8, 8), dead_pixels=200, background_fraction=0.5, dose_e=1e6)
    found = apply(scan.data)["bad_pixel"].values.astype(bool)
    truth = scan.sides["truth_maps"]["bad_pixel"].values.astype(bool)
    assert not (found & ~truth).any()
    assert found[truth].mean() >= 0.99  # of 200, seed 4: larger groups may hide each other


def test_shared_scan_has_no_bad_pixels(shared_data: Any) -> None:
    from ronchi.builtin.native import open_native

    with open_native(shared_data / "sim" / "sige_onzone.nc").data as data:
        assert apply(data)["bad_pixel"].values.sum() == 0


def test_known_pixels_join_those_already_marked() -> None:
    data = fourd.make(np.ones((1, 1, 6, 6), "u2"), bad_pixel=np.eye(6) * (np.arange(6) == 2))
    assert np.argwhere(apply(data, find=False, known=[(0, 3)])["bad_pixel"].values).tolist() == [[0, 3], [2, 2]]
    with pytest.raises(DataError, match=r"\(6, 0\) lies outside"):
        apply(data, known=[(6, 0)])
    with pytest.raises(DataError, match="every pixel"):
        apply(data.assign(bad_pixel=data["bad_pixel"] * 0 + 1))


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_filled_from_good_neighbours_only_and_lazily(dtype: str) -> None:
    intensity = np.full((2, 3, 12, 10), 7, dtype)
    intensity[..., 4, 4] = intensity[..., 4, 5] = intensity[..., 0, 0] = 250
    data = fourd.make(intensity).chunk(scan_y=1)
    filled = apply(data, find=False, known=[(4, 4), (4, 5), (0, 0)], fill=True)
    assert filled["intensity"].chunks is not None
    assert filled["intensity"].dtype == dtype
    # Weights of float32 add up to 1 within some rounding; counts are rounded themselves.
    np.testing.assert_allclose(filled["intensity"], 7, rtol=3e-7 if dtype == "f4" else 0)
    assert intensity.max() == 250


def test_a_large_hole_is_filled() -> None:
    bad = np.zeros((15, 15), bool)
    bad[3:12, 3:12] = True
    frames = np.where(bad, 99.0, 2.0)[None]
    np.testing.assert_allclose(fill_bad(frames, bad), 2, rtol=1e-14)


def cross(shape: tuple[int, int]) -> Any:
    """Gaps of a detector of four chips, 4 px wide, and some hot pixels."""
    bad = np.random.default_rng(0).random(shape) < 0.01
    bad[14:18] = bad[:, 20:24] = True
    return bad


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4", "f8"])
def test_the_transform_fills_as_detectors_do(dtype: str) -> None:
    """A detector that knows the mask and one that gets filled patterns see the same, up to rounding to whole counts."""
    patterns = np.random.default_rng(1).gamma(2, 20, (2, 3, 32, 40)).clip(0, 255).astype(dtype)
    bad = cross((32, 40))
    data = fourd.make(patterns, bad_pixel=bad).chunk(scan_x=1)
    filled = apply(data, find=False, fill=True)["intensity"].values.reshape(-1, 32, 40)
    expected = BadPixelFill(bad)(patterns.reshape(-1, 32, 40))
    np.testing.assert_array_equal(filled[:, ~bad], patterns.reshape(-1, 32, 40)[:, ~bad])
    # Half a count and what float32 leaves of it, or float32 itself.
    np.testing.assert_allclose(filled, expected, rtol=1e-6, atol=0.5001 if dtype[0] in "iu" else 0)
    np.testing.assert_allclose(mean_and_variance(data).mean, BadPixelFill(bad)(
        patterns.mean((0, 1), dtype=float)[None])[0], rtol=1e-5)  # fmt: skip


def test_neighbours_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Counted(BadPixelFill):
        def __init__(self, bad: Any) -> None:
            made.append(bad.shape)
            super().__init__(bad)

    monkeypatch.setattr(filling, "BadPixelFill", Counted)
    filling._fill.cache_clear()
    data = fourd.make(np.ones((3, 4, 32, 40), "u2"), bad_pixel=cross((32, 40))).chunk(scan_y=1, scan_x=1)
    assert (apply(data, fill=True)["intensity"].values == 1).all()
    assert made == [(32, 40)]
    filling._fill.cache_clear()


@pytest.mark.parametrize("radius", [1.5, 2.0])
def test_a_small_disk_outlives_a_bad_pixel_in_its_middle(radius: float) -> None:
    """Most pixels of a window of 5 x 5 around it are dark: a median would make a hole."""
    y, x = np.indices((25, 25)) - 12
    disk = np.clip(radius + 0.5 - np.hypot(y, x), 0, 1) * 100
    bad = np.hypot(y, x) < 0.5
    filled = fill_bad(np.where(bad, 65535, disk).astype("u2"), bad)
    assert 85 <= filled[12, 12] <= 100


def test_sparse_counts_are_kept_on_average() -> None:
    """0.7 electrons a pixel; the noise of 68 000 filled ones is 0.001, rounding to whole counts costs 0.015."""
    bad = np.zeros((40, 40), bool)
    bad[1::3, 1::3] = True
    frames = np.random.default_rng(3).poisson(0.7, (400, 40, 40)).astype("u2")
    assert fill_bad(frames, bad)[:, bad].mean() == pytest.approx(0.7, abs=0.02)


def test_filling_makes_nan_usable() -> None:
    intensity = np.ones((1, 2, 8, 8), "f4")
    intensity[0, 1, 3, 3] = np.nan
    data = fourd.make(intensity)
    with pytest.raises(DataError, match=r"scan position \(0, 1\) holds NaN"):
        apply(data)
    assert np.isfinite(apply(data, find=False, known=[(3, 3)], fill=True)["intensity"]).all()


def test_statistics_merge_like_one_block() -> None:
    values = np.random.default_rng(0).poisson(1e4, (40, 30, 64, 64)).astype("u2")
    mean, variance, count = mean_and_variance(fourd.make(values))
    assert count == 1200
    np.testing.assert_allclose(mean, values.mean((0, 1)), rtol=1e-9)
    np.testing.assert_allclose(variance, values.var((0, 1)), rtol=1e-4)  # squares are taken in float32
    some = np.concatenate([np.arange(*span) for span in sample_runs(1200, 20)])
    sampled = mean_and_variance(fourd.make(values), 20).mean
    np.testing.assert_allclose(sampled, values.reshape(-1, 64, 64)[some].mean(0), rtol=1e-9)


def broken_scan() -> tuple[xr.Dataset, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Patterns with NaN in one marked pixel and all over the positions that are not valid."""
    values = np.random.default_rng(0).poisson(50, (6, 8, 16, 16)).astype("f4")
    valid = np.ones((6, 8), bool)
    valid[2, 3] = valid[5] = False
    bad = np.zeros((16, 16), bool)
    bad[7, 7] = True
    values[~valid] = np.nan
    values[..., 7, 7] = np.nan
    return fourd.make(values, valid=valid, bad_pixel=bad), valid, bad


def test_statistics_leave_out_what_is_not_valid_and_fill_what_is_bad() -> None:
    data, valid, bad = broken_scan()
    mean, variance, n = mean_and_variance(data)
    assert n == valid.sum() == 39
    good = data["intensity"].values[valid][:, ~bad]
    np.testing.assert_allclose(mean[~bad], good.mean(0, dtype=float), rtol=1e-6)
    np.testing.assert_allclose(variance[~bad], good.var(0, dtype=float), rtol=1e-4)
    assert mean[7, 7] == pytest.approx(50, abs=3)  # of 8 means of 39 counts of 50
    lit = fourd.validate(data.assign(valid=data["valid"] * 0))
    with pytest.raises(DataError, match="no pattern is valid"):
        mean_and_variance(lit)


def test_a_sample_that_hits_no_valid_pattern_looks_at_all() -> None:
    values = np.ones((1, 200, 4, 4), "f4")
    valid = np.zeros((1, 200), bool)
    valid[0, 2] = True
    values[0, 2] = 7
    mean, _, n = mean_and_variance(fourd.make(values, valid=valid), 8)
    assert n == 1
    assert (mean == 7).all()


def test_bad_pixels_are_searched_for_in_valid_patterns_and_beside_known_ones() -> None:
    data, *_ = broken_scan()
    assert apply(data)["bad_pixel"].values.sum() == 1
    assert apply(data.drop_vars("bad_pixel"), known=[(7, 7)])["bad_pixel"].values.sum() == 1
    filled = apply(data, fill=True)["intensity"].values
    assert np.isfinite(filled[data["valid"].values == 1]).all()


def test_a_number_that_single_precision_cannot_hold_is_not_called_nan() -> None:
    frames = np.ones((2, 4, 5))
    frames[1, 2, 3] = -1e300
    none = np.zeros((4, 5), bool)
    with pytest.raises(DataError, match=r"\(0, 1\) holds -1e\+300, more than single precision holds, .* \(2, 3\)"):
        float_frames(frames, np.arange(2), 2, none)
    frames[1, 2, 3] = np.inf
    with pytest.raises(DataError, match="holds NaN or infinity"):
        float_frames(frames, np.arange(2), 2, none)


def test_the_message_about_nan_says_what_to_do() -> None:
    data, *_ = broken_scan()
    with pytest.raises(DataError, match=r"pixel \(7, 7\)\n.*set `valid` to 0 there, or .*find: false, known: \[…\]"):
        apply(data.drop_vars("bad_pixel"))


@pytest.mark.parametrize(("total", "n"), [(1, 1), (9, 8), (1200, 20), (16384, 512), (100, 99)])
def test_samples_are_inside_spread_evenly_and_about_as_many_as_asked(total: int, n: int) -> None:
    some = np.concatenate([np.arange(*span) for span in sample_runs(total, n)])
    assert len(np.unique(some)) >= min(n, total) / 2
    assert some.min() >= 0
    assert some.max() < total
    assert len(some) <= n + 8
    if total > 1000:
        assert len(np.unique(some)) == len(some)
        # Evenly spread: the middle of the sample is the middle of the scan.
        assert some.mean() == pytest.approx(total / 2, abs=8)


def beam_over_a_gap(fill: bool) -> tuple[xr.Dataset, np.ndarray[Any, Any]]:
    """A disk of 1.16e5 counts that wanders by 2 px, over a gap of two columns in its edge; and where along x it is."""
    x0 = np.linspace(-1, 1, 9)
    y, x = np.mgrid[-16:16, -16:16]
    patterns = 1000 / (1 + np.exp((np.hypot(y, x - x0[:, None, None]) - 6) / 0.5))
    gap = np.zeros((32, 32), bool)
    gap[:, 21:23] = True
    counts = np.where(gap, 0, np.rint(patterns)).astype("u2")[None]
    return apply(fourd.make(counts, bad_pixel=gap), find=False, fill=fill), x0


def test_images_and_centres_of_mass_take_filled_values() -> None:
    data, x0 = beam_over_a_gap(fill=True)
    seen = reduce_scan(data, com=True)
    left = reduce_scan(beam_over_a_gap(fill=False)[0], com=True)
    # The gap holds 3 to 12 % of the disk; its neighbours put up to 3 % of it too much there.
    assert (left["sum"] < 0.98 * 1.157e5).all()
    np.testing.assert_allclose(seen["sum"], 1.157e5, rtol=0.04)
    assert np.isfinite(seen["mean_pattern"]).all()
    assert np.abs(left["com_x"].values[0] - x0).max() > 0.4
    assert np.abs(seen["com_x"].values[0] - x0).max() < 0.25


def test_filled_pixels_are_still_marked_and_fill_their_bins() -> None:
    data, _ = beam_over_a_gap(fill=True)
    assert data["bad_pixel"].values.sum() == 64
    binned = Bin(BinParams(detector=(2, 2))).apply(data=data, ctx=CTX)
    assert binned["bad_pixel"].values.sum() == 0
    assert int(binned["intensity"].sum()) == int(data["intensity"].sum())
    marked = Bin(BinParams(detector=(2, 2))).apply(data=beam_over_a_gap(fill=False)[0], ctx=CTX)
    assert marked["bad_pixel"].values.sum() == 32
    whole = Bin(BinParams(detector=(1, 3))).apply(data=data.isel(qx=slice(20, 26)), ctx=CTX)
    assert not left_out(whole["bad_pixel"]).any()


def test_what_is_marked_later_is_filled_too_and_other_masks_are_not_filled() -> None:
    data, _ = beam_over_a_gap(fill=True)
    more = apply(data, find=False, known=[(16, 16)])
    assert more["bad_pixel"].values.sum() == 65
    assert not left_out(more["bad_pixel"]).any()
    assert more["intensity"].values[0, 4, 16, 16] == 1000
    fresh = data.assign(bad_pixel=(("qy", "qx"), data["bad_pixel"].values, {"units": "1"}))
    assert left_out(fresh["bad_pixel"]).sum() == 64


def test_that_pixels_are_filled_survives_a_file(tmp_path: Any) -> None:
    from ronchi.builtin.native import open_native

    for name in ("scan.nc", "scan.zarr"):
        ronchi.write(beam_over_a_gap(fill=True)[0], tmp_path / name)
        with open_native(tmp_path / name).data as data:
            assert data["bad_pixel"].values.sum() == 64
            assert not left_out(data["bad_pixel"]).any()

"""The origin: found where the truth says, fitted over the scan, and used for coordinates or shifts."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ronchi.api import Context, Result
from ronchi.builtin.beam import quadratic_peak
from ronchi.builtin.centring import Centre, shift_frames
from ronchi.builtin.disks import disk_scan
from ronchi.builtin.params_transforms import BinParams, CentreParams
from ronchi.builtin.reduce import reduce_scan
from ronchi.builtin.surface import fit_surface
from ronchi.builtin.transforms_geometry import Bin
from ronchi.errors import CalibrationError, DataError
from ronchi.schema import fourd

CTX = Context(rng=np.random.default_rng(0))


def centre(data: xr.Dataset, **params: Any) -> xr.Dataset:
    return Centre(CentreParams.model_validate(params)).apply(data=data, ctx=CTX)


def errors(result: xr.Dataset, scan: Result) -> np.ndarray[Any, Any]:
    truth = scan.sides["truth_maps"]
    return np.stack([(result[n] - truth[n]).values for n in ("origin_y", "origin_x")], -1)


@pytest.mark.parametrize("method", ["com", "correlation"])
@pytest.mark.parametrize("shape", [(96, 96), (95, 101)])
def test_origins_reach_the_accuracy_that_the_counts_allow(method: str, shape: tuple[int, int]) -> None:
    """The bound sqrt(2 a R / N) is 0.033 px; a plane fitted to 96 knows its corners to 0.27 of that."""
    scan = disk_scan(np.random.default_rng(1), scan_shape=(8, 12), pattern_shape=shape, descan_px=(3, -4))
    bound = np.sqrt(2 * 0.5 * 5 / (20000 * 0.25 * 0.95))
    single = errors(centre(scan.data, method=method, fit="none"), scan)
    assert np.sqrt((single**2).mean()) < 1.5 * bound
    fitted = errors(centre(scan.data, method=method), scan)
    assert np.abs(fitted).max() < 0.05
    assert np.abs(fitted.mean((0, 1))).max() < 0.02


def test_correlation_minds_structure_inside_the_disk_less() -> None:
    scan = disk_scan(np.random.default_rng(1), scan_shape=(8, 8), slope=0.5)
    rms = [np.sqrt((errors(centre(scan.data, method=m, fit="none"), scan) ** 2).mean()) for m in ("com", "correlation")]
    assert rms[1] < 0.85 * rms[0]


def test_hot_pixels_that_are_marked_do_not_pull() -> None:
    scan = disk_scan(np.random.default_rng(3), scan_shape=(4, 8), hot_pixels=150, pattern_shape=(64, 64))
    marked = scan.data.assign(bad_pixel=scan.sides["truth_maps"]["bad_pixel"])
    assert np.abs(errors(centre(marked, method="correlation"), scan)).max() < 0.1


def bad_pixels_in_the_disk(scan: Result, value: float) -> xr.Dataset:
    """Mark two pixels of the direct beam, right of its middle, and store ``value`` there."""
    data, truth = scan.data.copy(deep=True), scan.sides["truth_maps"]
    y, x = (round(float(truth[name].mean())) for name in ("origin_y", "origin_x"))
    bad = np.zeros((data.sizes["qy"], data.sizes["qx"]), "i1")
    bad[y + 3, x + 3] = bad[y, x + 4] = 1
    data["intensity"].values[..., bad == 1] = value
    return data.assign(bad_pixel=(("qy", "qx"), bad, {"units": "1", "long_name": "bad"}))


@pytest.mark.parametrize("method", ["com", "correlation"])
@pytest.mark.parametrize("value", [0, 60000])
def test_bad_pixels_in_the_disk_do_not_push_the_centre_away(method: str, value: float) -> None:
    scan = disk_scan(np.random.default_rng(3), scan_shape=(2, 3), noise=False, pattern_shape=(64, 64))
    with_bad = centre(bad_pixels_in_the_disk(scan, value), method=method, fit="none")
    without = centre(scan.data, method=method, fit="none")
    # Two of 80 px that are missing 4 px off the centre push by 0.08 px; the neighbours stand in for most of it.
    for name in ("origin_y", "origin_x"):
        np.testing.assert_allclose(with_bad[name], without[name], atol=0.015)


def test_shifting_fills_bad_pixels_first_and_drops_their_mask() -> None:
    scan = disk_scan(np.random.default_rng(3), scan_shape=(3, 5), descan_px=(6, -8), noise=False)
    marked = bad_pixels_in_the_disk(scan, 60000)
    result = centre(marked.chunk(scan_y=1), apply="shift", max_shift_px=8)
    assert result["intensity"].chunks is not None
    assert "bad_pixel" not in result
    assert "bad_pixel" in marked
    assert int(result["intensity"].max()) < 60000
    kept = centre(marked, apply="coordinates", max_shift_px=8)
    np.testing.assert_array_equal(kept["bad_pixel"], marked["bad_pixel"])
    np.testing.assert_array_equal(kept["intensity"], marked["intensity"])


@pytest.mark.parametrize("apply", ["coordinates", "shift"])
@pytest.mark.parametrize("method", ["com", "correlation"])
def test_positions_that_are_not_valid_are_left_out(method: str, apply: str) -> None:
    scan = disk_scan(np.random.default_rng(1), scan_shape=(4, 6), descan_px=(2, 2))
    valid = np.ones((4, 6), "i1")
    valid[1, 2] = valid[3] = 0
    broken = scan.data.astype("f4").assign(
        valid=(("scan_y", "scan_x"), valid, {"units": "1", "long_name": "recorded"}),
        intensity=scan.data["intensity"].where(valid[:, :, None, None] == 1).astype("f4"),
    )
    for name, var in scan.data.variables.items():
        broken[name].attrs = var.attrs
    broken.attrs = scan.data.attrs
    result = centre(broken, method=method, apply=apply)
    np.testing.assert_array_equal(np.isfinite(result["origin_residual"]), valid == 1)
    if apply == "coordinates":
        # 17 patterns: the plane is known to 0.05 px at the rows that were measured.
        assert np.abs(errors(result, scan)[:3]).max() < 0.1
    else:
        assert np.isnan(result["intensity"].values[1, 2]).any()


def test_a_start_among_bad_pixels_only_is_refused() -> None:
    bad = np.zeros((32, 32))
    bad[:, :24] = 1
    data = fourd.make(np.ones((1, 1, 32, 32)), bad_pixel=bad)
    with pytest.raises(DataError, match="around the start is bad"):
        centre(data, radius_px=3, start_px=(8, 8))


def test_coordinates_are_put_to_the_mean_origin() -> None:
    scan = disk_scan(np.random.default_rng(1), scan_shape=(4, 4), centre_px=(45.3, 50.6), noise=False)
    off = scan.data.assign_coords(qy=scan.data["qy"] + 0.05, qx=scan.data["qx"] - 0.03)
    for dim in ("qy", "qx"):
        off[dim].attrs = scan.data[dim].attrs
    result = centre(off)
    assert fourd.centre_px(result) == pytest.approx((45.3, 50.6), abs=0.01)
    assert fourd.q_step(result) == pytest.approx(fourd.q_step(off))
    np.testing.assert_array_equal(result["intensity"].values, off["intensity"].values)
    noted = centre(off, apply="note")
    np.testing.assert_array_equal(noted["qy"], off["qy"])
    assert off.attrs == scan.data.attrs


def test_shifted_patterns_share_one_origin_and_stay_lazy() -> None:
    scan = disk_scan(np.random.default_rng(1), scan_shape=(6, 8), descan_px=(9, -12))
    result = centre(scan.data.chunk(scan_y=2, scan_x=3), apply="shift", max_shift_px=9)
    assert result["intensity"].chunks is not None
    assert np.ptp(result["origin_y"].values) < 1.01
    again = centre(result.drop_vars(["origin_y", "origin_x", "origin_residual"]), fit="none")
    # A direct beam that varies by 10 px before varies by rounding only (0.5) after.
    assert np.abs(again["origin_y"] - again["origin_y"].mean()).max() < 0.7
    assert np.abs(again["origin_x"] - again["origin_x"].mean()).max() < 0.7
    np.testing.assert_allclose(again["origin_x"], result["origin_x"], atol=0.2)
    assert result["intensity"].dtype == scan.data["intensity"].dtype


@settings(max_examples=30, deadline=None)
@given(st.integers(-9, 9), st.integers(-9, 9))
def test_shift_moves_down_and_right_and_fills_with_zeros(dy: int, dx: int) -> None:
    frames = np.arange(1, 43, dtype="u2").reshape(1, 1, 6, 7)
    moved = shift_frames(frames, np.array([dy, dx], np.int32).reshape(1, 1, 1, 2))[0, 0]
    expected = np.zeros((6, 7), "u2")
    for y, x in np.ndindex(6, 7):
        if 0 <= y - dy < 6 and 0 <= x - dx < 7:
            expected[y, x] = frames[0, 0, y - dy, x - dx]
    np.testing.assert_array_equal(moved, expected)


@pytest.mark.parametrize("order", ["mean", "plane", "parabola"])
def test_surfaces_ignore_outliers_and_gaps(order: Any) -> None:
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(np.linspace(-1, 1, 12), np.linspace(-1, 1, 15), indexing="ij")
    terms = {"mean": 0 * y, "plane": 2 * y - x, "parabola": 2 * y - x + 1.5 * y * x - y * y + 0.5 * x * x}
    truth = 40 + terms[order]
    measured = truth + rng.normal(0, 0.05, truth.shape)
    measured[rng.random(truth.shape) < 0.2] += 10  # 20 % of the patterns have found another disk
    measured[0, :3] = np.nan
    fitted = fit_surface(measured, order)
    # 144 good points at 0.05 and 6 coefficients: 0.01 rms, twice that at the corners.
    assert np.abs(fitted - truth).max() < 0.04
    assert np.abs(fit_surface(measured, order, robust=False) - truth).max() > 0.5


def test_surface_of_one_row_one_point_and_nothing() -> None:
    np.testing.assert_allclose(fit_surface(np.arange(5.0)[None], "plane"), np.arange(5.0)[None], atol=1e-12)
    np.testing.assert_allclose(fit_surface(np.full((1, 1), 3.0), "parabola"), 3, atol=1e-12)
    assert np.isnan(fit_surface(np.full((2, 2), np.nan), "plane")).all()


def test_quadratic_peak_is_exact_for_a_quadratic() -> None:
    y, x = np.mgrid[-1:2, -1:2].astype(float)
    top = 5 - 2 * (y - 0.3) ** 2 - (x + 0.2) ** 2 + 0.5 * (y - 0.3) * (x + 0.2)
    np.testing.assert_allclose(quadratic_peak(top[None]), [[0.3, -0.2]], atol=1e-12)
    np.testing.assert_array_equal(quadratic_peak(np.zeros((1, 3, 3))), [[0, 0]])


def test_an_empty_pattern_is_left_out_of_the_fit() -> None:
    scan = disk_scan(np.random.default_rng(1), scan_shape=(4, 6), descan_px=(2, 2))
    scan.data["intensity"].values[1, 2] = 0
    for method in ("com", "correlation"):
        result = centre(scan.data, method=method)
        assert np.isnan(result["origin_residual"].values[1, 2])
        assert np.isfinite(result["origin_residual"].values).sum() == 23
        assert np.abs(errors(result, scan)).max() < 0.1


def disk_patterns(columns: list[float], radius: float = 6) -> xr.Dataset:
    """One scan row of 48 x 48 patterns of 100 counts a pixel, with a disk at row 24 and the given columns."""
    y, x = np.ogrid[:48, :48]
    frames = [100 / (1 + np.exp((np.hypot(y - 24, x - at) - radius) / 0.5)) for at in columns]
    return fourd.make(np.rint(frames)[None].astype("u2"))


@pytest.mark.parametrize("method", ["com", "correlation"])
def test_a_beam_outside_the_search_is_not_measured_and_many_are_told(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    data = disk_patterns([24, 24, 26.5, 20, 33, 15, 36])
    params = {"method": method, "fit": "none", "radius_px": 6, "start_px": (24, 24), "max_shift_px": 5}
    residual = centre(data, **params)["origin_residual"].values[0]
    np.testing.assert_array_equal(np.isnan(residual), [False] * 4 + [True] * 3)
    assert "3 of 7 positions" in caplog.text
    assert "max_shift_px" in caplog.text
    caplog.clear()
    found = centre(disk_patterns([24.3] * 20 + [33]), **params)["origin_x"].values[0]
    # One of 21 is below 5 %: a lost pattern here and there is what the robust fit is for.
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    np.testing.assert_allclose(found[:20], 24.3, atol=0.05)


def test_a_correlation_may_end_near_the_limit_but_needs_a_pixel_to_start_from() -> None:
    params = {"method": "correlation", "fit": "none", "radius_px": 6}
    found = centre(disk_patterns([28.8]), **params, start_px=(24, 24), max_shift_px=5)["origin_x"].item()
    assert found == pytest.approx(28.8, abs=0.05)
    # The nearest pixel is 0.7 px off, where no beam may be: the first pixel of the pattern is no answer.
    with pytest.raises(CalibrationError, match="no pattern has a direct beam"):
        centre(disk_patterns([24]), **params, start_px=(24.5, 24.5), max_shift_px=0.6)


def test_what_is_missing_is_named() -> None:
    plain = fourd.make(np.ones((1, 1, 16, 16)))
    with pytest.raises(CalibrationError, match="radius of the direct beam is unknown"):
        centre(plain)
    with pytest.raises(CalibrationError, match="no pattern has a direct beam"):
        centre(fourd.make(np.zeros((1, 1, 16, 16))), radius_px=3, start_px=(8, 8))
    with pytest.raises(DataError, match="outside the pattern"):
        centre(plain, radius_px=3, start_px=(99, 1))
    broken = np.ones((2, 2, 16, 16))
    broken[1, 0, 8, 8] = np.nan
    with pytest.raises(DataError, match=r"\(1, 0\) holds NaN"):
        centre(fourd.make(broken), radius_px=3, start_px=(8, 8))


@pytest.mark.parametrize("how", ["coordinates", "shift"])
def test_a_centre_of_mass_is_from_the_origin_of_its_pattern(how: str) -> None:
    """Moves by whole pixels left stairs of 0.3 px rms; the drift of 2 px came back whole without them."""
    data = centre(disk_patterns([20 + 0.13 * n for n in range(16)]), radius_px=6, apply=how)
    seen = reduce_scan(data, sum_image=False, mean_pattern=False, com=True)
    assert np.abs(seen["com_x"].values).max() < 0.02
    binned = Bin(BinParams(detector=(2, 2))).apply(data=data, ctx=CTX)
    assert np.abs(reduce_scan(binned, com=True)["com_x"].values).max() < 0.02

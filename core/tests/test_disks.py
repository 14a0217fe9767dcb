"""The analytic scans: the truth beside them is exact, and the counts are what was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ronchi import schema
from ronchi.api import Context, Result
from ronchi.builtin.disks import Disks, disk_scan
from ronchi.builtin.disks_geometry import deformation_gradient
from ronchi.builtin.params_disks import DisksParams
from ronchi.schema import fourd, peaks


def scan(seed: int = 0, **changes: Any) -> Result:
    return disk_scan(np.random.default_rng(seed), **{"scan_shape": (1, 4), **changes})


def measured_deformation(result: Result) -> np.ndarray[Any, Any]:
    """F in (y, x) order at the first position against the params' lattice, from the exact peaks alone."""
    at = peaks.at(result.sides["truth_peaks"], 0, 0)
    hk = np.stack([np.ones(at.sizes["peak"]), at["h"].values, at["k"].values], 1)
    fitted = np.linalg.lstsq(hk, np.stack([at["qy"].values, at["qx"].values], 1), rcond=None)[0][1:].T
    p = DisksParams.model_validate({})
    reference = np.array([p.g1_px, p.g2_px]).T * np.array(fourd.q_step(result.data))[:, None]
    deformation: np.ndarray[Any, Any] = np.linalg.inv(fitted @ np.linalg.inv(reference)).T
    return deformation


def test_sides_follow_their_schemas_and_carry_truth() -> None:
    result = scan(hot_pixels=2)
    schema.validate(result.data)
    for name in ("truth", "truth_peaks", "truth_maps"):
        assert schema.validate(result.sides[name]).attrs["is_truth"] == 1


@settings(max_examples=20, deadline=None)
@given(st.floats(-0.05, 0.05), st.floats(-0.05, 0.05), st.floats(-0.05, 0.05), st.floats(-0.2, 0.2))
def test_peaks_lie_on_the_lattice_that_the_strain_says(xx: float, yy: float, xy: float, theta: float) -> None:
    strain = {"e_xx": xx, "e_yy": yy, "e_xy": xy, "theta": theta}
    result = disk_scan(np.random.default_rng(0), strain, scan_shape=(1, 1), q_step_inv_angstrom=(0.02, 0.03))
    found = measured_deformation(result)
    np.testing.assert_allclose(found, deformation_gradient(**strain), atol=1e-9)
    # The convention, written out: tension along x lengthens real-space columns.
    assert found[1, 1] - 1 == pytest.approx((1 + xx) * np.cos(theta) - xy * np.sin(theta) - 1, abs=1e-9)
    assert np.arctan2(found[0, 1] - found[1, 0], found[0, 0] + found[1, 1]) == pytest.approx(theta, abs=1e-9)


def test_tension_along_x_brings_disks_closer_along_x() -> None:
    columns = []
    for e in (0.0, 0.03):
        at = peaks.at(scan(profile="uniform", e_xx=e).sides["truth_peaks"], 0, 0)
        columns.append(float(at["qx"].values[(at["h"].values == 1) & (at["k"].values == 0)][0]))
    assert columns[1] == pytest.approx(columns[0] / 1.03)


def test_rotation_turns_x_towards_y() -> None:
    at = peaks.at(scan(profile="uniform", e_xx=0, theta_deg=5).sides["truth_peaks"], 0, 0)
    g1 = (at["h"].values == 1) & (at["k"].values == 0)
    p = DisksParams.model_validate({})
    turned = np.arctan2(at["qy"].values[g1], at["qx"].values[g1]) - np.arctan2(*p.g1_px)
    assert np.rad2deg(turned) == pytest.approx(5, abs=1e-9)


def test_scan_rotation_turns_the_strain_in_the_patterns() -> None:
    quarter = measured_deformation(scan(profile="uniform", e_xx=0.02, scan_rotation_deg=90))
    np.testing.assert_allclose(quarter, np.diag([1.02, 1.0]), atol=1e-9)


@pytest.mark.parametrize("shape", [(64, 64), (65, 63), (48, 80)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_sizes_types_and_seed(shape: tuple[int, int], dtype: str) -> None:
    a, b, other = (scan(seed, pattern_shape=shape, dtype=dtype).data["intensity"] for seed in (1, 1, 2))
    assert a.shape == (1, 4, *shape)
    assert a.dtype == dtype
    assert a.equals(b)
    assert not a.equals(other)


def test_disks_are_where_the_truth_says_and_hold_their_counts() -> None:
    """Centre of mass over each whole noise-free disk; the background is left out."""
    result = scan(noise=False, background_fraction=0, radius_px=4.3, e_xx=0.013, descan_px=(0.7, -1.1))
    truth = peaks.at(result.sides["truth_peaks"], 0, 3)
    frame = result.data["intensity"].values[0, 3].astype(float)
    rows, columns = peaks.pixels(truth)
    y, x = np.indices(frame.shape)
    for n in np.flatnonzero(truth["flags"].values == 0):
        window = np.where(np.hypot(y - rows[n], x - columns[n]) < 8.2, frame, 0)  # half the spacing
        assert (window * y).sum() / window.sum() == pytest.approx(rows[n], abs=0.01)
        assert (window * x).sum() / window.sum() == pytest.approx(columns[n], abs=0.01)
        assert window.sum() == pytest.approx(truth["intensity"].values[n], rel=0.01)


def test_dose_and_saturation() -> None:
    # 16 patterns of 1e5 e: the Poisson error of their mean is 0.08 %; disks cut by the border lose some.
    dose = scan(scan_shape=(4, 4), dose_e=1e5, dtype="uint32").data["intensity"].sum(("qy", "qx")).mean()
    assert 0.93e5 < dose < 1.05e5
    assert scan(dose_e=1e6, dtype="uint8").data["intensity"].max() == 255


def test_ellipse_keeps_the_area_and_stretches_the_ring() -> None:
    truth = scan(ellipse_ratio=1.2, ellipse_angle_deg=90, profile="uniform", e_xx=0).sides["truth_peaks"]
    found = measured_deformation(Result(scan().data, {"truth_peaks": truth}))
    # The pattern is long along y, as if the crystal were short there.
    np.testing.assert_allclose(found, np.diag([1.2**-0.5, 1.2**0.5]), atol=1e-9)


def test_bad_pixels_are_the_ones_that_are_told() -> None:
    result = scan(scan_shape=(4, 4), hot_pixels=5, dead_pixels=4)
    mean = result.data["intensity"].mean(("scan_y", "scan_x")).values
    clean = scan(scan_shape=(4, 4)).data["intensity"].mean(("scan_y", "scan_x")).values
    bad = result.sides["truth_maps"]["bad_pixel"].values.astype(bool)
    assert bad.sum() == 9
    assert (mean[bad] > clean.max()).sum() == 5
    np.testing.assert_array_equal(mean[~bad], clean[~bad])


def test_probe_and_calibration_agree() -> None:
    data = scan(radius_px=6.0, q_step_inv_angstrom=(0.01, 0.02)).data
    assert fourd.disk_radius_px(data) == pytest.approx(6.0)
    assert fourd.disk_radius_px(
        data.drop_attrs(deep=False).assign_attrs(data.attrs, semiangle_mrad=0)
    ) == pytest.approx(6, rel=0.03)


def test_simulator_is_the_function() -> None:
    params = DisksParams.model_validate({"scan_shape": (1, 2)})
    made = Disks(params).simulate(Context(rng=np.random.default_rng(3)))
    assert made.data.equals(disk_scan(np.random.default_rng(3), scan_shape=(1, 2)).data)


def test_fringes_keep_centres_and_electrons_and_show_their_period() -> None:
    changes: dict[str, Any] = {
        "noise": False, "background_fraction": 0, "profile": "uniform", "radius_px": 7.0,
        "g1_px": (0, 24), "g2_px": (24, 0),
    }  # fmt: skip
    plain, fringed = scan(**changes), scan(**changes, fringe_depth=1.0, fringe_period_px=(5, 5))
    truth, before = (peaks.at(made.sides["truth_peaks"], 0, 1) for made in (fringed, plain))
    # No other number is drawn anew.
    for name in ("qy", "qx", "intensity", "flags"):
        np.testing.assert_array_equal(truth[name].values, before[name].values)
    frame, smooth = (made.data["intensity"].values[0, 1].astype(float) for made in (fringed, plain))
    rows, columns = peaks.pixels(truth)
    y, x = np.indices(frame.shape)
    depths = []
    for n in np.flatnonzero(truth["flags"].values == 0):
        window = np.hypot(y - rows[n], x - columns[n]) < 12  # half the spacing
        assert frame[window].sum() == pytest.approx(truth["intensity"].values[n], rel=0.002)
        inner = np.hypot(y - rows[n], x - columns[n]) < 5
        ratio = frame[inner] / smooth[inner]
        depths.append((ratio.max() - ratio.min()) / (ratio.max() + ratio.min()))
        # The strongest wave inside has a period of 5 px, whatever its direction.
        wave = (ratio - ratio.mean())[:, None, None]
        k = 2 * np.pi / np.arange(3.0, 9.0, 0.5)
        angle = np.arange(0, np.pi, np.pi / 24)
        inside = (y - rows[n])[inner][:, None, None] * np.sin(angle) + (x - columns[n])[inner][:, None, None] * np.cos(
            angle
        )
        power = np.array([np.abs((wave * np.exp(1j * q * inside)).sum((0, 1))).max() for q in k])
        assert 2 * np.pi / k[power.argmax()] == pytest.approx(5, abs=1)
    # Depths are drawn from 0 to 1: 9 whole disks, seed 0.
    assert 0.3 < np.mean(depths) < 0.8
    assert not np.array_equal(frame, scan(1, **changes, fringe_depth=1.0).data["intensity"].values[0, 1])


def test_shadows_count_nothing_and_are_told() -> None:
    made = scan(gap_rows=[[30, 33]], gap_columns=[[70, 71]], beam_stop_px=7.5, beam_stop_angle_deg=90, hot_pixels=3)
    frames = made.data["intensity"].values
    y, x = np.indices(frames.shape[2:])
    stop = (np.hypot(y - 48, x - 48) < 7.5) | ((np.abs(x - 48) < 3.75) & (y > 48))
    hidden = stop | ((y >= 30) & (y < 33)) | (x == 70)
    assert not frames[..., hidden].any()
    np.testing.assert_array_equal(made.data["bad_pixel"].values, hidden)
    told = made.sides["truth_maps"]["bad_pixel"].values.astype(bool)
    assert (told & ~hidden).sum() == 3
    clean = scan(hot_pixels=3)
    assert "bad_pixel" not in clean.data
    np.testing.assert_array_equal(frames[..., ~hidden], clean.data["intensity"].values[..., ~hidden])
    at = peaks.at(made.sides["truth_peaks"], 0, 0)
    rows, columns = peaks.pixels(at)
    grid = np.argwhere(hidden)
    distance = np.array([np.hypot(*(grid - centre).T).min() for centre in zip(rows, columns, strict=True)])
    np.testing.assert_array_equal((at["flags"].values & 8) > 0, distance < 5.0)
    np.testing.assert_array_equal(
        at["intensity"].values, peaks.at(clean.sides["truth_peaks"], 0, 0)["intensity"].values
    )


@pytest.mark.parametrize("wrong", [{"gap_rows": [[5, 5]]}, {"gap_columns": [[-1, 3]]}, {"fringe_period_px": (0, 5)}])
def test_gaps_and_fringes_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DisksParams.model_validate(wrong)


def test_overlapping_disks_add_up_and_are_flagged() -> None:
    """Two reflections whose disks overlap: the pattern is the sum of patterns with one of them each."""
    changes: dict[str, Any] = {
        "noise": False, "background_fraction": 0, "central_fraction": 0.5, "profile": "uniform", "e_xx": 0.0,
        "radius_px": 9.0, "g1_px": (0.0, 13.0), "g2_px": (40.0, 0.0), "scan_shape": (1, 1), "intensity_spread": 0.0,
    }  # fmt: skip
    made = scan(**changes)
    truth = peaks.at(made.sides["truth_peaks"], 0, 0)
    assert (truth["flags"].values & 4).all()
    frame = made.data["intensity"].values[0, 0].astype(float)
    y, x = np.indices(frame.shape)
    rows, columns = peaks.pixels(truth)
    area = np.pi * (9.0**2 + (np.pi * 0.5) ** 2 / 3)
    total = sum(
        n / area / (1 + np.exp((np.hypot(y - r, x - c) - 9.0) / 0.5))
        for r, c, n in zip(rows, columns, truth["intensity"].values, strict=True)
    )
    near = np.hypot(y - 48, x - 48) < 15
    # Disks beyond the detector reach no further than its border.
    np.testing.assert_allclose(frame[near], total[near], rtol=1e-4)
    assert not (peaks.at(scan(**{**changes, "radius_px": 6.0}).sides["truth_peaks"], 0, 0)["flags"].values & 4).any()

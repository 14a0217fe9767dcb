"""The analytic scans: the truth beside them is exact, and the counts are what was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ronchi import schema
from ronchi.api import Context, Result
from ronchi.builtin.params_synthetic import SoftDisksParams
from ronchi.builtin.synthetic import SoftDisks, deformation_gradient, soft_disk_scan
from ronchi.schema import fourd, peaks


def scan(seed: int = 0, **changes: Any) -> Result:
    return soft_disk_scan(np.random.default_rng(seed), **{"scan_shape": (1, 4), **changes})


def measured_deformation(result: Result) -> np.ndarray[Any, Any]:
    """F in (y, x) order at the first position against the params' lattice, from the exact peaks alone."""
    at = peaks.at(result.sides["truth_peaks"], 0, 0)
    hk = np.stack([np.ones(at.sizes["peak"]), at["h"].values, at["k"].values], 1)
    fitted = np.linalg.lstsq(hk, np.stack([at["qy"].values, at["qx"].values], 1), rcond=None)[0][1:].T
    p = SoftDisksParams.model_validate({})
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
    result = soft_disk_scan(np.random.default_rng(0), strain, scan_shape=(1, 1), q_step_inv_angstrom=(0.02, 0.03))
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
    p = SoftDisksParams.model_validate({})
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
    params = SoftDisksParams.model_validate({"scan_shape": (1, 2)})
    made = SoftDisks(params).simulate(Context(rng=np.random.default_rng(3)))
    assert made.data.equals(soft_disk_scan(np.random.default_rng(3), scan_shape=(1, 2)).data)

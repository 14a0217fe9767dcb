"""The frame of the strain: scan rotation and detector distortion."""

from __future__ import annotations

import numpy as np
import pytest

from ronchi.api import CalibrationError

from .conftest import SQUARE

REFERENCE = {"columns": [0, 6]}


def turn(degrees):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, -s], [s, c]])


def test_without_a_rotation_the_frame_is_the_detectors(strained_scan, solve):
    for attrs in ({}, {"scan_rotation_deg": np.nan}):
        strain, _ = solve(strained_scan(np.diag([1.02, 1])), reference=REFERENCE)
        assert strain.attrs["frame"] == "detector", attrs


def test_a_rotation_of_zero_is_known(strained_scan, solve):
    strain, _ = solve(strained_scan(np.diag([1.02, 1]), attrs={"scan_rotation_deg": 0.0}), reference=REFERENCE)
    assert strain.attrs["frame"] == "scan"
    assert float(strain["e_xx"][0, -1]) == pytest.approx(0.02, abs=1e-6)


@pytest.mark.parametrize("rotation", ["30", "unknown", [30.0, 0.0]])
def test_a_rotation_that_is_no_number_is_an_error(strained_scan, solve, rotation):
    with pytest.raises(CalibrationError, match="expected a number of degrees") as error:
        solve(strained_scan(np.eye(2), attrs={"scan_rotation_deg": rotation}), reference=REFERENCE)
    assert repr(rotation) in error.value.what


@pytest.mark.parametrize("rotation", [90.0, -90.0, 30.0, 180.0])
def test_strain_is_turned_into_the_frame_of_the_scan(strained_scan, solve, rotation):
    """In the scan's axes the sample is stretched by 2 % along x and turned by 1 degree; the detector sees it turned."""
    in_scan = turn(1) @ np.array([[1.02, 0.005], [0.005, 0.99]])
    R = turn(rotation)  # scan components to detector components
    peaks = strained_scan(R @ in_scan @ R.T, G=SQUARE, attrs={"scan_rotation_deg": rotation})
    strain, _ = solve(peaks, reference=REFERENCE)
    expected = {"e_xx": 0.02, "e_yy": -0.01, "e_xy": 0.005, "theta": np.deg2rad(1)}
    for name, value in expected.items():
        assert float(strain[name][0, -1]) == pytest.approx(value, abs=1e-6), name
    assert strain.attrs["scan_rotation_deg"] == rotation


def test_error_bars_are_turned_too(strained_scan, solve):
    """Reflections in a band along x fix e_xx better than e_yy; a scan at 90 degrees sees it the other way round."""
    peaks = strained_scan(np.eye(2), sigma=1e-3, q_max=1.4)
    keep = (abs(peaks["qy"]) < 0.4).values
    counts = np.add.reduceat(keep, np.concatenate([[0], np.cumsum(peaks["n_peaks"])[:-1]]))
    band = peaks.isel(peak=keep).assign(n_peaks=peaks["n_peaks"].copy(data=counts))
    straight, _ = solve(band, reference=REFERENCE)
    turned, _ = solve(band.assign_attrs(scan_rotation_deg=90.0), reference=REFERENCE)
    assert float(straight["se_e_yy"].mean()) > 2 * float(straight["se_e_xx"].mean())
    np.testing.assert_allclose(turned["se_e_xx"], straight["se_e_yy"], rtol=1e-6)


def test_distortion_is_undone_before_the_fit(strained_scan, solve):
    """A 3 % ellipse turns rotation into shear; with q_true = A q_measured the strain is exact again."""
    A = np.array([[1.02, 0.01], [0.01, 0.99]])  # (y, x)
    F = turn(3) @ np.diag([1.01, 1])
    peaks = strained_scan(F)
    measured = np.linalg.solve(A, np.stack([peaks["qy"], peaks["qx"]]))
    for name, values in zip(("qy", "qx"), measured, strict=True):
        peaks[name] = peaks[name].copy(data=values)
    wrong, _ = solve(peaks, reference=REFERENCE)
    right, lattice = solve(peaks.assign_attrs(q_distortion=A.ravel()), reference=REFERENCE)
    assert abs(float(wrong["e_xy"][0, -1])) > 3e-4
    for name, value in {"e_xx": 0.01, "e_yy": 0.0, "e_xy": 0.0, "theta": np.deg2rad(3)}.items():
        assert float(right[name][0, -1]) == pytest.approx(value, abs=1e-6), name
    assert lattice.attrs["q_distortion_applied"] == 1
    assert lattice.attrs["frame"] == "detector"
    basis = np.stack([lattice.attrs["basis_g1"], lattice.attrs["basis_g2"]], axis=1)
    np.testing.assert_allclose(
        np.linalg.det(basis), np.linalg.det(SQUARE) * np.sign(np.linalg.det(basis) / np.linalg.det(SQUARE)), rtol=0.02
    )


@pytest.mark.parametrize("bad", [[1, 0, 0], [1, 0, 0, np.nan], [1, 0, 0, -1]])
def test_a_distortion_that_cannot_be_is_an_error(strained_scan, solve, bad):
    with pytest.raises(CalibrationError, match="q_distortion"):
        solve(strained_scan(np.eye(2), attrs={"q_distortion": bad}))

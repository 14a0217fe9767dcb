"""Elliptical distortion: the matrix makes rings round, whatever measures it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ronchi.api import Context
from ronchi.builtin.ellipse import Ellipse, ellipse_matrix, fit_conic, fit_ring
from ronchi.builtin.params_transforms import EllipseParams
from ronchi.errors import CalibrationError
from ronchi.schema import fourd, peaks

CTX = Context(rng=np.random.default_rng(0))


def ring_pattern(
    ratio: float, angle: float, *, shape: tuple[int, int] = (128, 120), step: tuple[float, float] = (0.02, 0.02),
    radius: float = 0.7, centre: tuple[float, float] = (0.0, 0.0),
) -> xr.Dataset:  # fmt: skip
    """A smooth ring 0.03 1/angstrom wide, seen through an ellipse, on a sloping background with Poisson noise."""
    qy, qx = (np.arange(n) - n // 2 for n in shape)
    grid = np.stack(np.meshgrid(qy * step[0] - centre[0], qx * step[1] - centre[1], indexing="ij"), -1)
    r = np.linalg.norm(grid @ ellipse_matrix(ratio, angle).T, axis=-1)
    expected = 400 * np.exp(-((r - radius) ** 2) / (2 * 0.03**2)) + 200 * np.exp(-r / 0.4) + 300 * (r < 0.1)
    counts = np.random.default_rng(0).poisson(expected, (2, 2, *shape))
    return fourd.make(counts.astype("u2"), q_step=step)


def apply(data: xr.Dataset, found: xr.Dataset | None = None, **params: Any) -> xr.Dataset:
    return Ellipse(EllipseParams.model_validate(params)).apply(data=data, peaks=found, ctx=CTX)


def test_the_matrix_shortens_the_long_axis_and_keeps_areas() -> None:
    # Long along x: x is to be shortened. Order (y, x).
    np.testing.assert_allclose(ellipse_matrix(1.21, 0.0), np.diag([1.1, 1 / 1.1]), atol=1e-12)
    assert np.linalg.det(ellipse_matrix(1.3, 0.4)) == pytest.approx(1)
    # At 45 degrees, the long axis points right and down: (y, x) = (1, 1).
    np.testing.assert_allclose(ellipse_matrix(1.21, math.pi / 4) @ [1, 1], np.array([1, 1]) / 1.1, atol=1e-12)


@pytest.mark.parametrize("ratio", [1.0, 1.02, 1.1])
@pytest.mark.parametrize("angle", [0.0, 0.6, 2.5])
def test_a_ring_gives_its_ellipse_to_a_part_in_a_thousand(ratio: float, angle: float) -> None:
    data = ring_pattern(ratio, angle)
    result = apply(data, ring=(0.55, 0.85))
    matrix = np.asarray(result.attrs["q_distortion"]).reshape(2, 2)
    # A pixel is 3 % of the radius; 72 sectors leave about 1e-3 of a pixel each.
    np.testing.assert_allclose(matrix, ellipse_matrix(ratio, angle), atol=1e-3)
    assert result.attrs["q_distortion_source"].startswith("ring at 0.69")
    assert "q_distortion" not in data.attrs


def test_unequal_pixels_are_no_ellipse_and_the_centre_is_free() -> None:
    data = ring_pattern(1.05, 1.0, step=(0.02, 0.025), centre=(0.013, -0.02))
    mean = data["intensity"].mean(("scan_y", "scan_x")).values
    fit = fit_ring(mean, data["qy"].values, data["qx"].values, (0.55, 0.85))
    assert fit.ratio == pytest.approx(1.05, abs=1e-3)
    assert fit.angle_deg == pytest.approx(math.degrees(1.0), abs=1)
    assert fit.radius == pytest.approx(0.7, rel=2e-3)
    np.testing.assert_allclose(fit.centre, [0.013, -0.02], atol=1e-3)


def test_bad_pixels_and_a_missing_sector_are_left_out() -> None:
    data = ring_pattern(1.06, 0.5)
    y, x = np.meshgrid(data["qy"], data["qx"], indexing="ij")
    stop = np.abs(np.arctan2(y, x)) < 0.35
    values = np.where(stop, 0, data["intensity"].values)
    masked = fourd.make(values, q_step=(0.02, 0.02), bad_pixel=stop)
    matrix = np.asarray(apply(masked, ring=(0.55, 0.85)).attrs["q_distortion"]).reshape(2, 2)
    np.testing.assert_allclose(matrix, ellipse_matrix(1.06, 0.5), atol=1e-3)


def test_positions_that_are_not_valid_are_left_out() -> None:
    data = ring_pattern(1.06, 0.5)
    values = data["intensity"].values.astype("f4")
    values[1, 1] = np.nan
    broken = fourd.make(values, q_step=(0.02, 0.02), valid=[[1, 1], [1, 0]])
    matrix = np.asarray(apply(broken, ring=(0.55, 0.85)).attrs["q_distortion"]).reshape(2, 2)
    np.testing.assert_allclose(matrix, ellipse_matrix(1.06, 0.5), atol=1.5e-3)


@settings(max_examples=30, deadline=None)
@given(st.floats(1.0, 1.5), st.floats(0, math.pi), st.floats(-0.1, 0.1), st.floats(0.1, 5))
def test_points_on_an_ellipse_give_it_back(ratio: float, angle: float, shift: float, radius: float) -> None:
    phi = np.linspace(0, 2 * np.pi, 40, endpoint=False) + 0.1
    circle = radius * np.stack([np.sin(phi), np.cos(phi)], 1)
    points = circle @ np.linalg.inv(ellipse_matrix(ratio, angle)).T + shift * radius
    fit = fit_conic(points, np.ones(40))
    np.testing.assert_allclose(fit.matrix, ellipse_matrix(ratio, angle), atol=1e-6)
    assert fit.radius == pytest.approx(radius, rel=1e-6)
    np.testing.assert_allclose(fit.centre, shift * radius, atol=1e-6 * radius)


def test_peaks_on_a_ring_do_as_well_and_outliers_do_not_matter() -> None:
    rng = np.random.default_rng(2)
    phi = rng.uniform(0, 2 * np.pi, 400)
    circle = 0.7 * np.stack([np.sin(phi), np.cos(phi)], 1) * (1 + rng.normal(0, 0.004, (400, 1)))
    points = circle @ np.linalg.inv(ellipse_matrix(1.04, 0.8)).T
    points[:20] *= 1.1
    found = peaks.make(
        counts=[420], qy=np.r_[points[:, 0], np.zeros(20)], qx=np.r_[points[:, 1], np.zeros(20)], scan_shape=(1, 1)
    )
    result = apply(ring_pattern(1, 0), found, method="peaks", ring=(0.6, 0.8))
    # 400 points at 0.4 %: the elements are known to 3e-4.
    np.testing.assert_allclose(np.reshape(result.attrs["q_distortion"], (2, 2)), ellipse_matrix(1.04, 0.8), atol=1e-3)


def test_given_numbers_are_scaled_to_keep_areas() -> None:
    data = ring_pattern(1, 0)
    assert np.reshape(apply(data, method="given", matrix=(2, 0, 0, 2)).attrs["q_distortion"], (2, 2)) == pytest.approx(
        np.eye(2)
    )
    by_ratio = apply(data, method="given", ratio=1.1, angle_deg=30).attrs["q_distortion"]
    np.testing.assert_allclose(by_ratio, ellipse_matrix(1.1, math.radians(30)).ravel())
    assert np.ndim(by_ratio) == 1
    with pytest.raises(CalibrationError, match="determinant"):
        apply(data, method="given", matrix=(1, 0, 0, -1))


def test_no_ring_no_ellipse() -> None:
    flat = fourd.make(np.random.default_rng(0).poisson(5, (1, 1, 128, 128)), q_step=(0.02, 0.02))
    with pytest.raises(CalibrationError, match=r"directions show a ring|no ellipse"):
        apply(flat, ring=(1.5, 1.9))
    with pytest.raises(CalibrationError, match="too thin"):
        apply(flat, ring=(0.5, 0.51))
    with pytest.raises(CalibrationError, match="only 0 peaks"):
        apply(flat, peaks.make(counts=[0], qy=[], qx=[], scan_shape=(1, 1)), method="peaks", ring=(0.5, 0.6))
    with pytest.raises(CalibrationError, match="connect the input"):
        apply(flat, method="peaks", ring=(0.5, 0.6))


@pytest.mark.parametrize("params", [{}, {"method": "given"}, {"method": "given", "ratio": 1.1}, {"method": "peaks"}])
def test_incomplete_parameters_are_refused_before_the_run(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EllipseParams.model_validate(params)

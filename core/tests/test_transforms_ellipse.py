"""Elliptical distortion: the matrix makes rings round, whatever measures it."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ronchi.api import Context
from ronchi.builtin.conic import RingFit, fit_conic
from ronchi.builtin.ellipse import Array, Ellipse, ellipse_matrix, fit_ring
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
    words = result.attrs["q_distortion_source"].split()
    assert float(words[2]) == pytest.approx(0.7, rel=2e-4)
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


def bare_ring(
    n: int, radius: float, sigma: float, *, height: float = 100, ratio: float = 1, angle: float = 0,
    background: float = 0, tau: float = 8,
) -> Array:  # fmt: skip
    """Expected counts of a Gaussian ring, in px, on an exponential background."""
    grid = np.stack(np.meshgrid(*[np.arange(n) - n // 2] * 2, indexing="ij"), -1)
    r = np.linalg.norm(grid @ ellipse_matrix(ratio, angle).T, axis=-1)
    return np.asarray(height * np.exp(-((r - radius) ** 2) / (2 * sigma**2)) + background * np.exp(-r / tau))


def fit_px(pattern: Array, ring: tuple[float, float], n_sectors: int = 72) -> RingFit:
    qy, qx = (np.arange(n) - n // 2.0 for n in pattern.shape)
    return fit_ring(pattern, qy, qx, ring, n_sectors=n_sectors)


def test_flat_noise_holds_no_ring_in_any_of_300_seeds() -> None:
    rng, found = np.random.default_rng(0), 0
    for _ in range(300):
        with contextlib.suppress(CalibrationError):
            fit_px(rng.poisson(32, (64, 64)).astype(float), (12, 26))
            found += 1
    # 1 % were 3. Six standard errors in a few hundred places: one in a million.
    assert found == 0


def test_a_background_that_falls_is_no_ring_however_well_it_is_known() -> None:
    for pedestal in (0, 1e3):
        with pytest.raises(CalibrationError, match=r"no ring stands out|directions show a ring"):
            fit_px(bare_ring(96, 24, 1.5, height=0, background=1e6) + pedestal, (17, 31))
    rng = np.random.default_rng(0)
    for dose in (10, 1e3, 1e5):
        for _ in range(10):
            noisy = rng.poisson(dose * bare_ring(96, 24, 1.5, height=0, background=20) + 0.2 * dose)
            with pytest.raises(CalibrationError, match=r"no ring stands out|directions show a ring"):
                fit_px(noisy.astype(float), (17, 31))


def test_a_faint_ring_is_measured_in_fewer_directions_and_says_how_well() -> None:
    rng = np.random.default_rng(1)
    expected = 5 + bare_ring(128, 24, 1.5, height=4, ratio=1.05, angle=1.2)
    fits = [fit_px(rng.poisson(expected).astype(float), (17, 31)) for _ in range(8)]
    strain = [[f.matrix[0, 0], f.matrix[0, 1]] - ellipse_matrix(1.05, 1.2)[0] for f in fits]
    assert np.sqrt(np.mean(np.square(strain))) < 0.015
    assert all(f.n_used < 72 for f in fits)
    assert all(0.002 < f.ratio_se < 0.06 for f in fits)
    bright = fit_px(rng.poisson(20 * expected).astype(float), (17, 31))
    assert bright.ratio == pytest.approx(1.05, abs=4 * bright.ratio_se)
    assert bright.ratio_se < 0.006
    assert bright.angle_deg == pytest.approx(math.degrees(1.2), abs=4 * bright.angle_se_deg)


@pytest.mark.parametrize(
    ("radius", "sigma", "ring", "background"),
    [
        (24, 1.5, (17, 31), 1000),
        (24, 1.5, (17, 31), 5000),
        (24, 2.5, (20, 34), 0),
        (24, 4, (17, 31), 0),
        (8, 1.2, (3, 13), 0),
    ],
)
def test_the_radius_is_that_of_the_ring_on_any_background_and_off_the_middle(
    radius: float, sigma: float, ring: tuple[float, float], background: float
) -> None:
    fit = fit_px(bare_ring(128, radius, sigma, background=background), ring)
    assert fit.radius == pytest.approx(radius, rel=2e-3)
    assert fit.ratio == pytest.approx(1, abs=2e-3)


def test_a_narrow_ring_off_the_centre_is_found() -> None:
    """Over all directions, it is smeared out to a band of four times its width."""
    moved = np.roll(bare_ring(128, 24, 1.5, ratio=1.03, angle=1.2), (3, 2), (0, 1))
    fit = fit_px(moved, (16, 32))
    np.testing.assert_allclose(fit.centre, (3, 2), atol=0.01)
    assert fit.radius == pytest.approx(24, rel=1e-3)
    assert fit.ratio == pytest.approx(1.03, abs=1e-3)


@pytest.mark.parametrize("n_sectors", [8, 180, 720])
def test_sectors_narrower_than_pixels_do_no_harm(n_sectors: int) -> None:
    fit = fit_px(bare_ring(128, 40, 1.5, ratio=1.06, angle=0.5), (33, 47), n_sectors)
    assert fit.ratio == pytest.approx(1.06, abs=1e-3)
    assert math.radians(fit.angle_deg) == pytest.approx(0.5, abs=0.02)
    # 251 px around: 125 sectors of two.
    assert fit.n_used <= min(n_sectors, 126)


def test_four_spots_are_no_ring_of_the_mean_pattern() -> None:
    pattern = np.full((128, 128), 0.5)
    y, x = np.ogrid[-64:64, -64:64]
    for phi in np.arange(4) * np.pi / 2 + 0.2:
        pattern += 100 / (1 + np.exp((np.hypot(y - 36 * np.sin(phi), x - 36 * np.cos(phi)) - 3) / 0.5))
    with pytest.raises(CalibrationError, match=r"directions show a ring[\s\S]*method `peaks`"):
        fit_px(pattern, (28, 44))


def spots(n: int, offset: float, seed: int, noise: float = 0.0015) -> xr.Dataset:
    """400 scattered peaks at each of ``n`` spots on a ring of 0.5, seen with a ratio of 1.03 at 45 deg."""
    phi = np.arange(n) * 2 * np.pi / n + offset
    seen = 0.5 * np.stack([np.sin(phi), np.cos(phi)], 1) @ np.linalg.inv(ellipse_matrix(1.03, np.pi / 4)).T
    points = np.repeat(seen, 400, 0) + np.random.default_rng(seed).normal(0, noise, (400 * n, 2))
    return peaks.make(counts=[len(points)], qy=points[:, 0], qx=points[:, 1], scan_shape=(1, 1))


@pytest.mark.parametrize("offset", [0, 0.08, 0.4])
def test_spots_on_two_diameters_determine_no_ellipse_but_on_three_do(offset: float) -> None:
    data = ring_pattern(1, 0)
    for seed in range(3):
        with pytest.raises(CalibrationError, match=r"lie on 2 diameters[\s\S]*three diameters"):
            apply(data, spots(4, offset, seed), method="peaks", ring=(0.4, 0.6))
    result = apply(data, spots(6, offset, 0), method="peaks", ring=(0.4, 0.6))
    matrix = np.reshape(result.attrs["q_distortion"], (2, 2))
    # 2400 peaks at 0.3 %: the strain is known to 1e-4.
    np.testing.assert_allclose(matrix, ellipse_matrix(1.03, np.pi / 4), atol=5e-4)
    assert "+-" in result.attrs["q_distortion_source"]


def test_twelve_peaks_in_as_many_directions_do() -> None:
    phi = np.arange(12) * np.pi * (3 - math.sqrt(5))
    seen = 0.5 * np.stack([np.sin(phi), np.cos(phi)], 1) @ np.linalg.inv(ellipse_matrix(1.03, 0.3)).T
    found = peaks.make(counts=[12], qy=seen[:, 0], qx=seen[:, 1], scan_shape=(1, 1))
    result = apply(ring_pattern(1, 0), found, method="peaks", ring=(0.4, 0.6))
    np.testing.assert_allclose(np.reshape(result.attrs["q_distortion"], (2, 2)), ellipse_matrix(1.03, 0.3), atol=1e-6)


def test_peaks_on_a_short_arc_are_refused_by_the_equations() -> None:
    phi = np.linspace(0.3, 1.7, 300)
    r = 0.5 + np.random.default_rng(0).normal(0, 1e-5, 300)
    arc = peaks.make(counts=[300], qy=r * np.sin(phi), qx=r * np.cos(phi), scan_shape=(1, 1))
    with pytest.raises(CalibrationError, match="do not determine an ellipse"):
        apply(ring_pattern(1, 0), arc, method="peaks", ring=(0.4, 0.6))


def test_no_ring_no_ellipse() -> None:
    flat = fourd.make(np.random.default_rng(0).poisson(5, (1, 1, 128, 128)), q_step=(0.02, 0.02))
    with pytest.raises(CalibrationError, match="no ring stands out"):
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


@pytest.mark.parametrize(("height", "seeds"), [(4, 60), (6, 40), (16, 40)])
def test_errors_of_rings_are_those_stated(height: float, seeds: int) -> None:
    """Of eight directions, five numbers leave so little scatter that the errors of faint rings were 2.5 too small."""
    rng, pulls = np.random.default_rng(0), []
    for _ in range(seeds):
        pattern = rng.poisson(32 + bare_ring(96, 24, 1.5, height=height)).astype(float)
        with contextlib.suppress(CalibrationError):
            fit = fit_px(pattern, (17, 31))
            values, vectors = np.linalg.eigh(fit.matrix)
            strain = (vectors * np.log(values)) @ vectors.T
            pulls += list(strain[0] / fit.strain_se)
    # 1.07 to 1.13 of 60 rings or more, whose own error is 0.1; 1.3 to 2.5 before.
    assert len(pulls) > seeds
    assert 0.8 < np.sqrt(np.mean(np.square(pulls))) < 1.3

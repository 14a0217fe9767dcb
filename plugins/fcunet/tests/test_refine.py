"""What a network says about positions is a start: fits replace it where they hold, and nowhere else."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ronchi.api import PeakBatch
from ronchi.disk import ProbeShape, measure_disk
from ronchi_fcunet.refine import Refiner

SHAPE, RADIUS, SIGMA = (96, 90), 4.0, 0.3
EDGE, NOT_REFINED = 1, 16

Array = NDArray[np.float64]


def disks(places: Array, height: float = 300.0) -> Array:
    """Soft disks on a background of 2."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = np.full(SHAPE, 2.0)
    for row, column in places:
        image += height / (1 + np.exp(np.clip((np.hypot(y - row, x - column) - RADIUS) / 0.35, -50, 50)))
    return image


def said(places: Array, sigma: float | tuple[float, float] = SIGMA, correlation: float = 0.0) -> PeakBatch:
    """Peaks of one pattern, as a network states them; errors along y and x."""
    n = len(places)
    single = {"intensity": np.linspace(0.1, 1, n, dtype=np.float32), "score": np.ones(n, np.float32)}
    sy, sx = np.broadcast_to(sigma, 2)
    return PeakBatch(
        counts=np.array([n], np.int32),
        qy_px=places[:, 0].copy(),
        qx_px=places[:, 1].copy(),
        flags=np.zeros(n, np.uint16),
        var_yy=np.full(n, sy**2, np.float32),
        var_yx=np.full(n, correlation * sy * sx, np.float32),
        var_xx=np.full(n, sx**2, np.float32),
        **single,
    )


@pytest.fixture
def refiner() -> Refiner:
    probe = disks(np.array([[40.3, 40.7]]), 1e4) - 2
    return Refiner(measure_disk(probe), probe)


GRID = np.array([(y, x) for y in (20.2, 47.6, 75.1) for x in (18.4, 44.0, 70.9)])


@pytest.mark.parametrize("gain", [1.0, 1e-6, 80.0])
def test_positions_and_their_errors_are_those_of_the_counts(refiner: Refiner, gain: float) -> None:
    rng = np.random.default_rng(0)
    z, errors = [], []
    for _ in range(20):
        start = GRID + rng.normal(0, SIGMA, GRID.shape)
        pattern = (rng.poisson(disks(GRID)) * gain).astype(np.float32)
        found = refiner(pattern[None], said(start))
        error = np.stack([found.qy_px, found.qx_px], 1) - GRID
        errors.append(error)
        z.append(error / np.sqrt(np.stack([found.var_yy, found.var_xx], 1)))
    # 300 a pixel in a disk of 50: the Cramer-Rao bound of the fit is 0.016 px here; the start is off by 0.3.
    assert np.sqrt(np.square(errors).mean()) < 0.025
    assert 0.8 < np.sqrt(np.square(z).mean()) < 1.25


def test_what_the_fit_does_not_hold_for_stays_as_the_network_said(refiner: Refiner) -> None:
    nothing = np.array([[20.2, 70.9], [75.1, 18.4]])
    kept = np.array([place for place in GRID if not (np.abs(nothing - place).max(1) < 1e-9).any()])
    pattern = np.random.default_rng(1).poisson(disks(kept)).astype(np.float32)
    start = said(np.concatenate([kept + 0.2, nothing]))
    found = refiner(pattern[None], start)
    blind = slice(len(kept), None)
    assert (found.flags[blind] & NOT_REFINED).all()
    assert not (found.flags[: len(kept)] & NOT_REFINED).any()
    for name in ("qy_px", "qx_px", "var_yy", "var_yx", "var_xx"):
        np.testing.assert_array_equal(getattr(found, name)[blind], getattr(start, name)[blind])
    np.testing.assert_array_equal(found.intensity, start.intensity)
    np.testing.assert_array_equal(found.score, start.score)


def test_a_fit_that_goes_to_another_disk_is_not_believed(refiner: Refiner) -> None:
    pattern = disks(GRID).astype(np.float32)
    sure = said(GRID + np.array([1.0, 0.0]), sigma=0.05)
    found = refiner(pattern[None], sure)
    np.testing.assert_array_equal(found.qy_px, sure.qy_px)
    assert (found.flags & NOT_REFINED).all()
    unsure = refiner(pattern[None], said(GRID + np.array([1.0, 0.0]), sigma=0.5))
    np.testing.assert_allclose(unsure.qy_px, GRID[:, 0], atol=0.02)


@pytest.mark.parametrize(
    ("off", "sigma", "correlation", "held"),
    [
        ((0.0, 1.0), (0.05, 0.5), 0.0, True),
        ((0.0, 1.0), (0.5, 0.05), 0.0, False),
        # Along the long axis of the error ellipse, and across it.
        ((0.6, 0.6), (0.4, 0.4), 0.95, True),
        ((0.6, -0.6), (0.4, 0.4), 0.95, False),
    ],
)
def test_how_far_is_too_far_is_told_by_the_error_ellipse(
    refiner: Refiner, off: tuple[float, float], sigma: tuple[float, float], correlation: float, held: bool
) -> None:
    found = refiner(disks(GRID).astype(np.float32)[None], said(GRID + np.array(off), sigma, correlation))
    assert ((found.flags & NOT_REFINED) == 0).tolist() == [held] * len(GRID)


def test_bad_pixels_are_left_out() -> None:
    bad = np.zeros(SHAPE, bool)
    bad[45:50, 44:46] = True
    pattern = disks(GRID)
    pattern[bad] = 1e5
    masked = Refiner(ProbeShape(RADIUS, 0.35, (48.0, 45.0)), None, bad)
    found = masked(pattern.astype(np.float32)[None], said(GRID + 0.2))
    np.testing.assert_allclose(np.stack([found.qy_px, found.qx_px], 1), GRID, atol=0.03)


@pytest.mark.parametrize("gain", [1.0, 80.0])
def test_errors_are_the_same_where_a_part_of_the_detector_is_filled_in(refiner: Refiner, gain: float) -> None:
    bad = np.zeros(SHAPE, bool)
    bad[:14] = bad[-14:] = True
    places = GRID[3:6]
    pattern = np.random.default_rng(4).poisson(disks(places)).astype(np.float32) * np.float32(gain)
    whole = refiner(pattern[None], said(places + 0.2))
    # As interpolated: without noise.
    pattern[bad] = pattern[~bad].mean()
    masked = Refiner(ProbeShape(RADIUS, 0.35, (48.0, 45.0)), None, bad)(pattern[None], said(places + 0.2))
    np.testing.assert_allclose(masked.var_yy, whole.var_yy, rtol=0.1)


def test_disks_that_the_border_cuts_are_fitted_and_what_lies_in_the_dark_is_not(refiner: Refiner) -> None:
    cut = np.array([[0.5, 40.2], [50.3, SHAPE[1] - 1.4]])
    found = refiner(disks(cut).astype(np.float32)[None], said(cut + 0.2))
    np.testing.assert_allclose(np.stack([found.qy_px, found.qx_px], 1), cut, atol=0.05)
    assert (found.flags & EDGE).all()
    beyond = np.array([[-0.9, 30.0], [SHAPE[0] - 0.2, 44.0], [30.0, -0.4]])
    start = replace(said(beyond), counts=np.array([0, 3, 0], np.int32))
    kept = refiner(np.zeros((3, *SHAPE), np.float32), start)
    for name in ("qy_px", "qx_px"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(start, name))
    assert (kept.flags & NOT_REFINED).all()


def test_the_light_of_the_disks_is_told_beside_what_the_network_says_of_them(refiner: Refiner) -> None:
    bright, faint = disks(GRID[:5], 50.0) - 2, disks(GRID[5:8], 5.0) - 2
    pattern = np.random.default_rng(5).poisson(2 + bright + faint).astype(np.float32)
    told = refiner(pattern[None], said(GRID))  # there is nothing at the last place
    np.testing.assert_array_equal(told.intensity, said(GRID).intensity)
    np.testing.assert_allclose(told.disk_counts[:5], bright.sum() / 5, rtol=0.1)
    np.testing.assert_allclose(told.disk_counts[5:8], faint.sum() / 3, rtol=0.3)
    assert told.flags[8] & NOT_REFINED
    assert told.disk_counts[8] == told.disk_counts[:8].min()
    dark = refiner(np.zeros((1, *SHAPE), np.float32), said(GRID))
    assert np.isnan(dark.disk_counts).all()


def test_what_a_pattern_gives_does_not_depend_on_the_others(refiner: Refiner) -> None:
    rng = np.random.default_rng(3)
    patterns = np.stack([rng.poisson(disks(GRID)), rng.poisson(disks(GRID[:4], 50.0))]).astype(np.float32)
    starts = [said(GRID + 0.2), said(GRID[:4] - 0.3)]

    def joined(name: str) -> Any:
        return np.concatenate([getattr(start, name) for start in starts])

    names = [field.name for field in fields(PeakBatch)]
    both = refiner(patterns, PeakBatch(**{name: joined(name) for name in names}))
    alone = [refiner(pattern[None], start) for pattern, start in zip(patterns, starts, strict=True)]
    for name in names:
        np.testing.assert_array_equal(getattr(both, name), np.concatenate([getattr(one, name) for one in alone]))

"""Counts per electron from the noise of one pattern, whatever else is in it."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ronchi_disks.noise import measure_gain, quiet_level, warn_of_offset

Array = NDArray[np.float64]
SHAPE = (128, 128)


def disks(radius: float = 5.0, spacing: float = 21.0, counts: float = 3000.0, level: float = 0.5) -> Array:
    """Soft disks on a turned square lattice."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    turn = np.exp(0.2j)
    # Distance to the nearest site of a lattice that is turned by 0.2 rad.
    place = (x + 1j * y) * turn / spacing
    off = spacing * np.abs(place - np.round(place))
    return np.asarray(level + counts / (np.pi * radius**2) / (1 + np.exp(np.clip((off - radius) / 0.35, -40, 40))))


def counted(mean: Array, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).poisson(mean).astype(np.float32)


@pytest.mark.parametrize("gain", [0.2, 0.5, 1.0, 4.0, 20.0])
@pytest.mark.parametrize("level", [0.02, 0.5, 30.0])
def test_gain_is_read_off_the_noise(gain: float, level: float) -> None:
    found = [measure_gain(np.float32(gain) * counted(disks(level=level), k)) for k in range(10)]
    assert 0.8 < np.median(found) / gain < 1.6


@pytest.mark.parametrize(("radius", "spacing"), [(5.0, 11.5), (9.0, 21.0), (16.0, 37.0)])
def test_disks_that_all_but_touch_do_not_raise_the_gain_of_counts(radius: float, spacing: float) -> None:
    mean = disks(radius, spacing, 40 * radius**2)
    for k in range(5):
        # Whole or not: after a dark reference has been subtracted counts are not.
        assert measure_gain(counted(mean, k)) == 1.0
        assert measure_gain(counted(mean, k) + np.float32(1e-3)) == 1.0


def test_a_pattern_without_noise_has_no_gain() -> None:
    assert measure_gain(np.full((64, 64), 7.0, np.float32)) == 0.0
    assert measure_gain(np.zeros((64, 64), np.float32)) == 0.0


@pytest.mark.parametrize("mask", ["corners", "quadrant", "third", "lone"])
@pytest.mark.parametrize("fill", [0.0, 0.5, np.nan, 65535.0])
def test_bad_pixels_have_no_say(mask: str, fill: float) -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    bad = {
        "corners": np.hypot(y - 64, x - 64) > 62,
        "quadrant": (y < 64) & (x < 64),
        "third": x < 44,
        "lone": np.random.default_rng(0).random(SHAPE) < 0.05,
    }[mask]
    for gain in (1.0, 0.3):
        image = np.float32(gain) * counted(disks(), 1)
        image[bad] = fill
        assert measure_gain(image, bad) == pytest.approx(gain, rel=0.3)


@pytest.mark.parametrize("spread_px", [0.4, 0.5, 0.6, 0.8, 1.0])
@pytest.mark.parametrize("level", [0.5, 5.0, 30.0])
def test_light_that_spreads_over_neighbours_is_still_counted(spread_px: float, level: float) -> None:
    """The noise of a lone pixel is down to a hundredth of that of its electrons."""
    image = gaussian_filter(counted(disks(level=level), 3), spread_px)
    assert 0.3 < measure_gain(image) < 1.6


@pytest.mark.parametrize("offset", [5, 20, 100])
def test_an_offset_does_not_make_counts_sure_and_is_told_of(offset: int, caplog: pytest.LogCaptureFixture) -> None:
    image = counted(disks(), 4) + np.float32(offset)
    assert measure_gain(image) == 1.0
    log = logging.getLogger("ronchi.test")
    with caplog.at_level(logging.WARNING, "ronchi.test"):
        warn_of_offset(image - offset, None, log)
        assert not caplog.records
        warn_of_offset(image, None, log)
    assert "take the offset of the camera off" in caplog.text


def test_the_quiet_level_is_that_of_the_background() -> None:
    rng = np.random.default_rng(0)
    image = rng.poisson(0.3, (128, 96)).astype(np.float32)
    image[40:60, 30:50] += 50
    assert quiet_level(image, 128, 96) == pytest.approx(0.3, rel=0.15)

"""Counts per electron from the noise of one pattern, whatever else is in it."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ronchi_disks.noise import measure_noise, quiet_level, warn_of_camera

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


def gain_of(image: NDArray[np.float32], bad_pixel: NDArray[np.bool_] | None = None) -> float:
    noise = measure_noise(image[None], bad_pixel)
    assert noise.read_electrons == 0
    return float(noise.gain[0])


@pytest.mark.parametrize("gain", [0.2, 0.5, 1.0, 4.0, 20.0])
@pytest.mark.parametrize("level", [0.02, 0.5, 30.0])
def test_gain_is_read_off_the_noise(gain: float, level: float) -> None:
    found = [gain_of(np.float32(gain) * counted(disks(level=level), k)) for k in range(10)]
    assert 0.8 < np.median(found) / gain < 1.6


@pytest.mark.parametrize(("radius", "spacing"), [(5.0, 11.5), (9.0, 21.0), (16.0, 37.0)])
def test_disks_that_all_but_touch_do_not_raise_the_gain_of_counts(radius: float, spacing: float) -> None:
    mean = disks(radius, spacing, 40 * radius**2)
    for k in range(5):
        # Whole or not: after a dark reference has been subtracted counts are not.
        assert gain_of(counted(mean, k)) == 1.0
        assert gain_of(counted(mean, k) + np.float32(1e-3)) == 1.0


def test_a_pattern_without_noise_has_no_gain() -> None:
    assert gain_of(np.full((64, 64), 7.0, np.float32)) == 0.0
    assert gain_of(np.zeros((64, 64), np.float32)) == 0.0


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
        assert gain_of(image, bad) == pytest.approx(gain, rel=0.3)


@pytest.mark.parametrize("spread_px", [0.4, 0.5, 0.6, 0.8, 1.0])
@pytest.mark.parametrize("level", [0.5, 5.0, 30.0])
def test_light_that_spreads_over_neighbours_is_still_counted(spread_px: float, level: float) -> None:
    """The noise of a lone pixel is down to a hundredth of that of its electrons."""
    image = gaussian_filter(counted(disks(level=level), 3), spread_px)
    assert 0.3 < gain_of(image) < 1.6


@pytest.mark.parametrize("offset", [5, 20, 100])
def test_an_offset_does_not_make_counts_sure_and_is_told_of(offset: int, caplog: pytest.LogCaptureFixture) -> None:
    image = counted(disks(), 4) + np.float32(offset)
    assert gain_of(image) == 1.0
    log = logging.getLogger("ronchi.test")
    with caplog.at_level(logging.WARNING, "ronchi.test"):
        warn_of_camera(image - offset, None, log)
        assert not caplog.records
        warn_of_camera(image, None, log)
    assert "take the offset of the camera off" in caplog.text


@pytest.mark.parametrize("gain", [1.0, 20.0])
@pytest.mark.parametrize("read", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("counts", [600.0, 6000.0])
def test_readout_noise_is_read_off_the_dark(gain: float, read: float, counts: float) -> None:
    """Dark-subtracted, half of the dark is negative; the gain was up to five times too large."""
    rng = np.random.default_rng(1)
    light = rng.poisson(disks(8.0, 25.0, counts, 0.1), (10, *SHAPE))
    noise = measure_noise((gain * (light + rng.normal(0, read, light.shape))).astype(np.float32))
    assert np.median(noise.gain) == pytest.approx(gain, rel=0.35)
    assert np.median(noise.gain * noise.read_electrons) == pytest.approx(gain * read, rel=0.15)
    known = measure_noise((gain * (light + rng.normal(0, read, light.shape))).astype(np.float32), None, gain)
    assert np.all(known.gain == gain)
    assert np.median(known.read_electrons) == pytest.approx(read, rel=0.1)


@pytest.mark.parametrize("gain", [1.0, 20.0])
def test_light_of_the_dark_is_not_taken_for_readout_noise(gain: float) -> None:
    """Where it is, bright tiles have too little noise left: the gain is halved."""
    rng = np.random.default_rng(1)
    light = rng.poisson(disks(8.0, 25.0, 600.0, 5.0), (10, *SHAPE))
    noise = measure_noise((gain * (light + rng.normal(0, 3, light.shape))).astype(np.float32))
    assert np.median(noise.gain) == pytest.approx(gain, rel=0.15)  # seed 1
    assert np.median(noise.gain * noise.read_electrons) == pytest.approx(3 * gain, rel=0.05)


@pytest.mark.parametrize("read", [0.5, 1.0, 3.0])
def test_counted_electrons_are_one_each_beside_readout_noise(read: float) -> None:
    rng = np.random.default_rng(1)
    light = rng.poisson(disks(8.0, 25.0, 6000.0, 0.1), (10, *SHAPE))
    assert np.mean(measure_noise((light + rng.normal(0, read, light.shape)).astype(np.float32)).gain == 1) > 0.8


def test_readout_noise_alone_tells_no_tiny_gain() -> None:
    """All its noise would be light; a hundred electrons are the most that a readout adds."""
    noise = measure_noise(np.random.default_rng(1).normal(0, 300, (10, *SHAPE)).astype(np.float32))
    assert noise.read_electrons.max() < 101
    np.testing.assert_allclose(noise.gain * noise.read_electrons, 300, rtol=0.1)


def test_bad_pixels_are_no_readout_noise() -> None:
    image = counted(disks(), 1)
    bad = np.zeros(SHAPE, np.bool_)
    bad[40:50] = True
    image[bad] = -1e4
    assert measure_noise(image[None], bad).read_electrons == 0


@pytest.mark.parametrize(("counts", "spread_px", "told"), [(20, 0.6, True), (20, 0.0, False), (1, 0.6, False)])
def test_a_camera_that_spreads_the_counts_of_an_electron_is_told_of(
    counts: int, spread_px: float, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Its noise is that of a few counts an electron."""
    light = counted(disks(8.0, 18.0, 3000.0, 1.0), 2)
    image = counts * (gaussian_filter(light, spread_px) if spread_px else light)
    with caplog.at_level(logging.WARNING, "ronchi.test"):
        warn_of_camera(image, None, logging.getLogger("ronchi.test"))
    assert ("give `counts_per_electron`" in caplog.text) is told


def test_disks_that_all_but_touch_are_no_spread_light(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "ronchi.test"):
        for k, (radius, spacing) in enumerate([(5.0, 11.5), (4.0, 9.5), (3.0, 9.0)]):
            warn_of_camera(counted(disks(radius, spacing, 3000.0), k), None, logging.getLogger("ronchi.test"))
    assert not caplog.records


def test_the_quiet_level_is_that_of_the_background() -> None:
    rng = np.random.default_rng(0)
    image = rng.poisson(0.3, (128, 96)).astype(np.float32)
    image[40:60, 30:50] += 50
    assert quiet_level(image, 128, 96) == pytest.approx(0.3, rel=0.15)

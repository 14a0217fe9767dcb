"""Gain and readout noise from light and variance; what light that spreads does to noise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import chi2

from ronchi.photon_transfer import PhotonTransfer, spread_light

Array = NDArray[np.float64]
SHARE, LOOKS = 0.15, 64


def places(gain: float, read: float, dark_e: float, seed: int = 0) -> tuple[Array, Array]:
    """Light and variance of 1000 places, a third as bright as 200 electrons, of 64 looks each; a quarter changes."""
    rng = np.random.default_rng(seed)
    expected = np.where(np.arange(1000) % 3, dark_e, rng.uniform(20, 200, 1000))
    looks = gain * (rng.poisson(expected, (LOOKS, 1000)) + read * rng.normal(size=(LOOKS, 1000)))
    changes = np.where(np.arange(1000) % 4 == 1, rng.uniform(1, 5, 1000), 1.0)
    return looks.mean(0), looks.var(0, ddof=1) * changes / (chi2.ppf(SHARE, LOOKS - 1) / (LOOKS - 1))


@pytest.mark.parametrize("gain", [1.0, 20.0])
@pytest.mark.parametrize("read", [0.5, 3.0])
@pytest.mark.parametrize("dark_e", [0.0, 2.0])
def test_gain_and_readout_noise_are_told_apart(gain: float, read: float, dark_e: float) -> None:
    """Light of the dark, eight times the noise of the readout where that is small, is not taken for it."""
    transfer = PhotonTransfer(*places(gain, read, dark_e), SHARE)
    found = transfer.gain(6)
    assert found == pytest.approx(gain, rel=0.1)
    # The darkest are those that happen to be: their light is a little more than is seen.
    assert transfer.readout(found) == pytest.approx((gain * read) ** 2, rel=0.15, abs=0.15 * gain**2 * dark_e)


def test_light_without_noise_of_its_own_has_no_gain() -> None:
    light, variance = places(0.0, 0.0, 2.0)
    light = np.random.default_rng(1).uniform(0, 100, len(light))
    transfer = PhotonTransfer(light, variance + 9.0, SHARE)
    assert transfer.gain(6) == 0
    assert transfer.readout(0.0) == pytest.approx(9.0)


def test_what_is_known_of_the_gain_counts_in_every_round() -> None:
    light, variance = places(1.3, 2.0, 2.0)
    transfer = PhotonTransfer(light, variance, SHARE)
    told: list[float] = []

    def settle(found: float) -> float:
        told.append(found)
        return 1.0

    assert transfer.gain(6, settle) == 1.0
    assert len(told) == 2, "the second round found what it began with"
    assert told[0] != told[1] == pytest.approx(1.3, rel=0.1)


@pytest.mark.parametrize("spread_px", [0.3, 0.6, 1.0])
def test_light_that_spreads_has_the_noise_of_a_smoothed_image(spread_px: float) -> None:
    noise = np.random.default_rng(2).normal(size=(2048, 2048))
    image = gaussian_filter(noise, spread_px, truncate=8 / spread_px, mode="wrap")
    table = spread_light(1.2)
    i = round(100 * spread_px)
    assert table.spread_px[i] == pytest.approx(spread_px)
    # Seed 2: four million pixels, of which those alike count as one, or 65536 squares.
    assert table.squares(1)[i] == pytest.approx(image.var(), rel=0.01)
    for side in (4, 8):
        sums = image.reshape(2048 // side, side, 2048 // side, side).sum((1, 3))
        assert table.squares(side)[i] == pytest.approx(sums.var() / side**2, rel=0.02)
    assert table.likeness[i] == pytest.approx(np.mean(image * np.roll(image, 1, 0)) / image.var(), abs=0.005)
    bends = np.roll(image, 1, 1) - 2 * image + np.roll(image, -1, 1)
    assert table.bends[i] == pytest.approx(bends.var() / 6, rel=0.01)


def test_light_that_stays_changes_nothing() -> None:
    table = spread_light(1.0)
    assert (len(table.spread_px), table.spread_px[-1]) == (101, 1.0)
    assert [table.squares(side)[0] for side in (1, 4, 8)] == pytest.approx([1, 1, 1])
    assert (table.likeness[0], table.bends[0]) == pytest.approx((0, 1), abs=1e-6)

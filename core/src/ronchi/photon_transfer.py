"""Photon transfer: gain and readout noise of a camera from light and variance at many places, and light that spreads.

Variance is gain times light, plus that of the readout, and more where something else changes. Janesick, Photon
Transfer, SPIE (2007), doi:10.1117/3.725073.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ELECTRONS", "LEAST_NEGATIVE", "PhotonTransfer", "SpreadLight", "spread_light"]

Float = NDArray[np.floating[Any]]

ELECTRONS = (0.75, 3.0)
"""A gain in this range stands for counted electrons: disks that leave no quiet place raise it."""
LEAST_NEGATIVE = 0.005
"""Share of negative values from which on there is readout noise: electrons alone make none."""
_DARK, _BRIGHT = 0.25, 0.0625
"""Shares of the places that tell the readout noise, and that tell the gain where that is far above the light."""
_LEAST = 16
"""Fewest places that tell something."""


class PhotonTransfer:
    """Light and variance of places with readout noise: the darkest tell the readout, what others have more the gain.

    Parameters
    ----------
    light : (place,) float array
        Counts without offset: of readout noise alone 0 on the average. Some tens of places at least.
    variance : (place,) float array
        Variance of the counts, so scaled that the quantile ``share`` is right for places of nothing but noise.
    share : float
        A low one, for whatever is not noise adds to the variance.

    Attributes
    ----------
    dark_variance : float
        Variance of the darkest places.
    """

    def __init__(self, light: Float, variance: Float, share: float) -> None:
        self._light, self._variance, self._share = light, variance, share
        self._order = np.argsort(light, kind="stable")
        dark = self._order[: max(round(_DARK * len(light)), _LEAST)]
        self._dark_light = max(float(light[dark].mean()), 0.0)
        self.dark_variance = float(np.quantile(variance[dark], share))

    def gain(self, rounds: int, settle: Callable[[float], float] = float) -> float:
        """Counts per electron, 0 where light adds nothing to the variance.

        Parameters
        ----------
        rounds : int
            At most: the dark has some light, too, so gain and readout noise are told in turn.
        settle : callable
            What is known of the gain beforehand: takes what a round has found, gives what the next begins with.
        """
        light, variance = self._light, self._variance
        bright = np.zeros(len(light), np.bool_)
        bright[self._order[-max(round(_BRIGHT * len(light)), _LEAST) :]] = True
        gain = 0.0
        for _ in range(rounds):
            read = self.readout(gain)
            # Where the readout makes most of the noise, the rest is not well known.
            lit = gain * light > read
            lit = lit if lit.sum() >= _LEAST else bright
            rest = (variance[lit] - read) / np.maximum(light[lit], 1e-30)
            before, gain = gain, settle(max(float(np.quantile(rest, self._share)), 0.0))
            if gain == before:
                break
        return gain

    def readout(self, gain: float) -> float:
        """Variance of the readout: that of the darkest places, but for their light."""
        return max(self.dark_variance - gain * self._dark_light, 0.0)


class SpreadLight(NamedTuple):
    """Noise of cameras that spread the light of an electron, as a Gaussian: neighbours are alike, pixels too quiet.

    Attributes
    ----------
    spread_px : (spread,) float64
        Standard deviations of the Gaussian.
    alike : (spread, 17) float64
        Covariance of pixels that lie 0 to 16 px apart in a row; the variance is 1 where no light spreads. Of whole
        rows and columns it is the product of both.
    likeness : (spread,) float64
        Correlation of a row and the next.
    bends : (spread,) float64
        Variance of second differences along an axis; 1 where no light spreads.
    """

    spread_px: NDArray[np.float64]
    alike: NDArray[np.float64]
    likeness: NDArray[np.float64]
    bends: NDArray[np.float64]

    def squares(self, side_px: int) -> NDArray[np.float64]:
        """Variance (spread,) of sums over squares; 1 where no light spreads."""
        apart = np.arange(self.alike.shape[1])
        pairs = np.where(apart > 0, 2, 1) * np.clip(1 - apart / side_px, 0, None)
        return np.asarray((self.alike @ pairs) ** 2)


@functools.cache
def spread_light(most_px: float) -> SpreadLight:
    """Noise for spreads from 0 to ``most_px``, in steps of 0.01 px."""
    spread_px = np.linspace(0.0, most_px, round(100 * most_px) + 1)
    kernel = np.exp(-(np.arange(-8, 9) ** 2) / (2 * np.maximum(spread_px[:, None], 0.05) ** 2))
    kernel /= kernel.sum(1, keepdims=True)
    alike = np.stack([(kernel[:, : 17 - lag] * kernel[:, lag:]).sum(1) for lag in range(17)], 1)
    none, one, two = alike.T[:3]
    return SpreadLight(spread_px, alike, one / none, none * (6 * none - 8 * one + 2 * two) / 6)

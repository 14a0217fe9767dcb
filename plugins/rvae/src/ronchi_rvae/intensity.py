"""What is done to the values of images before they are described."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ronchi.api import DataError
from ronchi_rvae.params import DiscParams

__all__ = ["Intensity", "check_likelihood"]

Floats = NDArray[np.float32]

_LEAST_STABLE = 2 * math.sqrt(3 / 8)
"""Stabilised value of no counts."""


@dataclass(frozen=True)
class Intensity:
    """Values as they are learned.

    Parameters
    ----------
    counts : bool
        Stabilise the variance of counts (Anscombe 1948, doi:10.1093/biomet/35.3-4.246).
    normalise : str
        As in `DiscParams`.
    scale : float
        Unit of the values: the standard deviation over the samples of the fit, so that no constant of the fit
        depends on the unit of the detector.
    probe : (ny, nx) float32, optional
        Vacuum probe, subtracted from every image after it was brought to the image's sum: the rim of a bright disk
        has steps along the pixels, which stay while the pattern turns.
    """

    counts: bool
    normalise: str
    scale: float = 1.0
    probe: Floats | None = None

    @classmethod
    def fitted(
        cls, params: DiscParams, frames: Floats, inside: NDArray[np.bool_], probe: Floats | None = None
    ) -> Intensity:
        """Find the scale.

        Parameters
        ----------
        frames : (n, ny, nx) float32
        inside : (ny, nx) bool
            Good pixels of the disc.
        probe : (ny, nx) float32, optional
            0 at bad pixels, as the frames are.

        Raises
        ------
        DataError
            Counts below 0, values that the likelihood does not allow, images that are constant in the disc, or a probe
            that cannot be brought to the sum of an image.
        """
        if params.counts and frames.min() < 0:
            raise DataError(f"counts of {frames.min():g}: there are none below 0", where="counts", fix="counts: false")
        check_likelihood(getattr(params, "likelihood", "gaussian"), frames[:, inside], "likelihood")
        if probe is not None:
            _check_probe(probe)
        unscaled = cls(params.counts, params.normalise, probe=probe)
        spread = float(unscaled.of(frames, inside)[:, inside].std(dtype=np.float64))
        if not spread > 0:
            raise DataError("the images are constant inside the disc: there is nothing to learn", where="radius_px")
        return cls(params.counts, params.normalise, spread, probe)

    def of(self, frames: Floats, inside: NDArray[np.bool_]) -> Floats:
        """Values (n, ny, nx) of images (n, ny, nx)."""
        made: NDArray[np.floating] = self._stable(frames)
        if self.probe is not None:
            shares = frames.sum(axis=(1, 2), dtype=np.float64) / self.probe.sum(dtype=np.float64)
            made = made - self._stable(self.probe * shares[:, None, None].astype(np.float32))
        if self.normalise != "none":
            mean = made[:, inside].mean(axis=1, dtype=np.float64).astype(np.float32)[:, None, None]
            if self.normalise == "contrast":
                spread = made[:, inside].std(axis=1, dtype=np.float64).astype(np.float32)[:, None, None]
                made = np.where(inside, made - mean, 0) / np.where(spread > 0, spread, 1)
            else:
                made = made / np.where(mean == 0, 1, mean)
        scaled: Floats = (made / np.float32(self.scale)).astype(np.float32)
        return scaled

    def back(self, values: Floats) -> Floats:
        """Images of values, but for the probe and for what `normalise` took out of each: their means over the noise.

        Of a mean of stabilised counts the square would be too low by what the noise adds to it. Source: Makitalo & Foi
        2011, IEEE Trans. Image Process. 20, 2697, doi:10.1109/TIP.2010.2056693 (closed form).
        """
        made = values * np.float32(self.scale)
        if not self.counts or self.probe is not None or self.normalise != "none":
            return made
        made = np.maximum(made, np.float32(_LEAST_STABLE))
        bend = math.sqrt(3 / 2)
        rate: Floats = made**2 / 4 + bend / 4 / made - 11 / 8 / made**2 + 5 / 8 * bend / made**3 - np.float32(1 / 8)
        return rate

    def _stable(self, frames: Floats) -> Floats:
        return 2 * np.sqrt(np.maximum(frames, 0) + np.float32(0.375)) if self.counts else frames


def check_likelihood(family: str, values: Floats, where: str) -> None:
    """Raise `DataError` where values (...) are none that a Poisson or Bernoulli law gives."""
    if family == "gaussian":
        return
    low, high = float(values.min()), float(values.max())
    if low < 0 or (family == "bernoulli" and high > 1):
        what = f"values from {low:g} to {high:g} are no {'counts' if family == 'poisson' else 'chances'}"
        raise DataError(what, where=where, fix="likelihood: gaussian")


def _check_probe(probe: Floats) -> None:
    total = float(probe.sum(dtype=np.float64))
    if not (np.isfinite(probe).all() and total > 0):
        what = f"the sum of the probe over good pixels is {total:g}: it cannot be brought to that of an image"
        raise DataError(what, where="subtract_probe", fix="mend the coordinate `probe`, or subtract_probe: false")

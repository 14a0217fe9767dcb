"""How far apart the atoms of an image are, from its own spectrum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter

__all__ = ["blob_sigma", "estimate_period", "noise_level"]

Array = NDArray[np.float64]

_PERIODS = 4
"""Fewer periods than this across the image are no lattice."""
_CLEAR = 8.0
"""A Bragg reflection stands out of the spectrum around it by at least this factor."""
_SIGMA_OF_PERIOD = 0.2
"""A Laplacian of Gaussian of this part of a period answers most to one that is a little larger; this one still keeps
the atoms of a honeycomb apart, which are nearer than a period."""


def noise_level(image: Array, good: NDArray[np.bool_] | None = None) -> float:
    """Standard deviation of white noise, whatever smooth image is below it.

    The filter is blind to planes and to products of lines (Immerkaer 1996, Comput. Vis. Image Underst. 64, 300,
    doi:10.1006/cviu.1996.0060); the median leaves out the few pixels where the image bends. Squares of 3 x 3 equal
    pixels are left out: blanked, saturated or without a count, they would tell that there is no noise.

    Parameters
    ----------
    image, good : (rows, columns)
        Pixels that were measured, all by default: the filter takes nothing from the others.
    """
    if min(image.shape) < 3:
        return 0.0
    twice = np.diff(np.diff(image, 2, axis=0), 2, axis=1)
    inner = (slice(1, -1), slice(1, -1))
    told = (maximum_filter(image, 3) != minimum_filter(image, 3))[inner]
    if good is not None:
        told &= minimum_filter(good, 3)[inner]
    return float(np.median(np.abs(twice[told])) / 0.6745 / 6) if told.any() else 0.0


def estimate_period(image: Array) -> float | None:
    """Distance in px of the lattice planes of the strongest reflection; None if no lattice shows.

    The autocorrelation holds the same, but its rings overlap where those of the spectrum do not.

    Parameters
    ----------
    image : (rows, columns) float64
    """
    spectrum, frequency = _spectrum(image)
    rings = (frequency * min(image.shape)).round().astype(np.int64)
    last = int(0.45 * min(image.shape))
    inside = rings <= last
    ring, power = rings[inside], spectrum[inside]
    order = np.lexsort((power, ring))
    edges = np.searchsorted(ring[order], np.arange(last + 2))
    ends, starts = edges[1:], edges[:-1]
    ranked = power[order]
    top, middle = ranked[ends - 1], ranked[(starts + ends) // 2]
    # What lies around a ring: rings of polycrystals raise their own median.
    background = np.array([np.median(middle[max(1, int(0.7 * n)) : int(1.4 * n) + 2]) for n in range(last + 1)])
    numbers = np.arange(last + 1)
    clear = (top > _CLEAR * background) & (numbers >= _PERIODS)
    if not clear.any():
        return None
    # Higher orders are weaker; slow changes of brightness are stronger, but further out.
    strength = np.where(clear, top * numbers, 0)
    best = int(strength.argmax())
    return min(image.shape) / float(_centre(numbers, top - background, best))


def blob_sigma(image: Array) -> float:
    """Standard deviation in px of a Laplacian of Gaussian that suits the atoms of an image.

    It is a part of the lattice's period. Where no lattice shows, it is the smallest one that answers more than its
    neighbours do: the size of blobs (Lindeberg 1998, Int. J. Comput. Vis. 30, 79, doi:10.1023/A:1008045108935).
    """
    period = estimate_period(image)
    if period is not None:
        return max(0.8, _SIGMA_OF_PERIOD * period)
    spectrum, frequency = _spectrum(image)
    square = (2 * np.pi * frequency) ** 2
    above = spectrum - np.median(spectrum[frequency > 0.4])
    sigmas = np.geomspace(0.8, max(1.0, min(image.shape) / 10), 40)
    answers = np.array([(above * (s * s * square) ** 2 * np.exp(-s * s * square)).sum() for s in sigmas])
    peaks = np.flatnonzero((answers[1:-1] > answers[:-2]) & (answers[1:-1] >= answers[2:])) + 1
    return float(sigmas[peaks[0] if len(peaks) else answers.argmax()])


def _spectrum(image: Array) -> tuple[Array, Array]:
    """Power, a little smoothed, and frequency in 1/px, of half of the plane."""
    window = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])
    power = np.abs(np.fft.rfft2((image - image.mean()) * window)) ** 2
    fy, fx = np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1])
    return uniform_filter(power, 3, mode="wrap"), np.hypot(fy, fx)


def _centre(numbers: NDArray[np.int64], value: Array, best: int) -> float:
    around = slice(max(1, best - 1), best + 2)
    weight = np.clip(value[around], 0, None)
    return float((numbers[around] * weight).sum() / weight.sum())

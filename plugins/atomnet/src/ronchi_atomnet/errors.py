"""Standard errors of positions that a network reads off its odds, learned where the truth is known.

A network knows lattices, and its positions are more exact than a fit to the few pixels of each atom allows. How much,
goes with the noise, which the variance of the fit tells: the squared error is taken to be a line in it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["error_line", "stated_variance"]

Array = NDArray[np.float64]


def error_line(square: Array, fit_variance: Array) -> tuple[float, float]:
    """Offset a and slope b of the expected squared error of a coordinate, a + b v, both at least 0.

    Parameters
    ----------
    square : (n,) float64
        Squared errors, in px^2.
    fit_variance : (n,) float64
        Variances v that fits state for the same coordinates; those that are not finite are left out.
    """
    known = np.isfinite(fit_variance) & np.isfinite(square)
    square, variance = square[known], fit_variance[known]
    if len(square) < 10:
        return 0.0, 1.0
    line = np.array([0.5 * square.mean(), 0.5 * square.mean() / variance.mean()])
    for _ in range(10):
        # A squared error scatters as its expectation, squared.
        weight = 1 / np.maximum(line[0] + line[1] * variance, 1e-9) ** 2
        s = [
            (weight * each).sum() for each in (np.ones_like(variance), variance, variance**2, square, variance * square)
        ]
        determinant = s[0] * s[2] - s[1] ** 2
        slope = (s[0] * s[4] - s[1] * s[3]) / determinant if determinant > 1e-12 * s[0] * s[2] else 0.0
        offset = (s[3] - slope * s[1]) / s[0]
        if slope < 0:
            slope, offset = 0.0, s[3] / s[0]
        elif offset < 0:
            slope, offset = s[4] / s[2], 0.0
        line = np.array([offset, slope])
    return float(line[0]), float(line[1])


def stated_variance(fit_variance: Array, line: tuple[float, float], scale: float) -> Array:
    """Variances (n, 2) of positions in px of images that have 1 / ``scale`` pixels a pixel of the network.

    Where a fit states none, that of a typical atom of the frame stands for it; NaN where no fit does.
    """
    known = np.isfinite(fit_variance)
    typical = float(np.median(fit_variance[known])) if known.any() else np.nan
    return line[0] / scale**2 + line[1] * np.where(known, fit_variance, typical)

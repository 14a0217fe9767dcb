"""Standard errors of positions that a network reads off its odds, from two signs of them that every frame gives.

A network that does not know the place of an atom spreads its odds, so that their maximum falls. And noise and jitter of
the scan move a fit, which sees an atom's own pixels alone, away from the odds, which know its surroundings. The
variance is taken to be a weighted sum of both, with weights learned where the truth is known. The variance that the
fits state is no such sign: they know nothing of jitter, by which frames of one dose differ.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from ronchi_atomnet.gaussians import Fit
from ronchi_atomnet.peaks import SMOOTHING_PX

__all__ = ["NORMAL_MEDIAN", "error_weights", "fits_from_odds", "spread_of_odds", "stated_variance"]

Array = NDArray[np.float64]

NORMAL_MEDIAN = 0.455
"""Median of the square of a normal number."""
_FEWEST = 10
"""Coordinates that weights are learned from."""


def spread_of_odds(score: Array, target_sigma_px: float) -> Array:
    """Variance (n,), in px^2 of the network, by which the odds of atoms are broader than those that were learned.

    Odds that were learned are Gaussians of height 1. Of a place that is known to a variance v they are blurred by it,
    and a Gaussian of variance s that is blurred by v along both axes has s / (s + v) of its height.

    Parameters
    ----------
    score : (n,) float64
        Maxima of the odds, above 0.
    target_sigma_px : float
        Standard deviation of the odds that were learned.
    """
    variance = target_sigma_px**2
    return np.asarray(np.maximum(variance / score - variance - SMOOTHING_PX**2, 0))


def fits_from_odds(points: Array, fit: Fit) -> Array:
    """Variance (2,) of both coordinates of fits about the points (n, 2) of the odds; NaN if no fit has an error.

    It is robust, and not below what the fits state, so that few atoms which agree by chance do not count for much.
    """
    known = np.isfinite(fit.variance).all(1)
    if not known.any():
        return np.full(2, np.nan)
    square = (fit.points[known] - points[known]) ** 2
    return np.asarray(np.maximum(np.median(square, 0) / NORMAL_MEDIAN, np.median(fit.variance[known], 0)))


def error_weights(square: Array, spread: Array, apart: Array) -> tuple[float, float]:
    """Weights a and b of the expected squared error of a coordinate, a spread + b apart, both at least 0.

    Parameters
    ----------
    square : (n,) float64
        Squared errors, in px^2.
    spread, apart : (n,) float64
        `spread_of_odds` and `fits_from_odds` of the same coordinates; those that are not finite are left out.
    """
    known = np.isfinite(square) & np.isfinite(spread) & np.isfinite(apart)
    if known.sum() < _FEWEST:
        return 0.0, 1.0
    square, signs = square[known], np.stack([spread[known], apart[known]], 1)
    weights = np.zeros(2)
    expected = np.full(len(square), square.mean())
    for _ in range(20):
        # A squared error scatters as its expectation, squared.
        scale = 1 / np.maximum(expected, 1e-3 * square.mean() + 1e-12)
        weights, _ = nnls(signs * scale[:, None], square * scale)
        expected = signs @ weights
    return float(weights[0]), float(weights[1])


def stated_variance(spread: Array, apart: Array, weights: tuple[float, float], scale: float) -> Array:
    """Variances (n, 2) of positions in px of images that have 1 / ``scale`` pixels a pixel of the network.

    Parameters
    ----------
    spread : (n,) float64
        `spread_of_odds`, in px^2 of the network.
    apart : (2,) float64
        `fits_from_odds`, in px^2 of the image.
    weights : tuple of float
        As `error_weights` learned them.
    """
    return np.asarray(weights[0] * spread[:, None] / scale**2 + weights[1] * apart)

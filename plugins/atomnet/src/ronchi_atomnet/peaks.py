"""From the odds of each pixel to atoms: maxima, so that atoms that touch stay apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter

from ronchi_atomnet.blobs import parabola

__all__ = ["SMOOTHING_PX", "find_peaks"]

SMOOTHING_PX = 0.7
"""Standard deviation of the smoothing of odds."""


def find_peaks(
    odds: NDArray[np.float32], threshold: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Atoms in the odds of an image.

    Parameters
    ----------
    odds : (1 + species, rows, columns) float32
        Of each class, the background first; their sum is 1.
    threshold : float
        Least odds of any atom, slightly smoothed.

    Returns
    -------
    points : (n, 2) float64
        Row and column, by a parabola.
    score : (n,) float64
        Odds that an atom is there.
    species : (n,) int64
        The likeliest one within a pixel.
    """
    smooth = gaussian_filter(odds.astype(np.float64), (0, SMOOTHING_PX, SMOOTHING_PX), mode="nearest")
    atom = 1 - smooth[0]
    rows, columns = np.nonzero((atom == maximum_filter(atom, 3, mode="nearest")) & (atom >= threshold))
    return parabola(atom, rows, columns), atom[rows, columns], smooth[1:, rows, columns].argmax(0).astype(np.int64)

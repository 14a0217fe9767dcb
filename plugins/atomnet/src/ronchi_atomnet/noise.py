"""What is below the atoms of an image: how its background slopes, and how noisy its pixels are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ronchi.compiled import njit

__all__ = ["noise_line", "slopes_of"]

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

_NEIGHBOURS = 12
"""Atoms around one whose backgrounds tell how that below it slopes: of a honeycomb three shells."""
_FEWEST = 6
_CLEARLY = 12.0
"""Least ratio of the variances that a plane explains and leaves, each by its degrees of freedom: by chance one of a
thousand planes through a dozen levels would explain more."""
_FAR = 12.0
"""Neighbours further away than this, in standard deviations, tell nothing."""


def slopes_of(at: Array, height: Array, background: Array, sigma_px: float) -> Array:
    """Slope (n, 2) along row and column of the background at every atom: that of the plane through its neighbours'.

    A slope of its own would take half of what an atom's pixels tell of its place; an atom that is fitted without any
    is drawn uphill, by three times its variance times the slope over the height.

    Parameters
    ----------
    at : (n, 2) float64
        Row and column.
    height, background : (n,) float64
        The height is 0 where there is no atom.
    sigma_px : float
        Standard deviation of the atoms.
    """
    slopes = np.zeros(at.shape)
    there = np.flatnonzero(height > 0)
    if len(there) < _FEWEST:
        return slopes
    points = at[there]
    most = min(_NEIGHBOURS + 1, len(there))
    distance, near = cKDTree(points).query(points, k=most, distance_upper_bound=_FAR * sigma_px)
    weight = np.isfinite(distance).astype(np.float64)
    near = np.where(weight > 0, near, 0)
    apart, level = points[near], background[there][near]
    total = weight.sum(1)
    apart = apart - ((weight[..., None] * apart).sum(1) / total[:, None])[:, None]
    level = level - ((weight * level).sum(1) / total)[:, None]
    (yy, yx), (_, xx) = ([(weight * apart[..., a] * apart[..., b]).sum(1) for b in range(2)] for a in range(2))
    y, x = ((weight * apart[..., a] * level).sum(1) for a in range(2))
    determinant = yy * xx - yx**2
    # Atoms on one line tell no slope across it.
    told = (total >= _FEWEST) & (determinant > 0.01 * (yy + xx) ** 2)
    determinant = np.where(told, determinant, np.inf)
    slope = np.stack([(xx * y - yx * x) / determinant, (yy * x - yx * y) / determinant], 1)
    explained = slope[:, 0] * y + slope[:, 1] * x
    left = np.maximum((weight * level**2).sum(1) - explained, 0)
    # A slope sets in gradually, so that next to the same levels have next to the same.
    ratio = explained * (total - 3) / np.maximum(2 * left, 1e-12 * explained + 1e-300)
    slopes[there] = slope * np.clip(ratio / _CLEARLY - 1, 0, 1)[:, None]
    return slopes


@njit()
def noise_line(
    image: Array,
    good: Bools,
    residual: Array,
    at: Array,
    state: Array,
    slopes: Array,
    reach: float,
    least: float,
) -> Array:
    """Variance of a pixel, a + b times its expected value, from the squares of the residuals around the atoms.

    Parameters
    ----------
    image, good, residual : (rows, columns)
        The pixels, whether they were measured, and what is left of them without the atoms.
    at : (n, 2) float64
    state : (n, 6) float64
        Of the atoms; height and background come first.
    slopes : (n, 2) float64
        Of the background.
    reach : float
        Radius around an atom, in px.
    least : float
        Least variance.
    """
    rows, columns = image.shape
    s = np.zeros(5)
    number = 0
    for i in range(len(at)):
        if state[i, 0] <= 0.0:
            continue
        y, x = at[i, 0], at[i, 1]
        for row in range(max(0, int(np.ceil(y - reach))), min(rows, int(np.floor(y + reach)) + 1)):
            half = np.sqrt(reach * reach - (row - y) ** 2)
            for column in range(max(0, int(np.ceil(x - half))), min(columns, int(np.floor(x + half)) + 1)):
                if not good[row, column]:
                    continue
                background = state[i, 1] + slopes[i, 0] * (row - y) + slopes[i, 1] * (column - x)
                expected = max(background + image[row, column] - residual[row, column], 0.0)
                square = (residual[row, column] - background) ** 2
                s[0] += 1.0
                s[1] += expected
                s[2] += expected * expected
                s[3] += square
                s[4] += expected * square
        number += 1
    made = np.array([1.0, 0.0])
    if s[0] == 0.0:
        return made
    # Each atom took four parameters out of its pixels.
    correction = s[0] / max(s[0] - 4.0 * number, 0.25 * s[0])
    determinant = s[0] * s[2] - s[1] * s[1]
    slope = (s[0] * s[4] - s[1] * s[3]) / determinant if determinant > 1e-12 * s[0] * s[2] else 0.0
    offset = (s[3] - slope * s[1]) / s[0]
    if slope <= 0.0:
        slope, offset = 0.0, s[3] / s[0]
    elif offset <= 0.0:
        # Counts alone; a floor of a hundredth of the mean keeps empty pixels from ruling.
        slope = s[3] / s[1]
        offset = 0.01 * s[3] / s[0]
    made[0], made[1] = max(offset * correction, least), slope * correction
    return made

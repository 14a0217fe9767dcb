"""Gain of the detector from the noise of a pattern, and the level of its background."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit

__all__ = ["measure_gain", "quiet_level"]

_ROWS, _COLUMNS = 4, 8
"""Size of a tile, px: small, to fit between disks."""
_SQUARE = 16
"""Side of the squares that tell the level, px: few counts a pixel are some in a square."""
_SHARE = 0.15
_OF_NOISE = 0.67
"""The quantile `_SHARE` over the mean, for the variance of a tile of pure noise."""
_COUNTING = (0.6, 3.0)
"""Disks that leave no quiet tile raise the figure; in this range it stands for counted electrons."""


@njit(fastmath={"reassoc", "contract"})
def measure_gain(image: NDArray[np.float32], height: int, width: int) -> float:
    """Variance of a pixel over its value: counts per electron where counting is the noise.

    In every other row of tiles of the pattern, the second differences along x give the variance. Disks, gradients
    and readout noise only add to it, so a low quantile of the tiles' ratios is that of the quiet ones. A lone count
    gives its own value: sparse patterns give the exact gain. A figure near 1 is taken for 1.

    Parameters
    ----------
    image : (my, mx) float32 array
    height, width : int
        Its used part.

    Returns
    -------
    gain : float
        0 for a pattern without noise.
    """
    columns = (width - 2) // _COLUMNS
    ratio = np.empty(max((height // _ROWS) * columns, 1), np.float32)
    total, square = np.empty(columns * _COLUMNS, np.float32), np.empty(columns * _COLUMNS, np.float32)
    n = 0
    for tile_row in range(0, height // _ROWS, 2):
        total[:] = 0
        square[:] = 0
        for y in range(tile_row * _ROWS, (tile_row + 1) * _ROWS):
            row = image[y]
            for x in range(columns * _COLUMNS):
                bend = row[x] - 2 * row[x + 1] + row[x + 2]
                total[x] += row[x + 1]
                square[x] += bend * bend
        for tile in range(columns):
            mean, variance = np.float32(0), np.float32(0)
            for x in range(tile * _COLUMNS, (tile + 1) * _COLUMNS):
                mean += total[x]
                variance += square[x]
            if mean > 0:
                ratio[n] = variance / (6 * mean)
                n += 1
    gain = _quantile(ratio[:n], _SHARE) / _OF_NOISE
    return 1.0 if _COUNTING[0] < gain < _COUNTING[1] else gain


@njit(fastmath={"reassoc", "contract"})
def quiet_level(image: NDArray[np.float32], height: int, width: int) -> float:
    """Mean of a pixel in the darker half of the pattern, in squares of 16 pixels.

    Of pure noise it is a little below the mean; where disks are everywhere, above the background.
    """
    rows, columns = max(height // _SQUARE, 1), max(width // _SQUARE, 1)
    level = np.zeros(rows * columns, np.float64)
    for row in range(rows):
        for y in range(row * _SQUARE, min((row + 1) * _SQUARE, height)):
            for column in range(columns):
                total = np.float32(0)
                for x in range(column * _SQUARE, min((column + 1) * _SQUARE, width)):
                    total += image[y, x]
                level[row * columns + column] += total
    level.sort()
    half = (len(level) + 1) // 2
    area = min(_SQUARE, height) * min(_SQUARE, width)
    return level[:half].sum() / (half * area)


@njit()
def _quantile(values: NDArray[np.float32], share: float) -> float:
    """Quantile of values from 0 up, 0 if there are none.

    Such floats sort as their bits, and bisection of the bits counts without branches: faster than a selection.
    """
    if len(values) == 0:
        return 0.0
    bits = values.view(np.int32)
    low, high = np.int32(0), np.int32(0x7F800000)
    for _ in range(20):
        middle = low + (high - low) // 2
        below = np.int32(0)
        for k in range(len(bits)):
            below += np.int32(bits[k] < middle)
        if below <= share * (len(bits) - 1):
            low = middle
        else:
            high = middle
    bits[0] = low
    return float(values[0])

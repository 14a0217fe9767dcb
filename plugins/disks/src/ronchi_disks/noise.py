"""Gain of the detector from the noise of a pattern, and the level of its background."""

from __future__ import annotations

import functools
import logging

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit

__all__ = ["measure_gain", "quiet_level", "warn_of_offset"]

_ROWS, _COLUMNS = 4, 8
"""Size of a tile, px: small, to fit between disks."""
_SQUARE = 16
"""Side of the squares that tell the level, px: few counts a pixel are some in a square."""
_LEAST_GOOD = 0.5
"""Share of good pixels that a tile needs to count."""
_SHARE = 0.15
_OF_NOISE = 0.67
"""The quantile `_SHARE` over the mean, for the variance of a tile of pure noise."""
_ELECTRONS = (0.75, 3.0)
"""A figure in this range stands for counted electrons: disks that leave no quiet tile raise it."""
_QUIET = 1.2
"""Tiles whose ratio is below the gain times this are quiet."""
_SPREADS_PX = np.linspace(0.0, 1.2, 121)
"""Standard deviations of the light of an electron that are looked at."""
_ALIKE = 0.1
"""Rows that are less alike pass for independent: edges of disks make them alike, too."""


def measure_gain(image: NDArray[np.float32], bad_pixel: NDArray[np.bool_] | None = None) -> float:
    """Variance of a pixel over its value: counts per electron where counting is the noise.

    In every other row of tiles of the pattern, the second differences along x give the variance. Disks, gradients
    and readout noise only add to it, so a low quantile of the tiles' ratios is that of the quiet ones. A lone count
    gives its own value: sparse patterns give the exact gain. A figure near 1 is taken for 1.

    Two things make it too small, and so all light significant. A camera that spreads the light of an electron over
    pixels evens out their noise: how far it does so is seen from how alike neighbours are. An offset adds to the
    value and not to the variance: counts that are whole have a gain of 1 at least; see `warn_of_offset`.

    Parameters
    ----------
    image : (qy, qx) float32 array
    bad_pixel : (qy, qx) bool array, optional
        True where the image is not to be believed.

    Returns
    -------
    gain : float
        0 for a pattern without noise.
    """
    gain = _figure(image, bad_pixel)
    if gain == 0.0:
        return 0.0
    lowest, highest = _ELECTRONS
    return 1.0 if lowest < gain < highest or (gain <= lowest and _is_whole(image, bad_pixel)) else gain


def warn_of_offset(image: NDArray[np.float32], bad_pixel: NDArray[np.bool_] | None, log: logging.Logger) -> None:
    """Warn where whole counts are steadier than electrons can be; parameters as for `measure_gain`."""
    ratio = _figure(image, bad_pixel)
    if 0.0 < ratio < _ELECTRONS[0] and _is_whole(image, bad_pixel):
        log.warning(
            "the noise of the counts is %.2g times what as many electrons have: take the offset of the camera off, or "
            "the error bars are too large and faint disks are lost",
            ratio,
        )


def _is_whole(image: NDArray[np.float32], bad_pixel: NDArray[np.bool_] | None) -> bool:
    whole = image == np.rint(image)
    return bool((whole if bad_pixel is None else whole | bad_pixel).all())


def _figure(image: NDArray[np.float32], bad_pixel: NDArray[np.bool_] | None) -> float:
    """Variance over value of the light of electrons, wherever in their surroundings it went."""
    bad = np.zeros(image.shape, np.bool_) if bad_pixel is None else bad_pixel
    found = float(_ratio(image, bad, bad_pixel is not None))
    if not 0.0 < found < _ELECTRONS[0]:
        return found
    likeness = _likeness(image, bad, _QUIET * found)
    return found / float(np.interp(likeness, *_spread_table())) if likeness > _ALIKE else found


@functools.cache
def _spread_table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What spread light does to second differences along x: their correlation from row to row, and their variance."""
    offset = np.arange(-8, 9)
    kernel = np.exp(-(offset**2) / (2 * np.maximum(_SPREADS_PX[:, None], 0.05) ** 2))
    kernel /= kernel.sum(1, keepdims=True)
    alike = np.array([[(k[: len(k) - lag] * k[lag:]).sum() for lag in range(3)] for k in kernel])
    a0, a1, a2 = alike.T
    variance = 6 * a0 - 8 * a1 + 2 * a2
    return a1 / a0, variance * a0 / 6


@njit(fastmath={"reassoc", "contract"})
def _ratio(image: NDArray[np.float32], bad: NDArray[np.bool_], masked: bool) -> float:
    """Variance over value of the quiet tiles."""
    height, width = image.shape
    columns = (width - 2) // _COLUMNS
    n_ratios = max((height // _ROWS) * columns, 1)
    ratio = np.empty(n_ratios, np.float32)
    total, square = np.empty(columns * _COLUMNS, np.float32), np.empty(columns * _COLUMNS, np.float32)
    n_good = np.full(columns * _COLUMNS, _ROWS, np.float32)
    n = 0
    for tile_row in range(0, height // _ROWS, 2):
        total[:] = 0
        square[:] = 0
        if masked:
            n_good[:] = 0
        for y in range(tile_row * _ROWS, (tile_row + 1) * _ROWS):
            row = image[y]
            if masked:
                mask = bad[y]
                for x in range(columns * _COLUMNS):
                    if not (mask[x] or mask[x + 1] or mask[x + 2]):
                        bend = row[x] - 2 * row[x + 1] + row[x + 2]
                        total[x] += row[x + 1]
                        square[x] += bend * bend
                        n_good[x] += 1
                continue
            for x in range(columns * _COLUMNS):
                bend = row[x] - 2 * row[x + 1] + row[x + 2]
                total[x] += row[x + 1]
                square[x] += bend * bend
        for tile in range(columns):
            mean, variance, good = np.float32(0), np.float32(0), np.float32(0)
            for x in range(tile * _COLUMNS, (tile + 1) * _COLUMNS):
                mean += total[x]
                variance += square[x]
                good += n_good[x]
            if mean > 0 and good >= _LEAST_GOOD * _ROWS * _COLUMNS:
                ratio[n] = variance / (6 * mean)
                n += 1
    return _quantile(ratio[:n], _SHARE) / _OF_NOISE


@njit()
def _likeness(image: NDArray[np.float32], bad: NDArray[np.bool_], limit: float) -> float:
    """Correlation of the second differences along x of neighbouring rows: the median over quiet tiles.

    Tiles that were chosen for their little noise are alike along x, but not across.
    """
    found = np.empty(max(image.size // (_ROWS * _COLUMNS), 1))
    n_found = 0
    bends = np.empty(_ROWS)
    for top in range(0, image.shape[0] - _ROWS + 1, _ROWS):
        for left in range(0, image.shape[1] - _COLUMNS - 2, _COLUMNS):
            total, square, product, n = 0.0, 0.0, 0.0, 0
            for x in range(left, left + _COLUMNS):
                good = True
                for k in range(_ROWS):
                    y = top + k
                    good = good and not (bad[y, x] or bad[y, x + 1] or bad[y, x + 2])
                    bends[k] = image[y, x] - 2 * image[y, x + 1] + image[y, x + 2]
                    total += image[y, x + 1] if good else 0.0
                if good:
                    n += 1
                    square += bends[0] ** 2 + bends[1] ** 2 + bends[2] ** 2 + bends[3] ** 2
                    product += bends[0] * bends[1] + bends[1] * bends[2] + bends[2] * bends[3]
            if n >= _LEAST_GOOD * _COLUMNS and 0 < square < 6 * limit * total:
                found[n_found] = product / (0.75 * square)
                n_found += 1
    return np.median(found[:n_found]) if n_found else 0.0


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

"""Gain and readout noise of the detector from the noise of a pattern, and the level of its background."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit
from ronchi.photon_transfer import ELECTRONS, LEAST_NEGATIVE, PhotonTransfer, spread_light

__all__ = ["Noise", "measure_noise", "quiet_level", "warn_of_camera"]

_ROWS, _COLUMNS = 4, 8
"""Size of a tile, px: small, to fit between disks."""
_SQUARE = 16
"""Side of the squares that tell the level, px: few counts a pixel are some in a square."""
_LEAST_GOOD = 0.5
"""Share of good pixels that a tile needs to count."""
_SHARE = 0.15
_OF_NOISE = 0.67
"""The quantile `_SHARE` over the mean, for the variance of a tile of pure noise."""
_QUIET = 1.2
"""Tiles whose ratio is below the gain times this are quiet."""
_MOST_SPREAD_PX = 1.2
_ALIKE = 0.1
"""Rows that are less alike pass for independent: edges of disks make them alike, too."""
_SPREAD = (0.38, 0.06)
"""Rows this alike, and every other row little more than spread light makes them, are no edges of disks."""
_ROUNDS = 4
"""Turns of gain and readout noise: every pattern pays for them."""
_LEAST_TILES = 16
_MOST_READ = 100.0
"""Largest readout noise, electrons: a pattern without light tells no gain."""


class Noise(NamedTuple):
    """Noise of n patterns: the variance of a pixel is ``gain * value + (gain * read_electrons)**2``.

    Attributes
    ----------
    gain : (n,) float64
        Counts per electron; 0 for a pattern without noise.
    read_electrons : (n,) float64
        Standard deviation of what the readout adds to a pixel, electrons.
    """

    gain: NDArray[np.float64]
    read_electrons: NDArray[np.float64]


def measure_noise(frames: NDArray[Any], bad_pixel: NDArray[np.bool_] | None = None, gain: float | None = None) -> Noise:
    """Gain and readout noise, of each pattern from itself.

    In every other row of tiles of the pattern, the second differences along x give the variance. Disks and gradients
    only add to it, so low quantiles are those of the quiet tiles: of the ratio of variance and value, where counting
    is the noise. A lone count gives its own value: sparse patterns give the exact gain. A figure near 1 is taken for 1.

    Negative values tell of readout noise, or of too large a dark reference, whose noise is the same: the darkest tiles
    have little else, and what is left of the variance of brighter ones tells the gain.

    Two things make the gain too small, and so all light significant. A camera that spreads the light of an electron
    over pixels evens out their noise: how far it does so is seen from how alike neighbours are. An offset adds to the
    value and not to the variance: counts that are whole have a gain of 1 at least; see `warn_of_camera`.

    Parameters
    ----------
    frames : (n, qy, qx) array
        Any real dtype.
    bad_pixel : (qy, qx) bool array, optional
        True where the patterns are not to be believed.
    gain : float, optional
        Counts per electron, where they are known.
    """
    found = [_noise(np.ascontiguousarray(frame, np.float32), bad_pixel, gain) for frame in frames]
    table = np.array(found, np.float64).reshape(-1, 2)
    return Noise(table[:, 0], table[:, 1])


def _noise(image: NDArray[np.float32], bad_pixel: NDArray[np.bool_] | None, known: float | None) -> tuple[float, float]:
    bad = np.zeros(image.shape, np.bool_) if bad_pixel is None else bad_pixel
    tiles = _tiles(image, bad, bad_pixel is not None)
    mean, variance, negative = tiles
    if negative >= LEAST_NEGATIVE and len(mean) >= _LEAST_TILES:
        gain, read_variance = _with_readout(mean, variance, known)
        return gain, float(np.sqrt(read_variance)) / gain if gain > 0 else 0.0
    if known is not None:
        return known, 0.0
    gain = _figure(image, bad, tiles)
    whole = 0.0 < gain <= ELECTRONS[0] and _is_whole(image, bad_pixel)
    return 1.0 if whole else _counted(gain), 0.0


def _counted(gain: float) -> float:
    return 1.0 if ELECTRONS[0] < gain < ELECTRONS[1] else gain


def _with_readout(mean: NDArray[np.float32], variance: NDArray[np.float32], known: float | None) -> tuple[float, float]:
    """Gain, and variance of the readout, from tiles of a pattern with negative values."""
    transfer = PhotonTransfer(mean, variance / _OF_NOISE, _SHARE)
    if known is not None:
        return known, transfer.readout(known)
    least = float(np.sqrt(transfer.dark_variance)) / _MOST_READ
    gain = transfer.gain(_ROUNDS, lambda found: _counted(max(found, least)))
    return gain, transfer.readout(gain)


def warn_of_camera(image: NDArray[np.float32], bad_pixel: NDArray[np.bool_] | None, log: logging.Logger) -> None:
    """Warn where the noise of a pattern (qy, qx) does not tell the gain: an offset, light spread over many counts."""
    bad = np.zeros(image.shape, np.bool_) if bad_pixel is None else bad_pixel
    tiles = _tiles(image, bad, bad_pixel is not None)
    ratio = _figure(image, bad, tiles)
    if tiles[2] < LEAST_NEGATIVE and 0.0 < ratio < ELECTRONS[0] and _is_whole(image, bad_pixel):
        log.warning(
            "the noise of the counts is %.2g times what as many electrons have: take the offset of the camera off, or "
            "the error bars are too large and faint disks are lost",
            ratio,
        )
    raw = _ratio(tiles)
    if raw < ELECTRONS[0]:
        return
    first, second = (_likeness(image, bad, _QUIET * raw, lag) for lag in (1, 2))
    if first > _SPREAD[0] and second < first**4 + _SPREAD[1]:
        log.warning(
            "neighbouring pixels are alike: the camera spreads the light of an electron and counts it as several, how "
            "many the noise does not tell; give `counts_per_electron`, or error bars are too small and noise passes "
            "for disks"
        )


def _is_whole(image: NDArray[np.float32], bad_pixel: NDArray[np.bool_] | None) -> bool:
    whole = image == np.rint(image)
    return bool((whole if bad_pixel is None else whole | bad_pixel).all())


def _figure(
    image: NDArray[np.float32], bad: NDArray[np.bool_], tiles: tuple[NDArray[np.float32], NDArray[np.float32], float]
) -> float:
    """Variance over value of the light of electrons, wherever in their surroundings it went."""
    found = _ratio(tiles)
    if not 0.0 < found < ELECTRONS[0]:
        return found
    likeness = _likeness(image, bad, _QUIET * found, 1)
    if likeness <= _ALIKE:
        return found
    spread = spread_light(_MOST_SPREAD_PX)
    return found / float(np.interp(likeness, spread.likeness, spread.bends))


def _ratio(tiles: tuple[NDArray[np.float32], NDArray[np.float32], float]) -> float:
    """Variance over value of the quiet tiles, 0 if none has light."""
    room = np.empty(max(len(tiles[0]), 1), np.float32)
    return float(_low_ratio(tiles[0], tiles[1], room, room.view(np.int32))) / _OF_NOISE


def _tiles(
    image: NDArray[np.float32], bad: NDArray[np.bool_], masked: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Mean and variance of the tiles, and the share of negative pixels."""
    columns = (image.shape[1] - 2) // _COLUMNS
    found = np.empty((2, max((image.shape[0] // _ROWS) * columns, 1)), np.float32)
    n, negative = _fill_tiles(image, bad, masked, np.empty((4, max(columns, 0) * _COLUMNS), np.float32), found)
    return found[0, :n], found[1, :n], negative


@njit(allocates=False, fastmath={"reassoc", "contract"})
def _fill_tiles(
    image: NDArray[np.float32],
    bad: NDArray[np.bool_],
    masked: bool,
    room: NDArray[np.float32],
    found: NDArray[np.float32],
) -> tuple[int, float]:
    """Fill the rows of mean and variance; return the number of tiles, and the share of negative pixels."""
    total, square, n_good, negative = room[0], room[1], room[2], room[3]
    n, seen, n_negative = 0, np.float32(0), np.float32(0)
    for x in range(room.shape[1]):
        n_good[x], negative[x] = _ROWS, 0
    for tile_row in range(0, image.shape[0] // _ROWS, 2):
        for x in range(room.shape[1]):
            total[x] = square[x] = 0
        if masked:
            for x in range(room.shape[1]):
                n_good[x] = 0
        for y in range(tile_row * _ROWS, (tile_row + 1) * _ROWS):
            row = image[y]
            if masked:
                mask = bad[y]
                for x in range(room.shape[1]):
                    if not (mask[x] or mask[x + 1] or mask[x + 2]):
                        bend = row[x] - 2 * row[x + 1] + row[x + 2]
                        total[x] += row[x + 1]
                        square[x] += bend * bend
                        n_good[x] += 1
                        negative[x] += row[x + 1] < 0
                continue
            for x in range(room.shape[1]):
                bend = row[x] - 2 * row[x + 1] + row[x + 2]
                total[x] += row[x + 1]
                square[x] += bend * bend
                negative[x] += row[x + 1] < 0
        for tile in range(room.shape[1] // _COLUMNS):
            values, bends, good = np.float32(0), np.float32(0), np.float32(0)
            for x in range(tile * _COLUMNS, (tile + 1) * _COLUMNS):
                values += total[x]
                bends += square[x]
                good += n_good[x]
            seen += good
            if good >= _LEAST_GOOD * _ROWS * _COLUMNS:
                found[0, n], found[1, n] = values / good, bends / (6 * good)
                n += 1
    for x in range(room.shape[1]):
        n_negative += negative[x]
    return n, n_negative / max(seen, np.float32(1))


def _likeness(image: NDArray[np.float32], bad: NDArray[np.bool_], limit: float, lag: int) -> float:
    """Correlation of the second differences along x of rows ``lag`` (1 or 2) apart: the median over quiet tiles.

    Tiles that were chosen for their little noise are alike along x, but not across.
    """
    found = np.empty(max(image.size // (_ROWS * _COLUMNS), 1))
    n = _fill_likeness(image, bad, limit, lag, np.empty(_ROWS), found)
    return float(np.median(found[:n])) if n else 0.0


@njit(allocates=False)
def _fill_likeness(
    image: NDArray[np.float32],
    bad: NDArray[np.bool_],
    limit: float,
    lag: int,
    bends: NDArray[np.float64],
    found: NDArray[np.float64],
) -> int:
    """Fill in the correlation of each quiet tile; return their number."""
    n_found = 0
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
                    for k in range(_ROWS - lag):
                        product += bends[k] * bends[k + lag]
            if n >= _LEAST_GOOD * _COLUMNS and 0 < square < 6 * limit * total:
                found[n_found] = product / ((1 - lag / _ROWS) * square)
                n_found += 1
    return n_found


def quiet_level(images: NDArray[np.float32], height: int, width: int) -> NDArray[np.float64]:
    """Mean of a pixel in the darker half of each pattern (..., height, width or more), in squares of 16 pixels.

    Of pure noise it is a little below the mean; where disks are everywhere, above the background.
    """
    tall, wide = min(_SQUARE, height), min(_SQUARE, width)
    rows, columns = height // tall, width // wide
    of_rows = images[..., : rows * tall, : columns * wide].reshape(*images.shape[:-2], rows, tall, -1).sum(-2)
    level = of_rows.reshape(*images.shape[:-2], rows * columns, wide).sum(-1, dtype=np.float64)
    level.sort(-1)
    half = (rows * columns + 1) // 2
    return np.asarray(level[..., :half].sum(-1) / (half * tall * wide))


@njit(allocates=False)
def _low_ratio(
    mean: NDArray[np.float32], variance: NDArray[np.float32], ratio: NDArray[np.float32], bits: NDArray[np.int32]
) -> float:
    """Quantile `_SHARE` of variance over mean where the mean is positive; ``ratio`` and ``bits`` share their memory.

    Floats from 0 up sort as their bits, and bisection of the bits counts without branches: faster than a selection.
    """
    n = 0
    for k in range(len(mean)):
        if mean[k] > 0:
            ratio[n] = variance[k] / mean[k]
            n += 1
    if n == 0:
        return 0.0
    low, high = np.int32(0), np.int32(0x7F800000)
    for _ in range(20):
        middle = low + (high - low) // 2
        below = np.int32(0)
        for k in range(n):
            below += np.int32(bits[k] < middle)
        if below <= _SHARE * (n - 1):
            low = middle
        else:
            high = middle
    bits[0] = low
    return ratio[0]

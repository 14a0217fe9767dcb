"""Gain of a camera from patterns that lie side by side in the scan, whose light is the same but for noise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.photon_transfer import ELECTRONS, LEAST_NEGATIVE, PhotonTransfer, spread_light

__all__ = ["PairNoise"]

Float = NDArray[np.floating[Any]]

_LEAST_PAIRS = 8
_HUGE = 1e15
"""Counts whose squares single precision does not hold."""
_SIDES = (1, 4, 8)
"""Sides of the squares whose sums are compared, px: large ones hold all of the light of an electron that spreads."""
_MOST_SQUARES, _LEAST_SQUARES = 1024, 32
"""Large squares that are looked at, in rows evenly spread over the pattern, and the fewest that tell something."""
_SHARE, _SIGMAS = 0.15, -1.0364
"""The quantile over the squares that is taken for those where nothing but noise changes, and of a normal variable."""
_ROUNDS = 6
"""Turns of gain and readout noise."""
_MOST_SPREAD_PX = 1.0
_LIT = 0.3
"""Least noise of the light in a square, over that of the readout."""
_SAME, _AGREE, _AS_WIDE_PX = 1.15, 0.25, 0.1
"""How far the gains from pixels and small squares differ if no light spreads, those from small and large squares if
some does, relatively, and the spreads that squares and rows tell."""
_QUIET, _EDGES = 0.5, 0.06
"""Share of the squares that tells how alike rows are; every other row is more alike, by this, where edges move."""
_COMMON = 0.1
"""Largest correlation, rms, of the changes between some neighbours and between others."""
_LEAST_WITHIN = 0.6
"""Least figure within a pattern, over the one that is expected: only edges of disks make it larger."""


class PairNoise:
    """Noise from the differences of neighbouring patterns: of the same light, but for what changes in the specimen.

    The variance of a sum over pixels is the gain times the sum, plus that of the readout. A camera that spreads the
    light of an electron makes neighbouring pixels alike: the noise of pixels is too small, that of sums over squares
    less so the larger they are. Changes of the specimen add to the variance, and to that of large squares most. So low
    quantiles over the squares are taken, and nothing is said where they grow with the squares otherwise than by light
    that spreads: that makes the next row alike, and the next but one hardly. Nor where all pairs differ in a like way.
    Photon transfer: Janesick, Photon Transfer, SPIE (2007), doi:10.1117/3.725073.
    """

    def __init__(self, bad_pixel: NDArray[np.bool_] | None) -> None:
        bad = None if bad_pixel is None else _rows(bad_pixel)
        self._bad = None if bad is None else bad > 0
        self._good = None if bad is None else [squares == 0 for squares in _sums(bad)]
        self._sums: list[Float] = []
        self._changes: list[Float] = []
        self._negative = 0.0
        self.pairs = 0

    def add(self, one: NDArray[Any], other: NDArray[Any]) -> None:
        """Take in two patterns (qy, qx) that lie side by side."""
        with np.errstate(over="ignore"):
            one, other = _rows(one), _rows(other)
        if self._bad is not None:
            # They are next to good ones, whose likeness counts.
            one[self._bad] = other[self._bad] = 0
        if not max(np.abs(one).max(initial=0), np.abs(other).max(initial=0)) < _HUGE:
            return
        light = [0.5 * squares for squares in _sums(one + other)]
        change = one - other
        between = [0.5 * squares**2 for squares in _sums(change)]
        new = [*light, *between, *_row_products(change), _bends(one), light[2] ** 2]
        self._sums = [a + b for a, b in zip(self._sums, new, strict=True)] if self._sums else new
        self._changes.append(change[:: _SIDES[1]])
        self._negative += float((one < 0).mean()) if one.size else 0.0
        self.pairs += 1

    def counts_per_electron(self) -> float | None:
        """Gain of the camera, or None."""
        n = self.pairs
        if n < _LEAST_PAIRS:
            return None
        good = self._good or [np.ones(squares.shape, np.bool_) for squares in self._sums[:3]]
        means = [squares[good[min(i % 3, 2) if i < 6 else 2]] / n for i, squares in enumerate(self._sums)]
        light, between, rows, bends, squared = means[:3], means[3:6], means[6:9], means[9], means[10]
        if min(map(len, light)) < _LEAST_SQUARES:
            return None
        # Where few of the pairs have most of the light of a square, they are all that counts.
        lit = (np.minimum(light[2], squared) > 0) & (light[2] >= np.median(light[2]))
        n_lit = n * float(np.median(light[2][lit] ** 2 / squared[lit])) if lit.any() else n
        # Quantile of chi-square over its mean: Wilson, Hilferty, PNAS 17, 684 (1931), doi:10.1073/pnas.17.12.684.
        quantile = (1 - 2 / (9 * n_lit) + _SIGMAS * np.sqrt(2 / (9 * n_lit))) ** 3
        between = [squares / quantile for squares in between]
        if self._negative > LEAST_NEGATIVE * n:
            transfer = PhotonTransfer(light[0], between[0], _SHARE)
            pixel = transfer.gain(_ROUNDS)
            read = transfer.readout(pixel)
        else:
            pixel, read = _gain(light[0], between[0]), 0.0
        small, large = (_gain(light[i], between[i], _SIDES[i] ** 2 * read, pixel) for i in (1, 2))
        read *= _SIDES[2] ** 2
        within = _gain(light[2], bends, read, pixel)
        gain = _gain_of_camera(pixel, small, large, within, _likeness(light[2], rows, read, pixel))
        if gain is not None and gain != 1 and _common([change[good[0]] for change in self._changes], light[0]):
            return None
        return gain


def _rows(image: NDArray[Any]) -> NDArray[np.float32]:
    """Rows of large squares, not too many, and whole squares of them."""
    side = _SIDES[-1]
    height, width = (n // side for n in image.shape)
    step = max(1, height * width // _MOST_SQUARES)
    rows = image[: height * side, : width * side].reshape(height, side, width * side)[::step].astype(np.float32)
    return rows.reshape(len(rows) * side, width * side)


def _sums(image: NDArray[np.float32]) -> list[Float]:
    """Sums over the squares of each side; of the pixels, every fourth row."""
    two = image[::2] + image[1::2]
    four = two[::2] + two[1::2]
    two = four[:, ::2] + four[:, 1::2]
    four = two[:, ::2] + two[:, 1::2]
    eight = four[::2] + four[1::2]
    return [image[::4], four, eight[:, ::2] + eight[:, 1::2]]


def _gain(light: Float, variance: Float, read_variance: float = 0.0, pixel_gain: float = 0.0) -> float:
    """Gain from squares whose quiet ones have this variance; 0 where few are lit."""
    # The dark beside bright disks has the light that these spread there, without its noise.
    lit = (light > 0) & (light >= np.median(light))
    if read_variance > 0:
        lit &= pixel_gain * light > _LIT * read_variance
    if lit.sum() < _LEAST_SQUARES // 2:
        return 0.0
    return float(np.quantile((variance[lit] - read_variance) / light[lit], _SHARE))


def _row_products(change: NDArray[np.float32]) -> list[Float]:
    """Products of rows of a change (qy, qx) with themselves, the next and the next but one, in the largest squares."""
    wide = np.pad(change, ((0, 2), (0, 0)))
    return [0.5 * _sums(change * wide[lag : lag + len(change)])[-1] for lag in range(3)]


def _bends(image: NDArray[np.float32]) -> Float:
    """Sums over the largest squares of the variance that second differences along x show."""
    bends = np.pad(image[:, :-2] - 2 * image[:, 1:-1] + image[:, 2:], ((0, 0), (1, 1)))
    return _sums(bends**2)[-1] / 6


def _common(changes: list[Float], light: Float) -> bool:
    """Whether pairs of patterns differ in a like way, as they do if disks move; in units of the noise of counts."""
    scaled = np.stack(changes) / np.sqrt(np.maximum(light, 0.01 * max(float(light.mean()), 1e-30))).astype(np.float32)
    likeness = np.asarray(np.corrcoef(scaled))[np.triu_indices(len(scaled), 1)]
    return bool(np.sqrt(np.mean(likeness**2)) > _COMMON)


def _likeness(light: Float, products: list[Float], read_variance: float, pixel_gain: float) -> tuple[float, float]:
    """How alike the changes of rows are that lie one and two apart, where changes are small."""
    lit = (light > 0) & (light >= np.median(light)) & (pixel_gain * light > _LIT * read_variance)
    noise = products[0][lit] - read_variance
    if len(noise) < _LEAST_SQUARES // 2:
        return 0.0, 0.0
    ratio = noise / light[lit]
    quiet = ratio <= np.quantile(ratio, _QUIET)
    total = max(float(noise[quiet].sum()), 1e-30)
    return float(products[1][lit][quiet].sum()) / total, float(products[2][lit][quiet].sum()) / total


def _gain_of_camera(
    pixel: float, small: float, large: float, within: float, likeness: tuple[float, float]
) -> float | None:
    """Gain from the figures of pixels and squares between patterns, and of second differences within them.

    Either no light is spread, and all say the same; or it is, and rows are as alike as the squares make one expect.
    """
    if not min(pixel, small, large, within) > 0:
        return None
    first, second = likeness
    if small < _SAME * pixel:
        gain = min(pixel, within)
    else:
        spread = spread_light(_MOST_SPREAD_PX)
        of_pixel, of_small, of_large = (spread.squares(side) for side in _SIDES)
        i = int(np.argmin(np.abs(of_pixel / of_small - pixel / small)))
        one, other = small / of_small[i], large / of_large[i]
        gain = float(np.sqrt(one * other))
        as_rows = np.interp(first, spread.likeness, spread.spread_px)
        moves = second > first**4 + _EDGES or abs(as_rows - spread.spread_px[i]) > _AS_WIDE_PX
        moves |= within < _LEAST_WITHIN * gain * spread.bends[i]
        if moves or abs(one - other) > _AGREE * max(one, other):
            return None
    # Less than an electron a count is an offset that was not taken off, or data in other units.
    least, most = ELECTRONS
    return None if gain < least else 1.0 if gain < most else gain

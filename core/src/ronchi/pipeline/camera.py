"""Gain of a camera from patterns that lie side by side in the scan, whose light is the same but for noise."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
_LEAST_NEGATIVE = 0.005
"""Share of negative values from which on there is readout noise: electrons alone make none."""
_DARK, _BRIGHT, _LIT = 0.25, 0.0625, 0.3
"""Share of the pixels that tells the readout noise, and that tells the gain where that is far above the light; least
noise of the light in a square, over that of the readout."""
_SPREADS_PX = np.linspace(0.0, 1.0, 101)
"""Standard deviations of the light of an electron that are looked at."""
_SAME, _AGREE, _AS_WIDE_PX = 1.15, 0.25, 0.1
"""How far the gains from pixels and small squares differ if no light spreads, those from small and large squares if
some does, relatively, and the spreads that squares and rows tell."""
_QUIET, _EDGES = 0.5, 0.06
"""Share of the squares that tells how alike rows are; every other row is more alike, by this, where edges move."""
_COMMON = 0.1
"""Largest correlation, rms, of the changes between some neighbours and between others."""
_LEAST_WITHIN = 0.6
"""Least figure within a pattern, over the one that is expected: only edges of disks make it larger."""
_ELECTRONS = (0.75, 3.0)
"""A gain in this range stands for counted electrons: dense disks raise it."""


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
        if self._negative > _LEAST_NEGATIVE * n:
            pixel, read = _gain_and_readout(light[0], between[0])
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


def _gain_and_readout(light: Float, variance: Float) -> tuple[float, float]:
    """Gain, and variance of the readout, from pixels."""
    order = np.argsort(light, kind="stable")
    dark = order[: max(round(_DARK * len(order)), _LEAST_SQUARES)]
    bright = np.zeros(len(light), np.bool_)
    bright[order[-max(round(_BRIGHT * len(order)), _LEAST_SQUARES // 2) :]] = True
    in_dark, level = float(np.quantile(variance[dark], _SHARE)), max(float(light[dark].mean()), 0.0)
    read, gain = in_dark, 0.0
    for _ in range(6):
        lit = gain * light > read
        lit = lit if lit.sum() >= _LEAST_SQUARES // 2 else bright
        gain = max(float(np.quantile((variance[lit] - read) / np.maximum(light[lit], 1e-30), _SHARE)), 0.0)
        read = max(in_dark - gain * level, 0.0)
    return gain, read


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
    kept, (first, second) = _kept(), likeness
    if small < _SAME * pixel:
        gain = min(pixel, within)
    else:
        i = int(np.argmin(np.abs(kept["pixel"] / kept["small"] - pixel / small)))
        one, other = small / kept["small"][i], large / kept["large"][i]
        gain = float(np.sqrt(one * other))
        as_rows = np.interp(first, kept["first"], _SPREADS_PX)
        moves = second > first**4 + _EDGES or abs(as_rows - _SPREADS_PX[i]) > _AS_WIDE_PX
        moves |= within < _LEAST_WITHIN * gain * kept["bends"][i]
        if moves or abs(one - other) > _AGREE * max(one, other):
            return None
    # Less than an electron a count is an offset that was not taken off, or data in other units.
    least, most = _ELECTRONS
    return None if gain < least else 1.0 if gain < most else gain


@functools.cache
def _kept() -> dict[str, Float]:
    """What spreading (spread,) does to noise: the variance of sums over squares, and how alike rows are."""
    lags = np.arange(-8, 9)
    made: dict[str, list[float]] = {"pixel": [], "small": [], "large": [], "first": [], "bends": []}
    for spread_px in _SPREADS_PX:
        kernel = np.exp(-(lags**2) / (2 * max(spread_px, 0.05) ** 2))
        alike = np.convolve(kernel, kernel[::-1]) / kernel.sum() ** 2
        for name, side in zip(made, _SIDES, strict=False):
            made[name].append(np.sum(alike * np.clip(1 - np.abs(np.arange(-16, 17)) / side, 0, None)) ** 2)
        made["first"].append(alike[17] / alike[16])
        made["bends"].append(alike[16] * (6 * alike[16] - 8 * alike[17] + 2 * alike[18]) / 6)
    return {name: np.array(values) for name, values in made.items()}

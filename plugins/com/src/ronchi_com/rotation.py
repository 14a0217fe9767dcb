"""The rotation between detector and scan, and its sign, from the centres of mass alone.

With the divergence D and the curl C of the deflection, taken along the scan but in the detector's components,
let W = D + iC. Turning the components by -t multiplies W by exp(-it). A deflection by a potential has no curl
in the right frame, so there W is real: the angle that leaves the least mean squared curl, and with it the most
divergence, is t = arg <W^2> / 2, that is tan 2t = 2<CD> / (<D^2> - <C^2>). It is known modulo 180 degrees, and
not at all where noise makes <W^2> vanish beside <|W|^2>.

Two things without a sample have one direction, and would be taken for a field of it. Drift and jitter from row to row
are the same along a row: the mean of W along each row is left out. Hum of the mains is one plane wave: the angle is
clear only if it is so without the strongest wave. So fields that vary across the rows alone, and a single set of
fringes, do not show the angle.

The half turn is told by an assumption, that the sample is atoms or particles: electrons are drawn to them, so
the deflections converge on sharp points and the divergence is skewed to the negative. Pores, holes and windows of
vacuum are sharp points that the deflections leave, and no data tell them from atoms seen half a turn off. Blurred
beyond its atoms, a honeycomb would show its holes as well, so a skewness that a lattice of few beams can have
decides nothing. A detector that is mirrored as well leaves much curl at every angle, unless the field has but one
direction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, stats

from ronchi_com.wave import without_row_means, without_wave

__all__ = ["ENOUGH", "MIN_SIZE", "RotationFit", "fit_rotation", "rotate"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

MIN_SIZE = 8
"""Positions along either axis that a fit needs: the derivative leaves four less, too few below to tell noise."""

ENOUGH = 12
"""Positions along both axes from which on atoms show the angle, if the noise is a tenth of the deflections or less."""

# Values and slopes at the samples of a quintic B-spline with the data as its coefficients (Unser 1999,
# doi:10.1109/79.799930): derivatives of one and the same smoothed field, so they do not bias the angle, with a
# quarter of the noise of central differences.
_SMOOTH = np.array([1, 26, 66, 26, 1]) / 120
_SLOPE = np.array([-1, -10, 0, 10, 1]) / 24

_BLOCK = 4  # shortest side of a block: noise is correlated over about as much by the derivative
_MAX_BLOCKS = 12  # along an axis
_MIXED = 5  # positions that count as one block at least: the derivative mixes neighbours
_DRAWS = 400
_CHANCE = 1e-4  # pure noise may be taken for a rotation about as often
_SIGN_SIGMA = 3.5
_FLIP_AGREEMENT = 0.99


@dataclass(frozen=True)
class RotationFit:
    """What the data say about the detector's frame.

    Parameters
    ----------
    rotation_deg : float
        Angle from the detector's x axis (mirrored if ``flipped``) to the scan's, from x towards y, in (-180, 180].
    sd_deg : float
        Its standard deviation, by bootstrap of blocks: the larger one of tiles and of bands of rows.
    flipped : bool
        The detector's y axis is mirrored before the rotation.
    curl_fraction : float
        Part of the squared derivatives that is left as curl: 0 for exact data, 0.5 for noise.
    clear, flip_resolved, sign_resolved : bool
        Whether the data tell the angle modulo 180 degrees, the mirror, and, if they are of atoms, the half turn.
    """

    rotation_deg: float
    sd_deg: float
    flipped: bool
    curl_fraction: float
    clear: bool
    flip_resolved: bool
    sign_resolved: bool


def rotate(com_y: Floats, com_x: Floats, rotation_deg: float, flipped: bool) -> tuple[Floats, Floats]:
    """Components (y, x) in the frame of the scan of deflections in that of the detector."""
    c, s = np.cos(np.deg2rad(rotation_deg)), np.sin(np.deg2rad(rotation_deg))
    y = -com_y if flipped else com_y
    return c * y - s * com_x, s * y + c * com_x


def fit_rotation(
    com_y: Floats,
    com_x: Floats,
    step: tuple[float, float],
    rng: np.random.Generator,
    flip: bool | None = None,
    atoms: bool = True,
) -> RotationFit:
    """Find rotation, mirror and sign.

    Parameters
    ----------
    com_y, com_x : (ny, nx) float
        Deflections in the detector's frame, at least `MIN_SIZE` along both axes; NaN is left out.
    step : tuple of float
        Distance of the positions along y and x.
    rng : numpy.random.Generator
        For the bootstrap.
    flip : bool, optional
        Whether the detector is mirrored, if that is known.
    atoms : bool
        The sample is taken for atoms or particles, which tells the half turn; else the angle is in (-90, 90].
    """
    candidates = [_Frame.of(com_y, com_x, step, mirrored) for mirrored in ((False, True) if flip is None else (flip,))]
    n_blocks = len(candidates[0].squares)
    draws = rng.integers(max(n_blocks, 1), size=(_DRAWS, n_blocks))
    best, flip_resolved = candidates[0], flip is not None
    if flip is None:
        plain, mirrored = (frame.coherence(draws) for frame in candidates)
        flip_resolved = bool(max(np.mean(plain > mirrored), np.mean(mirrored > plain)) >= _FLIP_AGREEMENT)
        # A field of one direction fits either way and comes out the same: take the simpler one.
        best = candidates[int(flip_resolved and np.mean(mirrored > plain) > 0.5)]
    total = best.squares.sum()
    turn = float(np.angle(total)) / 2
    skewness = _skewness((best.derivatives * np.exp(-1j * turn)).real, best.known) if atoms else 0.0
    if skewness > _SIGN_SIGMA:
        turn += np.pi
    # What goes wrong while a row is scanned goes wrong along all of it: rows together may scatter more than tiles.
    band_draws = rng.integers(max(len(best.bands), 1), size=(_DRAWS, len(best.bands)))
    spread = max(_spread(best.squares, draws), _spread(best.bands, band_draws))
    # Hum of the mains is one wave of one direction, and by itself no sample.
    waveless = _sums(without_wave(best.derivatives, best.known), best.known, best.tiles)[0]
    positions = int(best.known.sum())
    return RotationFit(
        rotation_deg=180 - (180 - float(np.rad2deg(turn))) % 360,
        sd_deg=float(np.rad2deg(spread)),
        flipped=best.flipped,
        curl_fraction=float(0.5 - 0.5 * abs(total) / best.powers.sum()) if best.powers.sum() > 0 else 0.5,
        clear=_is_clear(best.squares, turn, positions) and _is_clear(waveless, turn, positions),
        flip_resolved=flip_resolved,
        sign_resolved=abs(skewness) > _SIGN_SIGMA,
    )


@dataclass(frozen=True)
class _Frame:
    """Derivatives under one assumption about the mirror, and their sums over blocks of the scan."""

    flipped: bool
    derivatives: Complexes  # W on the scan less its mean along each row, 0 where unknown
    known: NDArray[np.bool_]
    tiles: NDArray[np.int64]  # number of the block of each position
    squares: Complexes  # (blocks,) sums of W^2
    powers: Floats  # (blocks,) sums of |W|^2
    bands: Complexes  # (bands,) sums of W^2 over bands of whole rows

    @classmethod
    def of(cls, com_y: Floats, com_x: Floats, step: tuple[float, float], flipped: bool) -> _Frame:
        y, x = rotate(com_y, com_x, 0.0, flipped)
        divergence = _derivative(x, step, 1) + _derivative(y, step, 0)
        curl = _derivative(y, step, 1) - _derivative(x, step, 0)
        known = np.isfinite(divergence)
        w = divergence + 1j * curl
        # What is the same all along a row is left out: drift, and jitter from row to row, have one direction on the
        # detector and would pass for a field of it. What is left of a real W is real, so the angle stays.
        w = without_row_means(w, known)
        rows, columns = (_block_numbers(n) for n in w.shape)
        tiles = rows[:, None] * (columns.max() + 1) + columns
        bands = np.broadcast_to(rows[:, None], w.shape)
        return cls(flipped, w, known, tiles, *_sums(w, known, tiles), _sums(w, known, bands)[0])

    def coherence(self, draws: NDArray[np.int64]) -> Floats:
        """|<W^2>| / <|W|^2> in each draw of blocks: 1 without any curl."""
        power = self.powers[draws].sum(1)
        return np.asarray(np.abs(self.squares[draws].sum(1)) / np.where(power > 0, power, 1.0))


def _derivative(values: Floats, step: tuple[float, float], axis: int) -> Floats:
    """Derivative of the smoothed values where all 5 x 5 neighbours are known; NaN is felt no farther."""
    smoothed = ndimage.correlate1d(values, _SMOOTH, axis=1 - axis)
    return np.asarray(ndimage.correlate1d(smoothed, _SLOPE / step[axis], axis=axis))[2:-2, 2:-2]


def _sums(w: Complexes, known: NDArray[np.bool_], numbers: NDArray[np.int64]) -> tuple[Complexes, Floats]:
    """Sums of W^2 and |W|^2 over each block that has known positions."""
    square, numbers = w[known] ** 2, numbers[known]
    filled = np.bincount(numbers) > 0
    real, imag, power = (np.bincount(numbers, part)[filled] for part in (square.real, square.imag, np.abs(square)))
    return real + 1j * imag, power.astype(np.float64)


def _spread(squares: Complexes, draws: NDArray[np.int64]) -> float:
    """Standard deviation of the angle of W in rad, by bootstrap of blocks."""
    n = len(squares)
    resultant = abs(np.mean(_unit(squares[draws].sum(1)))) if n > 1 else 0.0
    if not resultant > 0:
        return math.inf
    # A bootstrap of few blocks misses the factor n / (n - 1) of the variance, and knows that itself badly: Student's t.
    few = math.sqrt(n / (n - 1)) * float(stats.t.ppf(stats.norm.cdf(1), n - 1))
    return few * math.sqrt(max(0.0, -2 * math.log(resultant))) / 2


def _block_numbers(n: int) -> NDArray[np.int64]:
    """Number of the block of each of ``n`` positions along an axis."""
    return np.arange(n) * min(max(n // _BLOCK, min(n, 3)), _MAX_BLOCKS) // n


def _unit(values: Complexes) -> Complexes:
    size = np.abs(values)
    return values / np.where(size > 0, size, 1.0)


def _is_clear(squares: Complexes, turn: float, positions: int) -> bool:
    """Whether the blocks agree on a direction of W^2 that noise would rarely show.

    Noise turns W^2 anywhere, alike in all directions: what the blocks scatter across the common direction says
    how far their mean would stray by chance, and the ratio of the two follows Fisher's F(2, blocks - 1). In a small
    scan the derivative mixes the blocks: they then count as no more than its positions make up for.
    """
    if len(squares) < 3 or not np.abs(squares).sum() > 0:
        return False
    n = min(float(len(squares)), max(3.0, positions / _MIXED))
    along = squares * np.exp(-2j * turn)
    across = float(np.var(along.imag, ddof=1))
    if across == 0:
        return True
    ratio = float(np.mean(along.real)) ** 2 * n / (2 * across)
    return bool((1 + 2 * ratio / (n - 1)) ** (-(n - 1) / 2) < _CHANCE)


def _skewness(values: Floats, known: NDArray[np.bool_]) -> float:
    """Skewness of a map of mean 0, in standard errors.

    The error is that of a Gaussian field with the same autocorrelation rho: the variance of its mean cube is
    6 sigma^6 / n times the sum of rho^3 over all lags.
    """
    n, power = int(known.sum()), float((values**2).sum())
    if not power > 0:
        return 0.0
    padded = [2 * size for size in values.shape]
    rho = fft.irfft2(np.abs(fft.rfft2(values, padded)) ** 2, padded) / power
    skewness = float((values**3).sum()) / n / math.sqrt(power / n) ** 3
    error = math.sqrt(6 * max(1.0, float((rho**3).sum())) / n)
    return skewness / error

"""Fits of overlapping Gaussians of one width to an image: positions with standard errors.

The atoms are visited in turn. Each is fitted on what the others leave, with a background of its own, and the image
without all atoms is kept up to date: a Gauss-Seidel iteration of the common least-squares problem, whose time goes
with the number of atoms. The variance of a pixel is a line in its expected value, read off the residuals, so that
counts are weighted as counts and camera noise as camera noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ronchi.cholesky import factor, solve
from ronchi.compiled import njit
from ronchi_atomnet.noise import noise_line, slopes_of
from ronchi_atomnet.overlap import near_any, overlapping_variance, share

__all__ = ["Fit", "fit_gaussians"]

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

_REACH = 2.5
"""Radius of the pixels that an atom is fitted to, in standard deviations: 98.6 % of what tells its position."""
_CORE, _CORE_PX = 2.0, 3.5
"""The same while the width is fitted, and the least in px: further out are tails of the probe, which make atoms wider
than what tells their place; further in are too few pixels."""
_EXTENT = 4.0
"""Beyond it a Gaussian is nothing."""
_FEWEST_SWEEPS, _MOST_SWEEPS = 10, 100
"""Atoms that do not overlap are done after the fewest; errors of those that do go from one to the next and back."""
_MOST_WIDTHS = 14
_SAME_WIDTH = 1e-4
"""Sweeps that fit the width, too, and the share of it by which it changes where it has arrived."""
_LEAST_SIGNAL, _TOLD = 3.0, 5
"""Heights over their errors, of half of the atoms, below which what seems to be their width is that of noise; and the
sweep from which on errors are of noise: before, of what does not fit yet, such as too wide atoms in a dense lattice."""
_TILTS = (40, 60)
"""Sweeps after which backgrounds are taken to be told if some atoms do not come to rest."""
_STILL, _RESTLESS = 0.01, 0.1
"""Standard errors that an atom moves in a sweep if it has arrived, and if it never will."""
_HEIGHT, _PLACE, _WIDTH = 2, 4, 5
"""How many of background, height, row, column and width are fitted."""
_LEAST = 1e-10
"""Share of a parameter's information that the others must leave."""
_HELD_SWEEPS = 3
"""Sweeps that fit the heights alone of what ran away, where it was found."""
_LONGEST_STEP = 0.5
_FURTHEST = 1.5
"""Steps, and the way from where an atom was found, in standard deviations."""


@dataclass(frozen=True)
class Fit:
    """What was fitted.

    Parameters
    ----------
    points : (n, 2) float64
        Row and column.
    variance : (n, 2) float64
        Of both, with what is not known of overlapping neighbours. NaN where the fit ran away, and the point is where it
        began; or where it or a neighbour came to no end, for atoms of a dense lattice closer than 3 ``sigma_px`` can
        hardly be told apart.
    height, height_variance : (n,) float64
        Maximum above the background.
    sigma_px : float
        Common standard deviation of the atoms.
    residual : (rows, columns) float64
        The image without its atoms.
    """

    points: Array
    variance: Array
    height: Array
    height_variance: Array
    sigma_px: float
    residual: Array


def fit_gaussians(
    image: Array, points: Array, sigma_px: float, *, fit_width: bool = True, good: Bools | None = None
) -> Fit:
    """Fit a Gaussian to every point.

    Parameters
    ----------
    image : (rows, columns) float64
        Finite.
    points : (n, 2) float64
        Where to begin: within a standard deviation of an atom.
    sigma_px : float
        Standard deviation of the atoms to begin with.
    fit_width : bool
        Fit the standard deviation as well, the same for all; where noise is so strong that it cannot be told,
        ``sigma_px`` stays.
    good : (rows, columns) bool, optional
        Pixels that were measured, all by default; the others have no say.
    """
    start = np.ascontiguousarray(points, np.float64)
    at, state, slopes = start.copy(), np.zeros((len(start), 6)), np.zeros(start.shape)
    good = np.ones(image.shape, np.bool_) if good is None else good
    residual = np.ascontiguousarray(image, np.float64).copy()
    noise, least = np.array([1.0, 0.0]), 1e-12 * max(1e-300, float(np.var(image)))
    sigma, fit_width = float(sigma_px), fit_width and len(start) > 0
    step, awake, tilts, begun = np.zeros(len(start)), np.ones(len(start), np.bool_), 2, 0
    for sweep in range(_MOST_SWEEPS):
        before, with_width = at.copy(), fit_width
        free = _WIDTH if with_width else _PLACE
        widening = _sweep(image, good, residual, at, start, state, slopes, sigma, noise, awake, free)
        if fit_width and sweep:
            wider = _wider(sigma, sigma_px, widening, state)
            fit_width = abs(wider - sigma) > _SAME_WIDTH * sigma and sweep < _MOST_WIDTHS
            sigma = wider
            if (sweep >= _TOLD or not fit_width) and _signal(state) < _LEAST_SIGNAL:
                # All begins anew: atoms as narrow as noise have moved to its peaks.
                sigma, fit_width, begun, noise = float(sigma_px), False, sweep + 1, np.array([1.0, 0.0])
                at[:], state[:] = start, 0.0
            _redraw(image, residual, at, state, sigma)
        if 0 < sweep - begun < _FEWEST_SWEEPS or fit_width:
            noise = noise_line(image, good, residual, at, state, slopes, _REACH * sigma, least)
        step = (np.abs(at - before) / np.sqrt(np.where(state[:, 2:4] > 0, state[:, 2:4], np.inf))).max(1, initial=0)
        if sweep - begun >= _FEWEST_SWEEPS - 1 and not with_width:
            # What rests, among others that do, need not be visited again.
            awake = near_any(at, at[step > _STILL], sigma)
            rest = not awake.any()
            if tilts and (rest or sweep in _TILTS):
                # Not before: levels that are still on their way slope from the border inwards.
                tilts -= 1
                slopes, last = slopes_of(at, state[:, 0], state[:, 1], sigma), slopes
                awake |= (slopes != last).any(1)
                noise = noise_line(image, good, residual, at, state, slopes, _REACH * sigma, least)
            elif rest:
                break
    runaway = (np.abs(at - start) > _FURTHEST * sigma).any(1) | (state[:, 0] <= 0)
    if runaway.any():
        # Their heights are of where they went: beyond the border, where nothing holds them, or into a neighbour.
        for i in np.flatnonzero(runaway):
            _add(residual, at[i, 0], at[i, 1], state[i, 0], sigma)
            _add(residual, start[i, 0], start[i, 1], -state[i, 0], sigma)
        at[runaway] = start[runaway]
        held = runaway & (state[:, 0] > 0)
        for _ in range(_HELD_SWEEPS):
            _sweep(image, good, residual, at, start, state, slopes, sigma, noise, held, _HEIGHT)
    which, variance = overlapping_variance(
        at, state[:, 0], state[:, 1], image - residual, good, noise, sigma, _REACH * sigma + 0.5
    )
    state[which, 4], state[which, 2:4] = variance[:, 0], variance[:, 1:]
    lost = near_any(at, at[step > _RESTLESS], sigma)
    variance = state[:, 2:4].copy()
    variance[runaway | lost | ~((variance > 0) & np.isfinite(variance)).all(1)] = np.nan
    return Fit(at, variance, state[:, 0].copy(), state[:, 4].copy(), sigma, residual)


def _signal(state: Array) -> float:
    """Median of the heights over their errors."""
    return float(np.median(state[:, 0] / np.sqrt(np.where(state[:, 4] > 0, state[:, 4], np.inf))))


def _wider(sigma: float, first: float, widening: Array, state: Array) -> float:
    """The next width: the one of least absolute deviations, of which what is no atom does not decide.

    It counts all atoms alike: the brightest half of equal ones are those that noise makes bright, and narrow.
    """
    by, weight = widening.T
    if not (weight > 0).any():
        return sigma
    order = np.argsort(by, kind="stable")
    below = np.cumsum(weight[order])
    middle = float(by[order[np.searchsorted(below, 0.5 * below[-1])]])
    return min(max(sigma + float(np.clip(middle, -0.2 * sigma, 0.3 * sigma)), 0.5 * first, 0.5), 2 * first)


@njit()
def _sweep(
    image: Array,
    good: Bools,
    residual: Array,
    at: Array,
    start: Array,
    state: Array,
    slopes: Array,
    sigma: float,
    noise: Array,
    awake: Bools,
    free: int,
) -> Array:
    """Visit every atom once that is awake, and fit the first ``free`` of background, height, row, column and width.

    ``state`` (n, 6) holds height, background, variance of row, column and height, and nothing else.

    Returns
    -------
    (n, 2) float64
        By how much each atom is wider than ``sigma``, and its weight: one over the error of that. Noise of the height
        that is left without a width has no part in the noise of the width, so that a bright atom is not a narrow one.
    """
    n, (rows, columns) = len(at), image.shape
    widening = np.zeros((n, 2))
    placed = min(free, _PLACE)
    reach = _REACH * sigma + 0.5
    if free == _WIDTH:
        reach = min(reach, max(_CORE * sigma + 0.5, _CORE_PX))
    basis, normal, right, wide = np.empty(6), np.empty((6, 6)), np.empty(6), np.empty(6)
    for i in range(n):
        if not awake[i]:
            continue
        y, x, height = at[i, 0], at[i, 1], state[i, 0]
        _add(residual, y, x, height, sigma)
        normal[:], right[:] = 0.0, 0.0
        for row in range(max(0, int(np.ceil(y - reach))), min(rows, int(np.floor(y + reach)) + 1)):
            dy = row - y
            half = np.sqrt(reach * reach - dy * dy)
            for column in range(max(0, int(np.ceil(x - half))), min(columns, int(np.floor(x + half)) + 1)):
                if not good[row, column]:
                    continue
                dx = column - x
                square = dy * dy + dx * dx
                g = np.exp(-0.5 * square / (sigma * sigma))
                basis[0], basis[1] = 1.0, g
                basis[2], basis[3] = g * dy / sigma**2, g * dx / sigma**2
                basis[4] = g * square / sigma**3
                slope = slopes[i, 0] * dy + slopes[i, 1] * dx
                value = residual[row, column] - slope
                expected = state[i, 1] + image[row, column] - residual[row, column] + slope + height * g
                weight = share(square, reach) / (noise[0] + noise[1] * max(expected, 0.0))
                for a in range(free):
                    right[a] += weight * basis[a] * value
                    for b in range(a + 1):
                        normal[a, b] += weight * basis[a] * basis[b]
        if factor(normal, free, _LEAST):
            wide[:] = right
            solve(normal, wide, free)
            # The factor begins with that of the equations without a width.
            solve(normal, right, placed)
            new = right[1]
            state[i, 1] = right[0]
            if new > 0.0:
                longest = _LONGEST_STEP * sigma
                at[i, 0] = _kept(y + min(max(right[2] / new, -longest), longest), start[i, 0], sigma)
                at[i, 1] = _kept(x + min(max(right[3] / new, -longest), longest), start[i, 1], sigma)
                state[i, 0] = new
                if free == _WIDTH:
                    widening[i, 0], widening[i, 1] = wide[4] / new, new * normal[4, 4]
                for a in range(placed - 1):
                    right[:] = 0.0
                    right[1 + a] = 1.0
                    solve(normal, right, placed)
                    if a == 0:
                        state[i, 4] = right[1]
                    else:
                        state[i, 1 + a] = right[1 + a] / new**2
            else:
                state[i, 0] = 0.0
        _add(residual, at[i, 0], at[i, 1], -state[i, 0], sigma)
    return widening


@njit()
def _kept(value: float, start: float, sigma: float) -> float:
    # A little further than is allowed, so that what wants to run away is told from what stays.
    far = 1.1 * _FURTHEST * sigma
    return min(max(value, start - far), start + far)


@njit()
def _add(image: Array, y: float, x: float, height: float, sigma: float) -> None:
    if height == 0.0:
        return
    reach = _EXTENT * sigma
    first, last = max(0, int(np.ceil(x - reach))), min(image.shape[1], int(np.floor(x + reach)) + 1)
    if last <= first:
        return
    along = np.exp(-0.5 * ((np.arange(first, last) - x) / sigma) ** 2)
    for row in range(max(0, int(np.ceil(y - reach))), min(image.shape[0], int(np.floor(y + reach)) + 1)):
        factor = height * np.exp(-0.5 * ((row - y) / sigma) ** 2)
        for k in range(last - first):
            image[row, first + k] += factor * along[k]


@njit()
def _redraw(image: Array, residual: Array, at: Array, state: Array, sigma: float) -> None:
    """Take the atoms out of the image anew, with another width."""
    residual[:] = image
    for i in range(len(at)):
        _add(residual, at[i, 0], at[i, 1], -state[i, 0], sigma)

"""Variances of atoms that overlap: what is not known of its neighbours is not known of an atom.

Every atom solves equations of its own, over its own pixels, in which its neighbours appear: ``A d = e``, with the
errors d of all their parameters and what noise leaves in the equations, e. So the covariance of the parameters is
``A^-1 C A^-T`` with the covariance C of e. Atoms beyond a neighbour's reach are taken as known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ronchi.compiled import njit

__all__ = ["near_any", "overlapping_variance", "share"]

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

_FAR = 4.5
"""Atoms further apart than this, in standard deviations, tell nothing of each other: they share 0.6 % of a square."""
_UNTOLD = 1e7
"""An error of an atom's equations, in units of its diagonal, that grows by this much leaves nothing known of it."""
_MOST = 18
"""Neighbours that count, the nearest: two rings of a dense lattice. With more, atoms cannot be told apart any more."""
_AT_ONCE = 256
"""Atoms whose neighbours' equations are solved at a time: 24 MB of the densest."""
_STRIP = 8192
"""Atoms whose own equations are held in memory at a time: 40 MB of the densest."""


def overlapping_variance(
    at: Array,
    height: Array,
    background: Array,
    model: Array,
    good: Bools,
    noise: Array,
    sigma_px: float,
    reach_px: float,
) -> tuple[NDArray[np.int64], Array]:
    """Variances of the atoms that have neighbours.

    Parameters
    ----------
    at : (n, 2) float64
        Row and column.
    height, background : (n,) float64
        The height is 0 where there is no atom.
    model : (rows, columns) float64
        All atoms without their backgrounds.
    good : (rows, columns) bool
        Pixels that were measured.
    noise : (2,) float64
        Variance of a pixel that is expected to be 0, and how much more it is for each unit expected.
    sigma_px : float
        Standard deviation of the atoms.
    reach_px : float
        Radius of the pixels that an atom was fitted to.

    Returns
    -------
    which : (m,) int64
        Atoms that have neighbours.
    variance : (m, 3) float64
        Of height, row and column; infinite where an atom cannot be told from its neighbours.
    """
    there = np.flatnonzero(height > 0)
    if len(there) < 2:
        return np.empty(0, np.int64), np.empty((0, 3))
    most = min(_MOST + 1, len(there))
    # The first neighbour is the atom itself; those that are missing have the number of all.
    distance, near = cKDTree(at[there]).query(at[there], k=most, distance_upper_bound=_FAR * sigma_px)
    counts = np.isfinite(distance).sum(1)
    near = near[:, : counts.max()].astype(np.int64)
    crowded = np.flatnonzero(counts > 1)
    crowded = crowded[np.argsort(at[there[crowded], 0], kind="stable")]
    variance = np.full((len(crowded), 3), np.inf)
    for begin in range(0, len(crowded), _STRIP):
        # Row by row, so that a strip shares few neighbours with the next.
        strip = np.arange(begin, min(begin + _STRIP, len(crowded)))
        told = np.unique(near[crowded[strip]])
        told = told[told < len(there)]
        own, cross = _equations(
            told, at[there], height[there], background[there], model, good, noise, sigma_px, reach_px, near
        )
        for count in np.unique(counts[crowded[strip]]):
            same = strip[counts[crowded[strip]] == count]
            for part in np.array_split(same, -(-len(same) // _AT_ONCE)):
                variance[part] = _marginal(near[crowded[part], :count], told, near, own, cross)
    variance[:, 1:] /= height[there][crowded, None] ** 2
    return there[crowded], variance


@njit()
def share(square_px: float, reach_px: float) -> float:
    """How much a pixel counts in a fit, by the square of its distance: less and less in the outermost pixel.

    Pixels that come and go at once with every step would keep an atom from its end.
    """
    return min(1.0, max(0.0, reach_px - np.sqrt(square_px)))


def near_any(at: Array, others: Array, sigma_px: float) -> Bools:
    """Whether atoms at (n, 2) are one of the others (k, 2) or overlap with one."""
    if not len(others):
        return np.zeros(len(at), bool)
    return np.asarray(np.isfinite(cKDTree(others).query(at, distance_upper_bound=_FAR * sigma_px)[0]))


def _marginal(
    groups: NDArray[np.int64], told: NDArray[np.int64], near: NDArray[np.int64], own: Array, cross: Array
) -> Array:
    """Variances (m, 3) of the first atom of every group (m, count), by the equations of the atoms ``told``."""
    m, count = groups.shape
    equations, noise = np.zeros((2, m, count, 4, count, 4))
    for a in range(count):
        for b in range(count):
            # Which neighbour of a is b? None if they are far apart.
            known = near[groups[:, a]] == groups[:, b, None]
            which, found = known.argmax(1), known.any(1)[:, None, None]
            row = np.searchsorted(told, groups[:, a])
            equations[:, a, :, b] = np.where(found, own[row, which], 0)
            noise[:, a, :, b] = np.where(found, cross[row, which], 0)
    size = 4 * count
    equations, noise = equations.reshape(m, size, size), noise.reshape(m, size, size)
    noise = (noise + noise.transpose(0, 2, 1)) / 2
    scale = np.sqrt(np.einsum("mii->mi", equations))
    scale[scale == 0] = 1  # outside of the image
    equations = equations / scale[:, :, None] / scale[:, None, :]
    # Atoms on one place would leave nothing to solve; this little leaves a row far above any that tells something.
    equations[:, range(size), range(size)] += 1e-3 / _UNTOLD
    wanted = np.zeros((m, size, 3))
    wanted[:, [1, 2, 3], [0, 1, 2]] = 1
    rows = np.linalg.solve(equations.transpose(0, 2, 1), wanted)
    told = np.abs(rows).max(axis=(1, 2)) < _UNTOLD
    rows /= scale[:, :, None]
    variance = (rows * (noise @ rows)).sum(1) / scale[:, 1:4] ** 2
    return np.where(told[:, None], variance, np.inf)


@njit()
def _equations(
    told: NDArray[np.int64],
    at: Array,
    height: Array,
    background: Array,
    model: Array,
    good: Bools,
    noise: Array,
    sigma: float,
    reach: float,
    near: NDArray[np.int64],
) -> tuple[Array, Array]:
    """How the equations of the atoms ``told`` hold the parameters of their neighbours, and share their noise.

    Both are (told, k, 4, 4), k neighbours each.

    The parameters are background, height, and the row and column times the height.
    """
    (n, most), (rows, columns) = near.shape, model.shape
    own, cross = np.zeros((len(told), most, 4, 4)), np.zeros((len(told), most, 4, 4))
    mine, theirs = np.empty(4), np.empty(4)
    for number, i in enumerate(told):
        y, x = at[i, 0], at[i, 1]
        for row in range(max(0, int(np.ceil(y - reach))), min(rows, int(np.floor(y + reach)) + 1)):
            half = np.sqrt(reach * reach - (row - y) ** 2)
            for column in range(max(0, int(np.ceil(x - half))), min(columns, int(np.floor(x + half)) + 1)):
                if not good[row, column]:
                    continue
                dy, dx = row - y, column - x
                _basis(mine, dy, dx, sigma)
                weight = share(dy * dy + dx * dx, reach) / (
                    noise[0] + noise[1] * max(background[i] + model[row, column], 0.0)
                )
                for k in range(most):
                    j = near[i, k]
                    if j == n:
                        break
                    dy, dx = row - at[j, 0], column - at[j, 1]
                    _basis(theirs, dy, dx, sigma)
                    shared = share(dy * dy + dx * dx, reach)
                    for a in range(4):
                        for b in range(4):
                            product = weight * mine[a] * theirs[b]
                            # An atom has a background of its own, which the others' equations do not hold.
                            if b > 0 or j == i:
                                own[number, k, a, b] += product
                            cross[number, k, a, b] += shared * product
    return own, cross


@njit()
def _basis(basis: Array, dy: float, dx: float, sigma: float) -> None:
    g = np.exp(-0.5 * (dy * dy + dx * dx) / (sigma * sigma))
    basis[0], basis[1] = 1.0, g
    basis[2], basis[3] = g * dy / sigma**2, g * dx / sigma**2

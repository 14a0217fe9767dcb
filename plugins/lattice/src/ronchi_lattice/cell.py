"""Two vectors that span a lattice: the shortest ones, in an order that does not depend on how they were found."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["canonical", "reduce_cell", "transform_to"]

Floats = NDArray[np.float64]

_SAME_LENGTH = 1.05  # vectors this close in length are equally short: noise must not choose between them
_LARGEST_INDEX = 2
_MOST_STRETCH = 0.2  # no crystal strains so far: what needs more is not this cell
_SAME_STRETCH = 0.02  # strains this close do not tell which of two cells it is
_SAME_TURN_DEG = 15.0  # nor do angles: beyond, the cell turned less is meant
_TIE_BREAK_DEG = 3.0  # moves the border between "nearest to +x" from +y and from -y off the symmetric case


def reduce_cell(G: Floats) -> Floats:
    """Lagrange-Gauss reduction: the columns of the result are two shortest vectors of the lattice of ``G``."""
    a, b = (G[:, 0], G[:, 1]) if G[:, 0] @ G[:, 0] <= G[:, 1] @ G[:, 1] else (G[:, 1], G[:, 0])
    while True:
        b = b - np.rint((a @ b) / (a @ a)) * a
        if b @ b >= (1 - 1e-12) * (a @ a):
            return np.stack([a, b], axis=1)
        a, b = b, a


def canonical(G: Floats) -> Floats:
    """Of all equally short bases, the one with g1 nearest to +x, and g2 from g1 the way x turns to y.

    Parameters
    ----------
    G : (2, 2) float64
        Columns g1 and g2, rows (y, x).
    """
    a, b = reduce_cell(G).T
    area = abs(a[0] * b[1] - a[1] * b[0])
    vectors = np.array([m * a + n * b for m in range(-2, 3) for n in range(-2, 3) if m or n])
    length = np.linalg.norm(vectors, axis=1)
    vectors = vectors[length <= _SAME_LENGTH * max(np.linalg.norm(a), np.linalg.norm(b))]
    best: tuple[float, float] | None = None
    chosen = G
    for g1 in vectors:
        for g2 in vectors:
            turn = g1[1] * g2[0] - g1[0] * g2[1]
            if turn < 0.5 * area or turn > 1.5 * area:
                continue
            from_x = abs(np.rad2deg(np.arctan2(g1[0], g1[1])) - _TIE_BREAK_DEG)
            from_right_angle = abs(np.rad2deg(np.arctan2(turn, g1 @ g2)) - 90 + _TIE_BREAK_DEG)
            if best is None or (from_x, from_right_angle) < best:
                best, chosen = (from_x, from_right_angle), np.stack([g1, g2], axis=1)
    return chosen


def transform_to(cell: Floats, G: Floats) -> Floats | None:
    """Integer matrix T for which ``G`` is ``cell @ T``, turned by any angle and stretched least.

    Of several that need nearly the same stretch, as those of a symmetric cell do, the one turned least.

    Parameters
    ----------
    cell, G : (2, 2) float64
        Two vectors as columns, rows (y, x).

    Returns
    -------
    (2, 2) float64 or None
        None if ``G`` is on the lattice of ``cell`` in no way, or in two that differ but suit alike.
    """
    ratio = np.rint(np.linalg.det(G) / np.linalg.det(cell))
    if ratio == 0:
        return None
    entries = np.arange(-_LARGEST_INDEX, _LARGEST_INDEX + 1.0)
    every = np.stack(np.meshgrid(*[entries] * 4), axis=-1).reshape(-1, 2, 2)
    T = every[np.abs(np.linalg.det(every) - ratio) < 0.5]
    if not len(T):
        return None
    images = cell @ T
    maps = G @ np.linalg.inv(images)
    stretch = _stretch(maps)
    if stretch.min() > _MOST_STRETCH:
        return None
    alike = np.flatnonzero(stretch < stretch.min() + _SAME_STRETCH)
    turn = np.abs(np.arctan2(maps[:, 1, 0] - maps[:, 0, 1], np.trace(maps, axis1=1, axis2=2)))
    best = alike[np.argmin(turn[alike])]
    rivals = alike[turn[alike] < turn[best] + np.deg2rad(_SAME_TURN_DEG)]
    if (_stretch(images[rivals] @ np.linalg.inv(images[best])) > _SAME_STRETCH).any():
        return None
    chosen: Floats = T[best]
    return chosen


def _stretch(maps: Floats) -> Floats:
    """(n,) largest strain in each of the maps (n, 2, 2), by the logarithm of their singular values."""
    strain: Floats = np.abs(np.log(np.linalg.svd(maps, compute_uv=False))).max(axis=1)
    return strain

"""Two vectors that span a lattice: the shortest ones, in an order that does not depend on how they were found."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["canonical", "reduce_cell", "transform_to"]

Floats = NDArray[np.float64]

_SAME_LENGTH = 1.05  # vectors this close in length are equally short: noise must not choose between them
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
    """Integer matrix T with ``cell @ T`` nearest to ``G``; None if ``G`` does not lie on the lattice of ``cell``."""
    exact = np.linalg.solve(cell, G)
    T: Floats = np.rint(exact)
    if abs(exact - T).max() > 0.25 or abs(np.linalg.det(T)) < 0.5:
        return None
    return T

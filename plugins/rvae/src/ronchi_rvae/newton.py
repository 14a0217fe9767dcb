"""Compiled: the step of Newton's method in angle and shift, made safe where the objective is not concave."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit

__all__ = ["newton_step"]

Doubles = NDArray[np.float64]

_FLATTEST = 0.02
"""No curvature counts as less than this share of the largest."""


@njit(fastmath=True)
def newton_step(
    values: Doubles, weights: Doubles, ty: float, tx: float, stiffness: float, moves: bool
) -> tuple[float, float, float]:
    """Newton step towards the maximum; where the curvature is of the wrong sign or nil, it is replaced."""
    g = np.zeros(3)
    h = np.zeros((3, 3))
    for j in range(values.shape[1]):
        g[0] += weights[0, j] * values[1, j]
        h[0, 0] -= weights[0, j] * values[2, j]
        if moves:
            g[1] += weights[1, j] * values[0, j]
            g[2] += weights[2, j] * values[0, j]
            h[0, 1] -= weights[1, j] * values[1, j]
            h[0, 2] -= weights[2, j] * values[1, j]
            h[1, 1] -= weights[3, j] * values[0, j]
            h[1, 2] -= weights[4, j] * values[0, j]
            h[2, 2] -= weights[5, j] * values[0, j]
    if not moves:
        bend = abs(h[0, 0])
        return (g[0] / bend if bend > 0 else 0.0), 0.0, 0.0
    g[1] -= stiffness * ty
    g[2] -= stiffness * tx
    h[1, 1] += stiffness
    h[2, 2] += stiffness
    h[1, 0], h[2, 0], h[2, 1] = h[0, 1], h[0, 2], h[1, 2]
    # The angle in units in which its curvature is like that of a shift.
    scale = np.sqrt(max(abs(h[0, 0]), 1e-12) / max(abs(h[1, 1]), abs(h[2, 2]), 1e-12))
    for i in range(3):
        h[0, i] /= scale
        h[i, 0] /= scale
    g[0] /= scale
    bends, vectors = np.linalg.eigh(h)
    floor = _FLATTEST * max(abs(bends[0]), abs(bends[2])) + 1e-12
    step = np.zeros(3)
    for i in range(3):
        along = vectors[0, i] * g[0] + vectors[1, i] * g[1] + vectors[2, i] * g[2]
        along /= max(abs(bends[i]), floor)
        for axis in range(3):
            step[axis] += along * vectors[axis, i]
    return step[0] / scale, step[1], step[2]

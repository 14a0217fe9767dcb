"""Equations of a few unknowns, as those of an atom, solved in place by Cholesky factors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit

__all__ = ["factor", "solve"]

Array = NDArray[np.float64]


@njit()
def factor(matrix: Array, m: int) -> bool:
    """Replace the lower triangle by its Cholesky factor; False if it has none."""
    for a in range(m):
        scale = matrix[a, a]
        for b in range(a + 1):
            total = matrix[a, b]
            for k in range(b):
                total -= matrix[a, k] * matrix[b, k]
            if a == b:
                if not total > 1e-10 * scale:
                    return False
                matrix[a, a] = np.sqrt(total)
            else:
                matrix[a, b] = total / matrix[b, b]
    return True


@njit()
def solve(lower: Array, right: Array, m: int) -> None:
    """Replace the first ``m`` numbers of ``right`` by the solution, with the triangle that `factor` left."""
    for a in range(m):
        for k in range(a):
            right[a] -= lower[a, k] * right[k]
        right[a] /= lower[a, a]
    for a in range(m - 1, -1, -1):
        for k in range(a + 1, m):
            right[a] -= lower[k, a] * right[k]
        right[a] /= lower[a, a]

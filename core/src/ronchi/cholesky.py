"""Equations of a few unknowns, in compiled code and in place: a call of LAPACK takes longer than all of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit

__all__ = ["factor", "invert", "solve"]

Array = NDArray[np.float64]


@njit(allocates=False, nogil=True)
def factor(matrix: Array, m: int, least: float) -> bool:
    """Replace the lower triangle of a symmetric matrix by its Cholesky factor.

    Parameters
    ----------
    matrix : (>= m, >= m) float64
        Only the lower triangle of the first ``m`` rows is read.
    least : float
        Share of a diagonal element that the others must leave of it.

    Returns
    -------
    bool
        False where the matrix is singular, or not positive; the triangle is then spoilt.
    """
    for i in range(m):
        diagonal = abs(matrix[i, i])
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            if i > j:
                matrix[i, j] = total / matrix[j, j]
            elif total > least * diagonal:
                matrix[i, i] = np.sqrt(total)
            else:
                return False
    return True


@njit(allocates=False, nogil=True)
def solve(lower: Array, right: Array, m: int) -> None:
    """Replace the first ``m`` numbers of ``right`` by the solution, with the triangle that `factor` left."""
    for i in range(m):
        total = right[i]
        for k in range(i):
            total -= lower[i, k] * right[k]
        right[i] = total / lower[i, i]
    for i in range(m - 1, -1, -1):
        total = right[i]
        for k in range(i + 1, m):
            total -= lower[k, i] * right[k]
        right[i] = total / lower[i, i]


@njit(allocates=False, nogil=True)
def invert(lower: Array, m: int, inverse: Array) -> None:
    """Fill ``inverse`` (>= m, >= m) with that of the matrix; the triangle that `factor` left is used up."""
    for j in range(m):
        lower[j, j] = 1.0 / lower[j, j]
        for i in range(j + 1, m):
            total = 0.0
            for k in range(j, i):
                total -= lower[i, k] * lower[k, j]
            lower[i, j] = total / lower[i, i]
    for i in range(m):
        for j in range(i + 1):
            total = 0.0
            for k in range(i, m):
                total += lower[k, i] * lower[k, j]
            inverse[i, j] = inverse[j, i] = total

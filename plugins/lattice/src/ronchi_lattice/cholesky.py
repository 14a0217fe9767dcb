"""Positive definite 6 x 6 systems, small enough that calling LAPACK would cost more than solving them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit

__all__ = ["factorise", "invert", "solve"]

Floats = NDArray[np.float64]


@njit(nogil=True, error_model="numpy")
def factorise(a: Floats) -> bool:
    """Factor the 6 x 6 matrix in place, lower triangle; False unless it is positive definite."""
    for j in range(6):
        for i in range(j, 6):
            s = a[i, j]
            for k in range(j):
                s -= a[i, k] * a[j, k]
            if i == j:
                if not s > 1e-14 * abs(a[j, j]):
                    return False
                a[j, j] = np.sqrt(s)
            else:
                a[i, j] = s / a[j, j]
    return True


@njit(nogil=True, error_model="numpy")
def solve(factor: Floats, x: Floats) -> None:
    """Solve in place with the factor of `factorise`."""
    for i in range(6):
        for k in range(i):
            x[i] -= factor[i, k] * x[k]
        x[i] /= factor[i, i]
    for i in range(5, -1, -1):
        for k in range(i + 1, 6):
            x[i] -= factor[k, i] * x[k]
        x[i] /= factor[i, i]


@njit(nogil=True, error_model="numpy")
def invert(factor: Floats, scale: float, inverse: Floats) -> None:
    """Write ``scale`` times the inverse of the matrix that `factorise` factored; ``factor`` is used up."""
    for j in range(6):
        factor[j, j] = 1.0 / factor[j, j]
        for i in range(j + 1, 6):
            s = 0.0
            for k in range(j, i):
                s -= factor[i, k] * factor[k, j]
            factor[i, j] = s / factor[i, i]
    for i in range(6):
        for j in range(i + 1):
            s = 0.0
            for k in range(i, 6):
                s += factor[k, i] * factor[k, j]
            inverse[i, j] = inverse[j, i] = scale * s

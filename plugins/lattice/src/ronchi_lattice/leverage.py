"""How far peaks lie from the lattices fitted to them: these follow the errors of their peaks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["residuals"]

Floats = NDArray[np.float64]

_PRODUCTS = np.array([[0, 1, 2], [1, 3, 4], [2, 4, 5]])
"""Where the products of 1, h and k stand among 1, h, k, hh, hk, kk."""


def residuals(
    q: Floats, hk: NDArray[np.int32], weight: Floats, position: NDArray[np.int64], variances: Floats
) -> tuple[Floats, Floats]:
    """Residuals of plain least squares, and the variances that they have for each way that peaks may scatter.

    A fit with the weights W follows the errors of its peaks by ``H = A (A^T W A)^-1 A^T W``, whether or not these have
    the covariances V that the weights say: ``(1 - H) V (1 - H)^T`` is left. Robust weights, which follow small errors
    more than large ones, leave no normal numbers.

    Parameters
    ----------
    q : (m, 2) float64
        Peaks that the robust fits believe, position by position.
    hk : (m, 2) int32
    weight : (m,) float64
        Of a direct beam no more counts than the others have on average, see `ronchi_lattice.kernel`.
    position : (m,) int64
        Which of the fits each peak belongs to, increasing. They have enough peaks, not on one line.
    variances : (m, c) float64
        Of the peaks, or elements of their covariances.

    Returns
    -------
    residual : (m, 2) float64
    left : (m, c) float64
        Of the residuals.
    """
    first = np.flatnonzero(np.diff(position, prepend=-1))
    own = np.repeat(np.arange(len(first)), np.diff(first, append=len(hk)))
    h, k = hk.T.astype(np.float64)
    products = np.stack([np.ones_like(h), h, k, h * h, h * k, k * k], axis=1)
    w = weight * _cap_of_direct_beam(weight, (hk == 0).all(axis=1), own)

    def sums(columns: Floats) -> Floats:
        """(n, c, 6) sums of products with the columns (m, c) over the peaks of each fit."""
        return np.asarray(np.add.reduceat(columns[:, :, None] * products[:, None, :], first))

    inverse = np.linalg.inv(sums(w[:, None])[:, 0, _PRODUCTS])
    vectors = sums(w[:, None] * q)[:, :, :3] @ inverse
    spread = inverse[:, None] @ sums(w[:, None] ** 2 * variances)[:, :, _PRODUCTS] @ inverse[:, None]
    leverage = w * _at(inverse[:, None], own, products)[:, 0]
    left = variances * (1 - 2 * leverage[:, None]) + _at(spread, own, products)
    return q - np.einsum("mci,mi->mc", vectors[own], products[:, :3]), left


def _at(matrices: Floats, own: NDArray[np.int64], products: Floats) -> Floats:
    """(m, c) forms ``a^T M a`` with ``a`` = (1, h, k), of symmetric matrices (n, c, 3, 3)."""
    upper = matrices[:, :, (0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2)] * np.array([1, 2, 2, 1, 2, 1])
    return np.asarray(np.einsum("mcj,mj->mc", upper[own], products))


def _cap_of_direct_beam(weight: Floats, direct: NDArray[np.bool_], position: NDArray[np.int64]) -> Floats:
    """(m,) what the fit multiplies the weights by: 1 but for the direct beam."""
    others = np.bincount(position, ~direct)
    mean = np.bincount(position, np.where(direct, 0.0, weight)) / np.maximum(others, 1)
    cap: Floats = np.where(direct, np.minimum(1.0, mean[position] / weight), 1.0)
    return cap

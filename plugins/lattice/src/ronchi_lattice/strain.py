"""Exact finite strain from two lattices, with standard errors by linear propagation.

Reciprocal vectors transform as ``g = F^-T g_ref``, so ``F = (G G_ref^-1)^-T`` and ``F^T = G_ref G^-1``. In two
dimensions the polar decomposition ``F = R U`` is closed: R turns by ``theta = atan2(F_yx - F_xy, F_xx + F_yy)``
(Hoger & Carlson 1984, doi:10.1090/qam/736511). The strain is ``U - I``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["COMPONENTS", "deformation", "polar", "strain_and_errors"]

Floats = NDArray[np.float64]

COMPONENTS = ("e_xx", "e_yy", "e_xy", "theta")


def deformation(G: Floats, G_ref: Floats) -> Floats:
    """(..., 2, 2) F in real space, rows and columns (y, x), from matrices with g1 and g2 as columns."""
    F: Floats = np.swapaxes(G_ref @ np.linalg.inv(G), -1, -2)
    return F


def polar(F: Floats) -> tuple[Floats, Floats]:
    """Stretch U (..., 2, 2), symmetric, and angle theta (...) in rad, positive from x to y, of ``F = R U``."""
    theta = np.arctan2(F[..., 0, 1] - F[..., 1, 0], F[..., 0, 0] + F[..., 1, 1])
    return _turn_back(theta) @ F, theta


def strain_and_errors(
    G: Floats, cov: Floats, G_ref: Floats, cov_ref: Floats, share: Floats
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Strain and rotation of each position against one reference.

    Parameters
    ----------
    G : (n, 2, 2) float64
        Columns g1 and g2, rows (y, x).
    cov : (n, 4, 4) float64
        Covariance of G, row by row.
    G_ref : (2, 2) float64
    cov_ref : (4, 4) float64
        Covariance of the reference.
    share : (n,) float64
        Weight of the position in the mean that is the reference, 0 outside it: errors in common cancel.

    Returns
    -------
    strain, errors : dict of (n,) float64
        ``e_xx, e_yy, e_xy`` and ``theta`` [rad], and their standard errors.
    """
    inverse = np.linalg.inv(G)
    F = np.swapaxes(G_ref @ inverse, -1, -2)
    U, theta = polar(F)
    strain = {"e_xx": U[:, 1, 1] - 1, "e_yy": U[:, 0, 0] - 1, "e_xy": U[:, 0, 1], "theta": theta}

    # d(F^T) = (dG_ref - F^T dG) G^-1; one column of the Jacobians for each entry of G and of G_ref.
    unit = np.eye(4).reshape(4, 1, 2, 2)
    own = np.swapaxes(-np.swapaxes(F, -1, -2) @ unit @ inverse, -1, -2)
    reference = np.swapaxes(unit @ inverse, -1, -2)
    J, J_ref = _polar_differential(own, U, theta), _polar_differential(reference, U, theta)
    # The reference is share * G + the rest, whose errors are independent of the position's.
    own_J = J + share[:, None, None] * J_ref
    variance = _diagonal(own_J, cov) + _diagonal(J_ref, cov_ref) - share[:, None] ** 2 * _diagonal(J_ref, cov)
    errors = np.sqrt(np.maximum(variance, 0))
    return strain, {name: errors[:, i] for i, name in enumerate(COMPONENTS)}


def _turn_back(theta: Floats) -> Floats:
    """R(theta)^T for components in the order (y, x)."""
    c, s = np.cos(theta), np.sin(theta)
    return np.stack([np.stack([c, -s], axis=-1), np.stack([s, c], axis=-1)], axis=-2)


def _polar_differential(dF: Floats, U: Floats, theta: Floats) -> Floats:
    """Change of (e_xx, e_yy, e_xy, theta) for each of the changes dF (4, n, 2, 2); (n, 4, 4).

    ``R^T dF = W U + dU`` with W antisymmetric; its antisymmetric part alone fixes dtheta.
    """
    B = _turn_back(theta) @ dF
    turn = (B[..., 0, 1] - B[..., 1, 0]) / (U[:, 0, 0] + U[:, 1, 1])
    # In the order (y, x) the generator of a turn from x to y is [[0, 1], [-1, 0]].
    yy = B[..., 0, 0] - turn * U[:, 1, 0]
    yx = B[..., 0, 1] - turn * U[:, 1, 1]
    xx = B[..., 1, 1] + turn * U[:, 0, 1]
    return np.moveaxis(np.stack([xx, yy, yx, turn]), (0, 1, 2), (1, 2, 0))


def _diagonal(J: Floats, cov: Floats) -> Floats:
    """(n, 4) diagonal of ``J cov J^T``, for one covariance or one for each J."""
    diagonal: Floats = np.sum((J @ cov) * J, axis=-1)
    return diagonal

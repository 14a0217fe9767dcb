"""How much of a peak's error a fit leaves in its residual: little where few others fix the same vector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["left_over"]

Floats = NDArray[np.float64]

_BELIEVED = 0.5  # a direct beam given less of its weight than this is not as sure as it says


def left_over(
    precision: Floats, hk: NDArray[np.int32], weight: NDArray[np.float32], cov: Floats, position: NDArray[np.int64]
) -> Floats:
    """Variance of each residual in units of the peak's own; 0 for a direct beam that the fit does not believe.

    It is ``1 - h`` with the leverage h where all peaks enter the fit with their full weight u = 1, and
    ``1 + t (m - 2 u)`` in general, where h is ``u t``: as every peak has u times the pull that its variance asks for,
    the fit has the variance ``m t`` at the peak, with m the mean of their weights over the leverages.

    Parameters
    ----------
    precision : (m, 3) float64
        Of the peaks used: yy, yx, xx.
    hk : (m, 2) int32
    weight : (m,) float32
        Robust weights.
    cov : (n, 6, 6) float64
        Of the fits, to within a factor each: the leverages of a fit sum to its three parameters an axis.
    position : (m,) int64
        Which of the fits each peak belongs to.
    """
    yy, yx, xx = precision.T
    design = np.column_stack([np.ones(len(hk)), hk])
    own = cov[position]
    blocks = (own[:, :3, :3], own[:, :3, 3:], own[:, 3:, 3:])
    at_peak = [np.einsum("mi,mij,mj->m", design, block, design) for block in blocks]
    t = yy * at_peak[0] + 2 * yx * at_peak[1] + xx * at_peak[2]
    cap = _cap_of_direct_beam(yy + xx, (hk == 0).all(axis=1), position, len(cov))
    u = weight * cap
    t *= 3 / np.bincount(position, u * t, len(cov))[position]
    mean = np.bincount(position, weight * u * t, len(cov))[position] / 3
    left: Floats = np.where(cap < _BELIEVED, 0.0, 1 + t * (mean - 2 * u))
    return left


def _cap_of_direct_beam(trace: Floats, direct: NDArray[np.bool_], position: NDArray[np.int64], n: int) -> Floats:
    """(m,) what the fit multiplies the precisions by, see `ronchi_lattice.kernel`: 1 but for the direct beam."""
    others = np.bincount(position, ~direct, n)
    mean = np.bincount(position, np.where(direct, 0.0, trace), n) / np.maximum(others, 1)
    cap: Floats = np.where(direct, np.minimum(1.0, mean[position] / trace), 1.0)
    return cap

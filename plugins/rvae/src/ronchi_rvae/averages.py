"""Compiled: averages of images that were brought to their poses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit
from ronchi_rvae.objective import weigh

__all__ = ["accumulate"]

Doubles = NDArray[np.float64]
Complex = NDArray[np.complex64]
Ints = NDArray[np.int64]


@njit(fastmath=True)
def accumulate(
    described: Complex,
    first: Ints,
    polynomials: Doubles,
    step_px: float,
    rows: Ints,
    classes: Ints,
    shift_px: Doubles,
    moments: Complex,
    shares: Doubles,
    sums: NDArray[np.complex128],
) -> None:
    """Add images, brought to their shifts and turned back with the whole posterior of the angle, to ``sums`` (K, D).

    Parameters
    ----------
    shares : (p,) float64
        Weight of every pair; pairs below 1e-6 are left out.
    """
    nodes = described.shape[1]
    weights, axes = np.empty((6, nodes)), np.empty((2, 3, round(np.sqrt(nodes))))
    for p in range(len(rows)):
        if shares[p] < 1e-6:
            continue
        weigh(shift_px[p, 0], shift_px[p, 1], step_px, polynomials, axes, weights)
        for m in range(len(first) - 1):
            turn = shares[p] * moments[p, m]
            for d in range(first[m], first[m + 1]):
                total = 0j
                for j in range(described.shape[1]):
                    total += weights[0, j] * described[rows[p], j, d]
                sums[classes[p], d] += turn * total

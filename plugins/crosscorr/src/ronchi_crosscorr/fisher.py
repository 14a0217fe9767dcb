"""The compiled kernel of the likelihood fit: normal equations of one disk, and their solution."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["N_PARAMETERS", "normal_equations", "solve"]

Float = NDArray[np.floating[Any]]

N_PARAMETERS = 6
"""Background, height, slopes (times height) along y and x, centre y and x."""


@numba.njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def normal_equations(window: Float, shape: Float, p: Float, floor: float, system: Float) -> float:
    """Fisher information and score of one disk.

    Parameters
    ----------
    window : (3, pixel) float32
        Electrons, 1 where usable and else 0, and the mean that other disks add.
    shape : (9, pixel) float32
        A row of `DiskModel.table`.
    p : (6,) float32
        Parameters; the centre relative to that of the row.
    floor : float
        Variance beyond that of the counts.
    system : (6, 7) float64
        Filled with the upper triangle of the information, and the score in the last column.

    Returns
    -------
    chi2 : float
        Sum of squared residuals over their variance.
    """
    b, height, sy, sx, dy, dx = p[0], p[1], p[2], p[3], p[4], p[5]
    least = np.float32(floor)
    # Scalars, not an array: they stay in registers.
    zero = np.float32(0.0)
    chi = zero
    h00 = h01 = h02 = h03 = h04 = h05 = zero
    h11 = h12 = h13 = h14 = h15 = zero
    h22 = h23 = h24 = h25 = zero
    h33 = h34 = h35 = zero
    h44 = h45 = h55 = zero
    g0 = g1 = g2 = g3 = g4 = g5 = zero
    for i in range(window.shape[1]):
        t = shape[0, i] + dy * shape[3, i] + dx * shape[4, i]
        u = shape[1, i] + dy * shape[5, i] + dx * shape[6, i]
        v = shape[2, i] + dy * shape[7, i] + dx * shape[8, i]
        by_y = height * shape[3, i] + sy * shape[5, i] + sx * shape[7, i]
        by_x = height * shape[4, i] + sy * shape[6, i] + sx * shape[8, i]
        mean = b + height * t + sy * u + sx * v + window[2, i]
        w = window[1, i] / (max(mean, zero) + least)
        r = window[0, i] - mean
        wr, wt, wu, wv, wy, wx = w * r, w * t, w * u, w * v, w * by_y, w * by_x
        chi += wr * r
        h00 += w
        h01 += wt
        h02 += wu
        h03 += wv
        h04 += wy
        h05 += wx
        h11 += wt * t
        h12 += wt * u
        h13 += wt * v
        h14 += wt * by_y
        h15 += wt * by_x
        h22 += wu * u
        h23 += wu * v
        h24 += wu * by_y
        h25 += wu * by_x
        h33 += wv * v
        h34 += wv * by_y
        h35 += wv * by_x
        h44 += wy * by_y
        h45 += wy * by_x
        h55 += wx * by_x
        g0 += wr
        g1 += wr * t
        g2 += wr * u
        g3 += wr * v
        g4 += wr * by_y
        g5 += wr * by_x
    system[0, 0], system[0, 1], system[0, 2], system[0, 3], system[0, 4], system[0, 5] = h00, h01, h02, h03, h04, h05
    system[1, 1], system[1, 2], system[1, 3], system[1, 4], system[1, 5] = h11, h12, h13, h14, h15
    system[2, 2], system[2, 3], system[2, 4], system[2, 5] = h22, h23, h24, h25
    system[3, 3], system[3, 4], system[3, 5] = h33, h34, h35
    system[4, 4], system[4, 5], system[5, 5] = h44, h45, h55
    system[0, 6], system[1, 6], system[2, 6], system[3, 6], system[4, 6], system[5, 6] = g0, g1, g2, g3, g4, g5
    return float(chi)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def solve(system: Float, scratch: Float, covariance: Float, step: Float) -> bool:
    """Covariance (inverse information) and step by Cholesky; False where the information is singular.

    Parameters
    ----------
    system : (6, 7) float64
        As `normal_equations` left it.
    scratch : (2, 6, 6) float64
    covariance, step : (6, 6), (6,) float64
        Filled.
    """
    lower, inverse = scratch[0], scratch[1]
    for i in range(N_PARAMETERS):
        for j in range(i + 1):
            total = system[j, i]
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            if i > j:
                lower[i, j] = total / lower[j, j]
            elif total > 1e-10 * system[i, i]:
                lower[i, i] = np.sqrt(total)
            else:
                return False
    for j in range(N_PARAMETERS):
        inverse[j, j] = 1.0 / lower[j, j]
        for i in range(j + 1, N_PARAMETERS):
            total = 0.0
            for k in range(j, i):
                total -= lower[i, k] * inverse[k, j]
            inverse[i, j] = total / lower[i, i]
    for i in range(N_PARAMETERS):
        for j in range(i, N_PARAMETERS):
            total = 0.0
            for k in range(j, N_PARAMETERS):
                total += inverse[k, i] * inverse[k, j]
            covariance[i, j] = total
            covariance[j, i] = total
    for i in range(N_PARAMETERS):
        step[i] = 0.0
        for j in range(N_PARAMETERS):
            step[i] += covariance[i, j] * system[j, 6]
    return True

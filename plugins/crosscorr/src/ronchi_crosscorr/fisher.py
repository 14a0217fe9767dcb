"""The compiled kernel of the likelihood fit: normal equations of one disk, and their solution."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit

__all__ = ["N_PARAMETERS", "invert", "normal_equations", "solve"]

Float = NDArray[np.floating[Any]]

N_PARAMETERS = 6
"""Background, height, slopes (times height) along y and x, centre y and x."""


@njit(nogil=True, fastmath=True)
def normal_equations(window: Float, shape: Float, p: Float, floor: float, rows: Float, system: Float) -> float:
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
    rows : (7, pixel) float32
        Room to work in.
    system : (6, 7) float64
        Filled with the upper triangle of the information, and the score in the last column.

    Returns
    -------
    chi2 : float
        Sum of squared residuals over their variance.
    """
    b, height, sy, sx, dy, dx = p[0], p[1], p[2], p[3], p[4], p[5]
    n, least, zero = window.shape[1], np.float32(floor), np.float32(0.0)
    weight, by_t, by_u, by_v, by_y, by_x, residual = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6]
    # Several short loops of few sums: one loop of all 28 does not fit into the registers, and takes twice as long.
    for i in range(n):
        t = shape[0, i] + dy * shape[3, i] + dx * shape[4, i]
        u = shape[1, i] + dy * shape[5, i] + dx * shape[6, i]
        v = shape[2, i] + dy * shape[7, i] + dx * shape[8, i]
        mean = b + height * t + sy * u + sx * v + window[2, i]
        weight[i] = window[1, i] / (max(mean, zero) + least)
        by_t[i], by_u[i], by_v[i] = t, u, v
        by_y[i] = height * shape[3, i] + sy * shape[5, i] + sx * shape[7, i]
        by_x[i] = height * shape[4, i] + sy * shape[6, i] + sx * shape[8, i]
        residual[i] = window[0, i] - mean
    chi = one = t1 = u1 = v1 = y1 = x1 = g0 = zero
    for i in range(n):
        w = weight[i]
        wr = w * residual[i]
        chi += wr * residual[i]
        g0 += wr
        one += w
        t1 += w * by_t[i]
        u1 += w * by_u[i]
        v1 += w * by_v[i]
        y1 += w * by_y[i]
        x1 += w * by_x[i]
    system[0, 0], system[0, 1], system[0, 2], system[0, 3], system[0, 4], system[0, 5] = one, t1, u1, v1, y1, x1
    tt = tu = tv = ty = tx = g1 = zero
    for i in range(n):
        w = weight[i] * by_t[i]
        tt += w * by_t[i]
        tu += w * by_u[i]
        tv += w * by_v[i]
        ty += w * by_y[i]
        tx += w * by_x[i]
        g1 += w * residual[i]
    system[1, 1], system[1, 2], system[1, 3], system[1, 4], system[1, 5] = tt, tu, tv, ty, tx
    uu = uv = uy = ux = vv = vy = vx = g2 = g3 = zero
    for i in range(n):
        w = weight[i] * by_u[i]
        uu += w * by_u[i]
        uv += w * by_v[i]
        uy += w * by_y[i]
        ux += w * by_x[i]
        g2 += w * residual[i]
        w = weight[i] * by_v[i]
        vv += w * by_v[i]
        vy += w * by_y[i]
        vx += w * by_x[i]
        g3 += w * residual[i]
    system[2, 2], system[2, 3], system[2, 4], system[2, 5] = uu, uv, uy, ux
    system[3, 3], system[3, 4], system[3, 5] = vv, vy, vx
    yy = yx = xx = g4 = g5 = zero
    for i in range(n):
        w = weight[i] * by_y[i]
        yy += w * by_y[i]
        yx += w * by_x[i]
        g4 += w * residual[i]
        w = weight[i] * by_x[i]
        xx += w * by_x[i]
        g5 += w * residual[i]
    system[4, 4], system[4, 5], system[5, 5] = yy, yx, xx
    system[0, 6], system[1, 6], system[2, 6], system[3, 6], system[4, 6], system[5, 6] = g0, g1, g2, g3, g4, g5
    return float(chi)


@njit(nogil=True)
def solve(system: Float, lower: Float, step: Float) -> bool:
    """Step by Cholesky's factor, which is kept for `invert`; False where the information is singular.

    Parameters
    ----------
    system : (6, 7) float64
        As `normal_equations` left it.
    lower : (6, 6) float64
        Filled below and on its diagonal; 1 over the last diagonal element squared is a parameter's variance.
    step : (6,) float64
        Filled.
    """
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
    for i in range(N_PARAMETERS):
        total = system[i, 6]
        for k in range(i):
            total -= lower[i, k] * step[k]
        step[i] = total / lower[i, i]
    for i in range(N_PARAMETERS - 1, -1, -1):
        total = step[i]
        for k in range(i + 1, N_PARAMETERS):
            total -= lower[k, i] * step[k]
        step[i] = total / lower[i, i]
    return True


@njit(nogil=True)
def invert(lower: Float, inverse: Float, covariance: Float) -> None:
    """Covariance, the inverse information, from the factor that `solve` left.

    Parameters
    ----------
    lower, inverse : (6, 6) float64
        ``inverse`` is room to work in.
    covariance : (6, 6) float64
        Filled.
    """
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

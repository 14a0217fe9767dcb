"""The compiled kernel of the likelihood fit: normal equations of one disk, and their solution."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit

__all__ = [
    "ACROSS",
    "DOWN",
    "HEIGHT",
    "N_PARAMETERS",
    "N_ROWS",
    "RESIDUAL",
    "WEIGHT",
    "invert",
    "normal_equations",
    "solve",
]

Float = NDArray[np.floating[Any]]

N_PARAMETERS = 8
"""Background, height, slopes (times height) along y and x, centre y and x, and the background's slopes a radius."""
N_ROWS = 9
WEIGHT, HEIGHT, _U, _V, _Y, _X, RESIDUAL, DOWN, ACROSS = range(N_ROWS)
"""Rows of the work space: weights, derivatives with height, slopes and centre, residuals, and what the caller fills
once: the pixels' offsets along y and x, in radii."""


@njit(nogil=True, fastmath=True)
def normal_equations(window: Float, shape: Float, p: Float, floor: float, rows: Float, system: Float) -> float:
    """Fisher information and score of one disk.

    Parameters
    ----------
    window : (3, pixel) float32
        Electrons, 1 where usable and else 0, and the mean that other disks add.
    shape : (9, pixel) float32
        A row of `DiskModel.table`.
    p : (8,) float32
        Parameters; the centre relative to that of the row.
    floor : float
        Variance beyond that of the counts.
    rows : (9, pixel) float32
        Room to work in; the rows `DOWN` and `ACROSS` filled.
    system : (8, 9) float64
        Filled with the upper triangle of the information, and the score in the last column.

    Returns
    -------
    chi2 : float
        Sum of squared residuals over their variance.
    """
    b, height, sy, sx, dy, dx, by, bx = p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]
    n, least, zero = window.shape[1], np.float32(floor), np.float32(0.0)
    # Where too large a dark reference was taken off, the light of the disk still has its noise.
    dark = min(b, zero)
    # Many short loops, and rows[K, i] instead of views: each loop that reads several rows and writes several is guarded
    # by a comparison of every pair of their addresses, which takes longer than the loop itself.
    for i in range(n):
        rows[HEIGHT, i] = shape[0, i] + dy * shape[3, i] + dx * shape[4, i]
    for i in range(n):
        rows[_U, i] = shape[1, i] + dy * shape[5, i] + dx * shape[6, i]
    for i in range(n):
        rows[_V, i] = shape[2, i] + dy * shape[7, i] + dx * shape[8, i]
    for i in range(n):
        rows[_Y, i] = height * shape[3, i] + sy * shape[5, i] + sx * shape[7, i]
    for i in range(n):
        rows[_X, i] = height * shape[4, i] + sy * shape[6, i] + sx * shape[8, i]
    for i in range(n):
        rows[RESIDUAL, i] = b + height * rows[HEIGHT, i] + sy * rows[_U, i] + sx * rows[_V, i] + window[2, i]
    for i in range(n):
        rows[RESIDUAL, i] += by * rows[DOWN, i] + bx * rows[ACROSS, i]
    for i in range(n):
        rows[WEIGHT, i] = window[1, i] / (max(rows[RESIDUAL, i] - dark, zero) + least)
    for i in range(n):
        rows[RESIDUAL, i] = window[0, i] - rows[RESIDUAL, i]
    # One loop of all 45 sums would not fit into the registers, and take twice as long.
    chi = one = t1 = u1 = v1 = y1 = x1 = g0 = zero
    for i in range(n):
        w = rows[WEIGHT, i]
        wr = w * rows[RESIDUAL, i]
        chi += wr * rows[RESIDUAL, i]
        g0 += wr
        one += w
        t1 += w * rows[HEIGHT, i]
        u1 += w * rows[_U, i]
        v1 += w * rows[_V, i]
        y1 += w * rows[_Y, i]
        x1 += w * rows[_X, i]
    system[0, 0], system[0, 1], system[0, 2], system[0, 3], system[0, 4], system[0, 5] = one, t1, u1, v1, y1, x1
    tt = tu = tv = ty = tx = g1 = zero
    for i in range(n):
        w = rows[WEIGHT, i] * rows[HEIGHT, i]
        tt += w * rows[HEIGHT, i]
        tu += w * rows[_U, i]
        tv += w * rows[_V, i]
        ty += w * rows[_Y, i]
        tx += w * rows[_X, i]
        g1 += w * rows[RESIDUAL, i]
    system[1, 1], system[1, 2], system[1, 3], system[1, 4], system[1, 5] = tt, tu, tv, ty, tx
    uu = uv = uy = ux = vv = vy = vx = g2 = g3 = zero
    for i in range(n):
        w = rows[WEIGHT, i] * rows[_U, i]
        uu += w * rows[_U, i]
        uv += w * rows[_V, i]
        uy += w * rows[_Y, i]
        ux += w * rows[_X, i]
        g2 += w * rows[RESIDUAL, i]
        w = rows[WEIGHT, i] * rows[_V, i]
        vv += w * rows[_V, i]
        vy += w * rows[_Y, i]
        vx += w * rows[_X, i]
        g3 += w * rows[RESIDUAL, i]
    system[2, 2], system[2, 3], system[2, 4], system[2, 5] = uu, uv, uy, ux
    system[3, 3], system[3, 4], system[3, 5] = vv, vy, vx
    yy = yx = xx = g4 = g5 = zero
    for i in range(n):
        w = rows[WEIGHT, i] * rows[_Y, i]
        yy += w * rows[_Y, i]
        yx += w * rows[_X, i]
        g4 += w * rows[RESIDUAL, i]
        w = rows[WEIGHT, i] * rows[_X, i]
        xx += w * rows[_X, i]
        g5 += w * rows[RESIDUAL, i]
    system[4, 4], system[4, 5], system[5, 5] = yy, yx, xx
    g6 = _background_slope(rows, DOWN, 6, system)
    g7 = _background_slope(rows, ACROSS, 7, system)
    for k, score in enumerate((g0, g1, g2, g3, g4, g5, g6, g7)):
        system[k, N_PARAMETERS] = score
    return float(chi)


@njit(nogil=True, fastmath=True)
def _background_slope(rows: Float, own: int, k: int, system: Float) -> np.float32:
    """Fill column ``k`` of the information with that of one slope of the background; return its score."""
    one = t = u = v = y = x = down = square = score = np.float32(0.0)
    for i in range(rows.shape[1]):
        w = rows[WEIGHT, i] * rows[own, i]
        one += w
        t += w * rows[HEIGHT, i]
        u += w * rows[_U, i]
        v += w * rows[_V, i]
        y += w * rows[_Y, i]
        x += w * rows[_X, i]
        down += w * rows[DOWN, i]
        square += w * rows[own, i]
        score += w * rows[RESIDUAL, i]
    system[0, k], system[1, k], system[2, k], system[3, k], system[4, k], system[5, k] = one, t, u, v, y, x
    system[6, k], system[k, k] = down, square
    return score


@njit(nogil=True)
def solve(system: Float, lower: Float, step: Float) -> bool:
    """Step by Cholesky's factor, which is kept for `invert`; False where the information is singular.

    Parameters
    ----------
    system : (8, 9) float64
        As `normal_equations` left it.
    lower : (8, 8) float64
        Filled below and on its diagonal; 1 over the last diagonal element squared is a parameter's variance.
    step : (8,) float64
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
        total = system[i, N_PARAMETERS]
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
    lower, inverse : (8, 8) float64
        ``inverse`` is room to work in.
    covariance : (8, 8) float64
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

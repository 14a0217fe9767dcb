"""The compiled kernel of the likelihood fit: normal equations of one disk, and a small Cholesky solver."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["N_PARAMETERS", "invert", "normal_equations"]

Float = NDArray[np.floating[Any]]

N_PARAMETERS = 6
"""Background, height, slope along y and x, centre y and x."""


@numba.njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def normal_equations(
    pixels: Float, usable: Float, others: Float, shape: Float, shift: Float, p: Float, floor: float, H: Float, g: Float
) -> float:
    """Fisher information and score of the parameters of one disk.

    Parameters
    ----------
    pixels, usable, others : (pixel,) float32
        Counts, 1 or 0, and the mean that other disks add.
    shape : (9, pixel) float32
        A row of `DiskModel.table`.
    shift : (2,) float32
        Centre minus the row's centre, px.
    p : (4,) float32
        Background, height, and slopes times height.
    floor : float
        Added to the Poisson variance.
    H, g : (6, 6), (6,) float64
        Filled with the information and the score.

    Returns
    -------
    chi2 : float
        Sum of squared residuals over their variance.
    """
    dy, dx = shift[0], shift[1]
    b, height, sy, sx = p[0], p[1], p[2], p[3]
    least = np.float32(floor)
    zero = np.float32(0.0)
    chi = zero
    h00 = h01 = h02 = h03 = h04 = h05 = zero
    h11 = h12 = h13 = h14 = h15 = zero
    h22 = h23 = h24 = h25 = zero
    h33 = h34 = h35 = zero
    h44 = h45 = h55 = zero
    g0 = g1 = g2 = g3 = g4 = g5 = zero
    for i in range(pixels.shape[0]):
        t = shape[0, i] + dy * shape[3, i] + dx * shape[4, i]
        u = shape[1, i] + dy * shape[5, i] + dx * shape[6, i]
        v = shape[2, i] + dy * shape[7, i] + dx * shape[8, i]
        py = height * shape[3, i] + sy * shape[5, i] + sx * shape[7, i]
        px = height * shape[4, i] + sy * shape[6, i] + sx * shape[8, i]
        mean = b + height * t + sy * u + sx * v + others[i]
        w = usable[i] / (max(mean, zero) + least)
        r = pixels[i] - mean
        wr = w * r
        chi += wr * r
        wt = w * t
        wu = w * u
        wv = w * v
        wy = w * py
        wx = w * px
        h00 += w
        h01 += wt
        h02 += wu
        h03 += wv
        h04 += wy
        h05 += wx
        h11 += wt * t
        h12 += wt * u
        h13 += wt * v
        h14 += wt * py
        h15 += wt * px
        h22 += wu * u
        h23 += wu * v
        h24 += wu * py
        h25 += wu * px
        h33 += wv * v
        h34 += wv * py
        h35 += wv * px
        h44 += wy * py
        h45 += wy * px
        h55 += wx * px
        g0 += wr
        g1 += wr * t
        g2 += wr * u
        g3 += wr * v
        g4 += wr * py
        g5 += wr * px
    H[0, 0], H[0, 1], H[0, 2], H[0, 3], H[0, 4], H[0, 5] = h00, h01, h02, h03, h04, h05
    H[1, 1], H[1, 2], H[1, 3], H[1, 4], H[1, 5] = h11, h12, h13, h14, h15
    H[2, 2], H[2, 3], H[2, 4], H[2, 5] = h22, h23, h24, h25
    H[3, 3], H[3, 4], H[3, 5] = h33, h34, h35
    H[4, 4], H[4, 5], H[5, 5] = h44, h45, h55
    g[0], g[1], g[2], g[3], g[4], g[5] = g0, g1, g2, g3, g4, g5
    return float(chi)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def invert(H: Float, inverse: Float) -> bool:
    """Invert a symmetric positive definite matrix whose upper triangle is given; False where it is not."""
    n = H.shape[0]
    L = np.zeros((N_PARAMETERS, N_PARAMETERS))
    for i in range(n):
        for j in range(i + 1):
            total = H[j, i]
            for k in range(j):
                total -= L[i, k] * L[j, k]
            if i == j:
                if not total > 1e-12 * H[i, i]:
                    return False
                L[i, i] = np.sqrt(total)
            else:
                L[i, j] = total / L[j, j]
    # Columns of L^-1, then H^-1 = L^-T L^-1.
    M = np.zeros((N_PARAMETERS, N_PARAMETERS))
    for j in range(n):
        M[j, j] = 1.0 / L[j, j]
        for i in range(j + 1, n):
            total = 0.0
            for k in range(j, i):
                total -= L[i, k] * M[k, j]
            M[i, j] = total / L[i, i]
    for i in range(n):
        for j in range(i, n):
            total = 0.0
            for k in range(j, n):
                total += M[k, i] * M[k, j]
            inverse[i, j] = total
            inverse[j, i] = total
    return True

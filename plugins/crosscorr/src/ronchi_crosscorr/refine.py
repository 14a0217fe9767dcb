"""Position of a maximum of the correlation below a pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import part

__all__ = ["newton", "parabola"]


@part(allocates=False)
def _step(gy: float, gx: float, hyy: float, hyx: float, hxx: float) -> tuple[float, float, bool]:
    det = hyy * hxx - hyx * hyx
    if not (hyy < 0 and det > 1e-4 * hyy * hyy):
        return 0.0, 0.0, False
    return (hyx * gx - hxx * gy) / det, (hyx * gy - hyy * gx) / det, True


@part(allocates=False)
def parabola(c: NDArray[np.float32], y: int, x: int) -> tuple[float, float, bool]:
    """Maximum of the least-squares quadratic through 3 x 3 values around a pixel.

    Returns
    -------
    dy, dx : float
        Offset from the pixel, at most 1 along each axis.
    ok : bool
        False where the surface is not a maximum; the offset is then 0.
    """
    a, b, d = np.float64(c[y - 1, x - 1]), np.float64(c[y - 1, x]), np.float64(c[y - 1, x + 1])
    e, f, g = np.float64(c[y, x - 1]), np.float64(c[y, x]), np.float64(c[y, x + 1])
    h, i, j = np.float64(c[y + 1, x - 1]), np.float64(c[y + 1, x]), np.float64(c[y + 1, x + 1])
    gy, gx = (h + i + j - a - b - d) / 6, (d + g + j - a - e - h) / 6
    hyy = (a + b + d + h + i + j - 2 * (e + f + g)) / 3
    hxx = (a + e + h + d + g + j - 2 * (b + f + i)) / 3
    hyx = (a + j - d - h) / 4
    dy, dx, ok = _step(gy, gx, hyy, hyx, hxx)
    return min(max(dy, -1.0), 1.0), min(max(dx, -1.0), 1.0), ok


@part(allocates=False)
def _sextic(t: float, w: NDArray[np.float64]) -> None:
    """Weights of the values at -3..3 for value, slope and curvature of the sextic through them, at t in [-1/2, 1/2]."""
    # Products of (t - node) without one node, and their derivatives, divided by the Lagrange denominators.
    for k in range(7):
        value, slope, curve = 1.0, 0.0, 0.0
        denominator = 1.0
        for m in range(7):
            if m == k:
                continue
            factor = t - (m - 3)
            curve = curve * factor + 2 * slope
            slope = slope * factor + value
            value = value * factor
            denominator *= k - m
        w[0, k], w[1, k], w[2, k] = value / denominator, slope / denominator, curve / denominator


@part(allocates=False)
def newton(
    c: NDArray[np.float32], y: int, x: int, dy: float, dx: float, weights: NDArray[np.float64]
) -> tuple[float, float]:
    """Maximum of the interpolated correlation, by Newton steps from ``dy``, ``dx`` of the parabola's.

    The correlation is band-limited by the template and its low-pass, so the sextic through
    7 x 7 values follows it closely. ``weights`` is (2, 3, 7) scratch.
    """
    if y < 4 or x < 4 or y > c.shape[0] - 5 or x > c.shape[1] - 5:
        return dy, dx
    wy, wx = weights[0], weights[1]
    for _ in range(6):
        iy, ix = round(dy), round(dx)
        _sextic(dy - iy, wy)
        _sextic(dx - ix, wx)
        gy, gx, hyy, hyx, hxx = 0.0, 0.0, 0.0, 0.0, 0.0
        for u in range(7):
            v0, v1, v2 = 0.0, 0.0, 0.0
            for v in range(7):
                z = c[y + iy + u - 3, x + ix + v - 3]
                v0 += wx[0, v] * z
                v1 += wx[1, v] * z
                v2 += wx[2, v] * z
            gy += wy[1, u] * v0
            gx += wy[0, u] * v1
            hyy += wy[2, u] * v0
            hyx += wy[1, u] * v1
            hxx += wy[0, u] * v2
        sy, sx, good = _step(gy, gx, hyy, hyx, hxx)
        if not good:
            break
        length = np.sqrt(sy * sy + sx * sx)
        if length > 0.5:
            sy, sx = 0.5 * sy / length, 0.5 * sx / length
        dy, dx = dy + sy, dx + sx
        if dy < -1.0 or dy > 1.0 or dx < -1.0 or dx > 1.0:
            dy, dx = min(max(dy, -1.0), 1.0), min(max(dx, -1.0), 1.0)
            break
        if length < 1e-3:
            break
    return dy, dx

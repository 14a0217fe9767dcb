"""Compiled: how well a template fits an image, at all angles of a grid, or at one pose with derivatives.

With coefficients b(t) of the image about the shift t, a template a, and noise of variance v, the log-likelihood of
the angle u and the shift t is (Re sum conj(a) b(t) exp(i m u) - |b(t)|^2 / 2 - |a|^2 / 2) / v - |t|^2 / (2 s^2). Here
it is multiplied by v, without the term of the template. Correlations by order at the nodes of the shift grid are
given; polynomials through them are those of any shift.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit

__all__ = ["mix", "scan", "value_at", "weigh"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@njit(fastmath=True)
def scan(
    vr: Floats,
    vi: Floats,
    cosines: Floats,
    sines: Floats,
    score: Floats,
) -> None:
    """Correlation at all angles of the grid."""
    for a in range(len(cosines)):
        total = np.float32(0)
        for m in range(len(vr)):
            total += vr[m] * cosines[a, m] - vi[m] * sines[a, m]
        score[a] = total


@njit(fastmath=True)
def mix(
    re: Floats,
    im: Floats,
    weights: Doubles,
    vr: Floats,
    vi: Floats,
) -> None:
    """Correlation by order about the centre that the weights are for."""
    for m in range(len(vr)):
        sr, si = 0.0, 0.0
        for j in range(len(re)):
            sr += weights[0, j] * re[j, m]
            si += weights[0, j] * im[j, m]
        vr[m], vi[m] = sr, si


@njit(fastmath=True)
def weigh(ty: float, tx: float, step_px: float, polynomials: Doubles, axes: Doubles, weights: Doubles) -> None:
    """Weights of the nodes: value, d/dy, d/dx, d2/dy2, d2/dydx, d2/dx2."""
    side, local = axes.shape[2], len(polynomials)
    axes[:] = 0.0
    for axis in range(2):
        s = (ty if axis == 0 else tx) / step_px
        first = min(max(int(np.floor(s + 0.5)) + side // 2 - local // 2, 0), side - local)
        s -= first + local // 2 - side // 2
        for j in range(local):
            value, slope, bend = 0.0, 0.0, 0.0
            for power in range(local - 1, -1, -1):
                bend = bend * s + 2 * slope
                slope = slope * s + value
                value = value * s + polynomials[j, power]
            at = first + j
            axes[axis, 0, at], axes[axis, 1, at], axes[axis, 2, at] = value, slope / step_px, bend / step_px**2
    for jy in range(side):
        for jx in range(side):
            j = jy * side + jx
            weights[0, j] = axes[0, 0, jy] * axes[1, 0, jx]
            weights[1, j] = axes[0, 1, jy] * axes[1, 0, jx]
            weights[2, j] = axes[0, 0, jy] * axes[1, 1, jx]
            weights[3, j] = axes[0, 2, jy] * axes[1, 0, jx]
            weights[4, j] = axes[0, 1, jy] * axes[1, 1, jx]
            weights[5, j] = axes[0, 0, jy] * axes[1, 2, jx]


@njit(fastmath=True)
def value_at(
    re: Floats,
    im: Floats,
    energy: Floats,
    u: float,
    ty: float,
    tx: float,
    step_px: float,
    polynomials: Doubles,
    stiffness: float,
    axes: Doubles,
    weights: Doubles,
    values: Doubles,
    turned: Doubles,
) -> float:
    """Objective at a pose; ``values`` become it and its derivatives by the angle at every node."""
    weigh(ty, tx, step_px, polynomials, axes, weights)
    n_orders = re.shape[1]
    c1, s1, c, s = np.cos(u), np.sin(u), 1.0, 0.0
    for m in range(n_orders):
        turned[0, m], turned[1, m] = c, s
        c, s = c * c1 - s * s1, c * s1 + s * c1
    value = 0.0
    for j in range(len(re)):
        v0, v1, v2 = 0.0, 0.0, 0.0
        for m in range(n_orders):
            along = re[j, m] * turned[0, m] - im[j, m] * turned[1, m]
            across = re[j, m] * turned[1, m] + im[j, m] * turned[0, m]
            v0 += along
            v1 -= m * across
            v2 -= m * m * along
        values[0, j], values[1, j], values[2, j] = v0 - 0.5 * energy[j], v1, v2
        value += weights[0, j] * values[0, j]
    return value - 0.5 * stiffness * (ty * ty + tx * tx)

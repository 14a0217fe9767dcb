"""Compiled kernel: the pose of an image against a template, and the evidence of the template, the angle integrated out.

With coefficients b(t) of the image about the shift t, a template a, and noise of variance v, the log-likelihood of
the angle u and the shift t is (Re sum conj(a) b(t) exp(i m u) - |b(t)|^2 / 2 - |a|^2 / 2) / v - |t|^2 / (2 s^2).
All angles of a grid come from one short Fourier sum; the best one is refined together with the shift by Newton steps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit
from ronchi_rvae.disc import DiscBasis

__all__ = ["SCAN_ALL", "SCAN_ANGLES", "STAY", "Poses", "accumulate", "angle_table", "fit_poses"]

Doubles = NDArray[np.float64]
Complex = NDArray[np.complex64]
Ints = NDArray[np.int64]

STAY, SCAN_ANGLES, SCAN_ALL = 0, 1, 2
"""Where a fit starts: at the given pose; at the best angle for the given shift; at the best angle and node."""

_LARGEST_TURN = 0.08
_LARGEST_MOVE = 0.35
_FLATTEST = 0.02
"""A Newton step goes no farther than this [rad], [px]; no curvature counts as less than this share of the largest."""


class Poses(NamedTuple):
    """Poses of pairs of an image and a template.

    Parameters
    ----------
    evidence : (p,) float64
        Log-likelihood, up to a constant of all templates, integrated over the angle at the best shift.
    angle : (p,) float64
        Most likely angle in rad, from x towards y: the image is the template turned by it.
    shift_px : (p, 2) float64
        Most likely shift (y, x).
    moments : (p, M) complex64
        Posterior mean of ``exp(i m angle)``.
    misfit : (p,) float64
        Squared distance of image and template at the most likely pose.
    """

    evidence: Doubles
    angle: Doubles
    shift_px: Doubles
    moments: Complex
    misfit: Doubles


def angle_table(n_orders: int) -> Complex:
    """(A, M) ``exp(i m angle)`` on a grid of angles that all rotation symmetries up to 4, and 6, map to itself."""
    n_angles = 12 * -(-4 * n_orders // 12)
    angles = 2 * np.pi * np.arange(n_angles) / n_angles
    table: Complex = np.exp(1j * angles[:, None] * np.arange(n_orders)).astype(np.complex64)
    return table


def fit_poses(
    basis: DiscBasis,
    described: Complex,
    templates: Complex,
    rows: Ints,
    classes: Ints,
    angle: Doubles,
    shift_px: Doubles,
    *,
    variance: float,
    shift_sigma_px: float,
    start: int,
    steps: int = 3,
) -> Poses:
    """Fit the pose of every pair of an image and a template.

    Parameters
    ----------
    described : (n, nodes, D) complex64
        From `DiscBasis.describe`.
    templates : (K, D) complex64
    rows, classes : (p,) int64
        Image and template of every pair.
    angle, shift_px : (p,) and (p, 2) float64
        Where to start.
    variance : float
        Of the noise in a pixel.
    shift_sigma_px : float
        Standard deviation of shifts.
    start : int
        `STAY`, `SCAN_ANGLES` or `SCAN_ALL`.
    steps : int
        Newton steps.
    """
    n = len(rows)
    table = angle_table(basis.n_orders)
    energy = (described.real**2 + described.imag**2).sum(axis=2)
    norms = (templates.real.astype(float) ** 2 + templates.imag.astype(float) ** 2).sum(axis=1)
    poses = Poses(
        np.empty(n),
        angle.astype(float),
        shift_px.astype(float),
        np.empty((n, basis.n_orders), np.complex64),
        np.empty(n),
    )
    _fit_pairs(
        described,
        energy,
        np.ascontiguousarray(templates.astype(np.complex64)),
        norms,
        basis.first,
        rows,
        classes,
        np.ascontiguousarray(table.real),
        np.ascontiguousarray(table.imag),
        basis.shifts.polynomials,
        basis.shifts.step_px,
        basis.shifts.reach_px,
        variance,
        variance / shift_sigma_px**2 if basis.shifts.side > 1 else 0.0,
        start,
        steps,
        *poses,
    )
    return poses


@njit(fastmath=True)
def _fit_pairs(
    described: Complex,
    energy: NDArray[np.float32],
    templates: Complex,
    norms: Doubles,
    first: Ints,
    rows: Ints,
    classes: Ints,
    cosines: NDArray[np.float32],
    sines: NDArray[np.float32],
    polynomials: Doubles,
    step_px: float,
    reach_px: float,
    variance: float,
    stiffness: float,
    start: int,
    steps: int,
    evidence: Doubles,
    angle: Doubles,
    shift_px: Doubles,
    moments: Complex,
    misfit: Doubles,
) -> None:
    n_orders, nodes, side = len(first) - 1, described.shape[1], len(polynomials)
    n_angles = len(cosines)
    re, im = np.empty((nodes, n_orders), np.float32), np.empty((nodes, n_orders), np.float32)
    vr, vi = np.empty(n_orders, np.float32), np.empty(n_orders, np.float32)
    weights = np.empty((6, nodes))
    axes = np.empty((2, 3, side))
    values = np.empty((3, nodes))
    score = np.empty(n_angles, np.float32)
    turned = np.empty((2, n_orders))
    for p in range(len(rows)):
        n, k = rows[p], classes[p]
        for j in range(nodes):
            for m in range(n_orders):
                sr, si = np.float32(0), np.float32(0)
                for d in range(first[m], first[m + 1]):
                    b, a = described[n, j, d], templates[k, d]
                    sr += b.real * a.real + b.imag * a.imag
                    si += b.imag * a.real - b.real * a.imag
                re[j, m], im[j, m] = sr, si
        u, ty, tx = angle[p], shift_px[p, 0], shift_px[p, 1]
        if start == 2:
            best = -np.inf
            for j in range(nodes):
                _scan(re[j], im[j], cosines, sines, score)
                at = np.argmax(score)
                y, x = (j // side - side // 2) * step_px, (j % side - side // 2) * step_px
                if side == 1:
                    y, x = 0.0, 0.0
                value = score[at] - 0.5 * energy[n, j] - 0.5 * stiffness * (y * y + x * x)
                if value > best:
                    best, u, ty, tx = value, 2 * np.pi * at / n_angles, y, x
        elif start == 1:
            _weigh(ty, tx, step_px, polynomials, axes, weights)
            _mix(re, im, weights, vr, vi)
            _scan(vr, vi, cosines, sines, score)
            u = 2 * np.pi * np.argmax(score) / n_angles
        value = _value(re, im, energy[n], u, ty, tx, step_px, polynomials, stiffness, axes, weights, values, turned)
        for _ in range(steps):
            du, dy, dx = _newton(values, weights, ty, tx, stiffness, side > 1)
            large = max(abs(du) / _LARGEST_TURN, abs(dy) / _LARGEST_MOVE, abs(dx) / _LARGEST_MOVE, 1.0)
            du, dy, dx = du / large, dy / large, dx / large
            for _back in range(3):
                y, x = min(max(ty + dy, -reach_px), reach_px), min(max(tx + dx, -reach_px), reach_px)
                new = _value(
                    re, im, energy[n], u + du, y, x, step_px, polynomials, stiffness, axes, weights, values, turned
                )
                if new >= value:
                    break
                du, dy, dx = 0.3 * du, 0.3 * dy, 0.3 * dx
            if new < value:
                value = _value(
                    re, im, energy[n], u, ty, tx, step_px, polynomials, stiffness, axes, weights, values, turned
                )
                break
            gained = new - value
            value, u, ty, tx = new, u + du, y, x
            if gained < 1e-3 * variance:
                break
        angle[p], shift_px[p, 0], shift_px[p, 1] = u, ty, tx
        misfit[p] = norms[k] - 2 * value - stiffness * (ty * ty + tx * tx)
        # All angles at the best shift, on a grid on which the best angle lies.
        _mix(re, im, weights, vr, vi)
        for m in range(n_orders):
            c, s = np.cos(m * u), np.sin(m * u)
            vr[m], vi[m] = vr[m] * c - vi[m] * s, vr[m] * s + vi[m] * c
        _scan(vr, vi, cosines, sines, score)
        top = score[0]
        total = 0.0
        for m in range(n_orders):
            turned[0, m] = turned[1, m] = 0.0
        for a in range(n_angles):
            chance = np.exp(min((score[a] - top) / variance, 30.0))
            total += chance
            if chance > 1e-4:
                for m in range(n_orders):
                    turned[0, m] += chance * cosines[a, m]
                    turned[1, m] += chance * sines[a, m]
        for m in range(n_orders):
            mean = (turned[0, m] + 1j * turned[1, m]) / total
            moments[p, m] = mean * np.exp(1j * m * u)
        evidence[p] = (value - 0.5 * norms[k]) / variance + np.log(total)


@njit(fastmath=True)
def _scan(
    vr: NDArray[np.float32],
    vi: NDArray[np.float32],
    cosines: NDArray[np.float32],
    sines: NDArray[np.float32],
    score: NDArray[np.float32],
) -> None:
    """Correlation at all angles of the grid."""
    for a in range(len(cosines)):
        total = np.float32(0)
        for m in range(len(vr)):
            total += vr[m] * cosines[a, m] - vi[m] * sines[a, m]
        score[a] = total


@njit(fastmath=True)
def _mix(
    re: NDArray[np.float32],
    im: NDArray[np.float32],
    weights: Doubles,
    vr: NDArray[np.float32],
    vi: NDArray[np.float32],
) -> None:
    """Correlation by order about the centre that the weights are for."""
    for m in range(len(vr)):
        sr, si = 0.0, 0.0
        for j in range(len(re)):
            sr += weights[0, j] * re[j, m]
            si += weights[0, j] * im[j, m]
        vr[m], vi[m] = sr, si


@njit(fastmath=True)
def _weigh(ty: float, tx: float, step_px: float, polynomials: Doubles, axes: Doubles, weights: Doubles) -> None:
    """Weights of the nodes: value, d/dy, d/dx, d2/dy2, d2/dydx, d2/dx2."""
    side = len(polynomials)
    for axis in range(2):
        s = (ty if axis == 0 else tx) / step_px
        for j in range(side):
            value, slope, bend = 0.0, 0.0, 0.0
            for power in range(side - 1, -1, -1):
                bend = bend * s + 2 * slope
                slope = slope * s + value
                value = value * s + polynomials[j, power]
            axes[axis, 0, j], axes[axis, 1, j], axes[axis, 2, j] = value, slope / step_px, bend / step_px**2
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
def _value(
    re: NDArray[np.float32],
    im: NDArray[np.float32],
    energy: NDArray[np.float32],
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
    _weigh(ty, tx, step_px, polynomials, axes, weights)
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


@njit(fastmath=True)
def _newton(
    values: Doubles, weights: Doubles, ty: float, tx: float, stiffness: float, moves: bool
) -> tuple[float, float, float]:
    """Newton step towards the maximum; where the curvature is of the wrong sign or nil, it is replaced."""
    g = np.zeros(3)
    h = np.zeros((3, 3))
    for j in range(values.shape[1]):
        g[0] += weights[0, j] * values[1, j]
        h[0, 0] -= weights[0, j] * values[2, j]
        if moves:
            g[1] += weights[1, j] * values[0, j]
            g[2] += weights[2, j] * values[0, j]
            h[0, 1] -= weights[1, j] * values[1, j]
            h[0, 2] -= weights[2, j] * values[1, j]
            h[1, 1] -= weights[3, j] * values[0, j]
            h[1, 2] -= weights[4, j] * values[0, j]
            h[2, 2] -= weights[5, j] * values[0, j]
    if not moves:
        bend = abs(h[0, 0])
        return (g[0] / bend if bend > 0 else 0.0), 0.0, 0.0
    g[1] -= stiffness * ty
    g[2] -= stiffness * tx
    h[1, 1] += stiffness
    h[2, 2] += stiffness
    h[1, 0], h[2, 0], h[2, 1] = h[0, 1], h[0, 2], h[1, 2]
    # The angle in units in which its curvature is like that of a shift.
    scale = np.sqrt(max(abs(h[0, 0]), 1e-12) / max(abs(h[1, 1]), abs(h[2, 2]), 1e-12))
    for i in range(3):
        h[0, i] /= scale
        h[i, 0] /= scale
    g[0] /= scale
    bends, vectors = np.linalg.eigh(h)
    floor = _FLATTEST * max(abs(bends[0]), abs(bends[2])) + 1e-12
    step = np.zeros(3)
    for i in range(3):
        along = vectors[0, i] * g[0] + vectors[1, i] * g[1] + vectors[2, i] * g[2]
        along /= max(abs(bends[i]), floor)
        for axis in range(3):
            step[axis] += along * vectors[axis, i]
    return step[0] / scale, step[1], step[2]


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
    side = len(polynomials)
    weights, axes = np.empty((6, described.shape[1])), np.empty((2, 3, side))
    for p in range(len(rows)):
        if shares[p] < 1e-6:
            continue
        _weigh(shift_px[p, 0], shift_px[p, 1], step_px, polynomials, axes, weights)
        for m in range(len(first) - 1):
            turn = shares[p] * moments[p, m]
            for d in range(first[m], first[m + 1]):
                total = 0j
                for j in range(described.shape[1]):
                    total += weights[0, j] * described[rows[p], j, d]
                sums[classes[p], d] += turn * total

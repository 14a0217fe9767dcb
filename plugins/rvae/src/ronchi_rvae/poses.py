"""The pose of an image against a template, and the evidence of the template, the angle integrated out.

All angles of a grid come from one short Fourier sum; the best one is refined together with the shift by Newton steps
on what `ronchi_rvae.objective` computes. Maxima that are sharper than the grid are integrated as Gaussians.

The level of an image, its first coefficient, tells nothing of a pose. It is left out: every image has its own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit
from ronchi_rvae.disc import DiscBasis
from ronchi_rvae.edges import telling_energy
from ronchi_rvae.newton import newton_step
from ronchi_rvae.objective import mix, scan, value_at, weigh

__all__ = ["SCAN_ALL", "SCAN_ANGLES", "STAY", "Poses", "angle_table", "correlate", "fit_poses", "gaussian_over_grid"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Complex = NDArray[np.complex64]
Ints = NDArray[np.int64]

STAY, SCAN_ANGLES, SCAN_ALL = 0, 1, 2
"""Where a fit starts: at the given pose; at the best angle for the given shift; at the best angle and node."""

_LARGEST_TURN = 0.08
_LARGEST_MOVE = 0.35
"""A Newton step goes no farther than this [rad], [px]."""


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
        Squared distance of image and template over all angles at the most likely shift, but for their levels.
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
    edge_signal: float,
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
    edge_signal : float
        `signal_at_edge`.
    start : int
        `STAY`, `SCAN_ANGLES` or `SCAN_ALL`.
    steps : int
        Newton steps.
    """
    n = len(rows)
    table = angle_table(basis.n_orders)
    energy = telling_energy(described, edge_signal)
    norms = (templates.real[:, 1:].astype(float) ** 2 + templates.imag[:, 1:].astype(float) ** 2).sum(axis=1)
    first = basis.first.copy()
    first[0] = 1
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
        first,
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
    energy: Floats,
    templates: Complex,
    norms: Doubles,
    first: Ints,
    rows: Ints,
    classes: Ints,
    cosines: Floats,
    sines: Floats,
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
    n_orders, nodes = len(first) - 1, described.shape[1]
    side = round(np.sqrt(nodes))
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
        correlate(described[n], templates[k], first, re, im)
        u, ty, tx = angle[p], shift_px[p, 0], shift_px[p, 1]
        if start == 2:
            best = -np.inf
            for j in range(nodes):
                scan(re[j], im[j], cosines, sines, score)
                at = np.argmax(score)
                y, x = (j // side - side // 2) * step_px, (j % side - side // 2) * step_px
                if side == 1:
                    y, x = 0.0, 0.0
                value = score[at] - 0.5 * energy[n, j] - 0.5 * stiffness * (y * y + x * x)
                if value > best:
                    best, u, ty, tx = value, 2 * np.pi * at / n_angles, y, x
        elif start == 1:
            weigh(ty, tx, step_px, polynomials, axes, weights)
            mix(re, im, weights, vr, vi)
            scan(vr, vi, cosines, sines, score)
            u = 2 * np.pi * np.argmax(score) / n_angles
        value = value_at(re, im, energy[n], u, ty, tx, step_px, polynomials, stiffness, axes, weights, values, turned)
        for _ in range(steps):
            du, dy, dx = newton_step(values, weights, ty, tx, stiffness, side > 1)
            large = max(abs(du) / _LARGEST_TURN, abs(dy) / _LARGEST_MOVE, abs(dx) / _LARGEST_MOVE, 1.0)
            du, dy, dx = du / large, dy / large, dx / large
            for _back in range(3):
                y, x = min(max(ty + dy, -reach_px), reach_px), min(max(tx + dx, -reach_px), reach_px)
                new = value_at(
                    re, im, energy[n], u + du, y, x, step_px, polynomials, stiffness, axes, weights, values, turned
                )
                if new >= value:
                    break
                du, dy, dx = 0.3 * du, 0.3 * dy, 0.3 * dx
            if new < value:
                value = value_at(
                    re, im, energy[n], u, ty, tx, step_px, polynomials, stiffness, axes, weights, values, turned
                )
                break
            gained = new - value
            value, u, ty, tx = new, u + du, y, x
            if gained < 1e-3 * variance:
                break
        angle[p], shift_px[p, 0], shift_px[p, 1] = u, ty, tx
        # All angles at the best shift, on a grid on which the best angle lies.
        mix(re, im, weights, vr, vi)
        for m in range(n_orders):
            c, s = np.cos(m * u), np.sin(m * u)
            vr[m], vi[m] = vr[m] * c - vi[m] * s, vr[m] * s + vi[m] * c
        scan(vr, vi, cosines, sines, score)
        total, lost = _average_turn(score, variance, cosines, sines, turned)
        bend = 0.0
        for m in range(n_orders):
            bend += m * m * vr[m]
        if bend > 0:
            width = np.sqrt(variance / bend) * n_angles / (2 * np.pi)
            total *= gaussian_over_grid(width, 0.0)
            lost += variance * _lost_between(width)
        misfit[p] = norms[k] - 2 * (value - lost) - stiffness * (ty * ty + tx * tx)
        for m in range(n_orders):
            moments[p, m] = (turned[0, m] + 1j * turned[1, m]) * np.exp(1j * m * u)
        evidence[p] = (value - 0.5 * norms[k]) / variance + np.log(total)


@njit()
def gaussian_over_grid(width: float, wave: float) -> float:
    """What a Gaussian holds, over what a grid with a point at its maximum sees of it; 1 if it is wide.

    Parameters
    ----------
    width : float
        Standard deviation in steps of the grid.
    wave : float
        In rad a step: the Gaussian is multiplied by its cosine. 0 for the Gaussian itself.
    """
    if width > 2.0:
        return 1.0
    seen = 1.0
    for k in range(1, 13):
        seen += 2 * np.exp(-0.5 * (k / max(width, 1e-3)) ** 2) * np.cos(k * wave)
    return np.sqrt(2 * np.pi) * width * np.exp(-0.5 * (wave * width) ** 2) / seen


@njit()
def _lost_between(width: float) -> float:
    """What the exponent of a Gaussian loses to its maximum, 1/2 on average, less what a grid sees of that.

    Parameters
    ----------
    width : float
        As of `gaussian_over_grid`.
    """
    if width > 2.0:
        return 0.0
    seen, lost = 1.0, 0.0
    for k in range(1, 13):
        depth = 0.5 * (k / max(width, 1e-3)) ** 2
        seen += 2 * np.exp(-depth)
        lost += 2 * depth * np.exp(-depth)
    return 0.5 - lost / seen


@njit(fastmath=True)
def correlate(image: Complex, template: Complex, first: Ints, re: Floats, im: Floats) -> None:
    """Correlation by order at every node."""
    for j in range(len(image)):
        for m in range(len(first) - 1):
            sr, si = np.float32(0), np.float32(0)
            for d in range(first[m], first[m + 1]):
                b, a = image[j, d], template[d]
                sr += b.real * a.real + b.imag * a.imag
                si += b.imag * a.real - b.real * a.imag
            re[j, m], im[j, m] = sr, si


@njit(fastmath=True)
def _average_turn(
    score: Floats, variance: float, cosines: Floats, sines: Floats, turned: Doubles
) -> tuple[float, float]:
    """Sum of the chances of all angles, that of the first being 1, and what they lose of its score on average.

    ``turned`` becomes their mean ``exp(i m angle)``.
    """
    total, lost = 0.0, 0.0
    turned[:] = 0.0
    for a in range(len(score)):
        less = score[0] - score[a]
        chance = np.exp(min(-less / variance, 30.0))
        total += chance
        lost += chance * less
        if chance > 1e-4:
            for m in range(turned.shape[1]):
                turned[0, m] += chance * cosines[a, m]
                turned[1, m] += chance * sines[a, m]
    turned /= total
    return total, lost / total

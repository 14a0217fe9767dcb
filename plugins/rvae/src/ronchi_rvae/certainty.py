"""How sure an angle and a class are where the shift is not known either.

Poses are fitted with the shift at its best, as if it were known.  Where it is known well, the angle loses what the
Cramer-Rao bound of both takes from it; where noise leaves it open, other angles have other best shifts, and the
posterior is summed over the nodes of the grid of shifts.  So are those of the classes where all leave it open: sums
and maxima are not compared.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from ronchi.compiled import njit
from ronchi_rvae.disc import DiscBasis
from ronchi_rvae.mixture import Mixture, Responses
from ronchi_rvae.objective import scan
from ronchi_rvae.poses import angle_table, correlate

__all__ = ["angle_lost", "over_shifts"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Complex = NDArray[np.complex64]
Ints = NDArray[np.int64]

_BROAD = 0.4
"""Of the distance of the nodes: a posterior of the shift that is wider is what the nodes see of it, to 9 %."""

_NEGLIGIBLE = 1e-5


def angle_lost(basis: DiscBasis, mixture: Mixture) -> Doubles:
    """(K,) variance in rad^2 that the angle has more since the shift is not known; 0 where `over_shifts` sees to it."""
    lost, broad = _bounds(basis, mixture)
    return np.where(broad, 0.0, lost)


def over_shifts(basis: DiscBasis, described: Complex, mixture: Mixture, found: Responses) -> Responses:
    """Responses with the moments of the angle over all shifts, in classes that leave the shift open.

    Where all do, with the chances of the classes over all shifts, too.

    Parameters
    ----------
    described : (n, nodes, D) complex64
    """
    is_open = _bounds(basis, mixture)[1][mixture.view_class]
    views = np.flatnonzero(is_open)
    if not len(views):
        return found
    table = angle_table(basis.n_orders)
    first = basis.first.copy()
    first[0] = 1
    turning = np.ascontiguousarray(described).view(np.float32)[..., 2:]
    nodes = np.array(basis.shifts.nodes_px)
    prior = -0.5 * (nodes**2).sum(axis=1) * mixture.variance / mixture.shift_sigma_px**2
    offset = prior - 0.5 * np.einsum("njd,njd->nj", turning, turning)
    moments, evidence = found.moments.copy(), np.empty(found.chance.shape)
    for view in views:
        _sum_over_nodes(
            described,
            offset.astype(np.float32),
            np.ascontiguousarray(mixture.views[view].astype(np.complex64)),
            first,
            np.ascontiguousarray(table.real),
            np.ascontiguousarray(table.imag),
            mixture.variance,
            moments[:, view],
            evidence[:, view],
        )
    if not is_open.all():
        return replace(found, moments=moments)
    norms = (np.abs(mixture.views[:, 1:].astype(np.complex128)) ** 2).sum(axis=1)
    evidence += np.log(mixture.view_share) - 0.5 * norms / mixture.variance
    return replace(found, moments=moments, chance=softmax(evidence, axis=1))


def _bounds(basis: DiscBasis, mixture: Mixture) -> tuple[Doubles, NDArray[np.bool_]]:
    """Variance (K,) in rad^2 that the angle loses to the shift, and where (K,) the shift is open."""
    if basis.shifts.side == 1:
        return np.zeros(mixture.size), np.zeros(mixture.size, bool)
    templates = mixture.templates.astype(np.complex128)
    slopes = np.stack([1j * basis.order * templates, *basis.shift_slopes(templates)], axis=1)
    information = np.einsum("kid,kjd->kij", slopes.conj(), slopes).real
    information[:, 1:, 1:] += np.eye(2) * mixture.variance / mixture.shift_sigma_px**2
    alone, across = np.maximum(information[:, 0, 0], 1e-30), information[:, 0, 1:]
    told = np.einsum("ki,ki->k", across, np.linalg.solve(information[:, 1:, 1:], across[..., None])[..., 0])
    lost = mixture.variance * (1 / np.maximum(alone - told, 1e-6 * alone) - 1 / alone)
    spread_px = np.sqrt(mixture.variance / np.linalg.eigvalsh(information[:, 1:, 1:])[:, -1])
    return lost, spread_px > _BROAD * basis.shifts.step_px


@njit(fastmath=True)
def _sum_over_nodes(
    described: Complex,
    offset: Floats,
    template: Complex,
    first: Ints,
    cosines: Floats,
    sines: Floats,
    variance: float,
    moments: Complex,
    evidence: Doubles,
) -> None:
    n_orders, nodes, n_angles = len(first) - 1, described.shape[1], len(cosines)
    re, im = np.empty((nodes, n_orders), np.float32), np.empty((nodes, n_orders), np.float32)
    scores = np.empty((nodes, n_angles), np.float32)
    for n in range(len(described)):
        correlate(described[n], template, first, re, im)
        top = -np.inf
        for j in range(nodes):
            scan(re[j], im[j], cosines, sines, scores[j])
            for a in range(n_angles):
                scores[j, a] += offset[n, j]
                top = max(top, scores[j, a])
        total = 0.0
        moments[n] = 0
        for j in range(nodes):
            for a in range(n_angles):
                chance = np.exp((scores[j, a] - top) / variance)
                total += chance
                if chance > _NEGLIGIBLE:
                    for m in range(n_orders):
                        moments[n, m] += chance * (cosines[a, m] + 1j * sines[a, m])
        for m in range(n_orders):
            moments[n, m] /= total
        evidence[n] = top / variance + np.log(total)

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
from scipy.special import logsumexp, softmax

from ronchi.compiled import njit
from ronchi_rvae.disc import DiscBasis
from ronchi_rvae.edges import signal_at_edge, telling_energy
from ronchi_rvae.mixture import Mixture, Responses
from ronchi_rvae.objective import scan
from ronchi_rvae.poses import angle_table, correlate

__all__ = ["all_open", "angle_lost", "over_shifts", "shift_dof"]

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


def over_shifts(
    basis: DiscBasis, described: Complex, mixture: Mixture, found: Responses, *, averaged: bool = False
) -> Responses:
    """Responses with the moments of the angle over all shifts, in classes that leave the shift open.

    Where all do, with the chances of the classes over all shifts, too.

    Parameters
    ----------
    described : (n, nodes, D) complex64
    averaged : bool
        Give `Responses.averaged` of these classes, too, and the misfit over all shifts.
    """
    is_open = _bounds(basis, mixture)[1][mixture.view_class]
    views = np.flatnonzero(is_open)
    if not len(views):
        return found
    table = angle_table(basis.n_orders)
    first = basis.first.copy()
    first[0] = 1
    energy = telling_energy(described, signal_at_edge(basis, mixture))
    nodes = np.array(basis.shifts.nodes_px)
    prior = -0.5 * (nodes**2).sum(axis=1) * mixture.variance / mixture.shift_sigma_px**2
    norms = (np.abs(mixture.views[:, 1:].astype(np.complex128)) ** 2).sum(axis=1)
    moments, misfit, evidence = found.moments.copy(), found.misfit.copy(), np.empty(found.chance.shape)
    upright: dict[int, Complex] = {}
    for view in views:
        of_view = np.zeros((len(described) * averaged, len(basis.order)), np.complex64)
        lost = np.empty(len(described))
        _sum_over_nodes(
            described,
            prior.astype(np.float32),
            energy,
            np.ascontiguousarray(mixture.views[view].astype(np.complex64)),
            first,
            np.ascontiguousarray(table.real),
            np.ascontiguousarray(table.imag),
            mixture.variance,
            moments[:, view],
            evidence[:, view],
            of_view,
            lost,
        )
        if averaged:
            upright[int(view)] = of_view
            misfit[:, view] = norms[view] + lost
    found = replace(found, moments=moments, misfit=misfit, averaged=upright)
    if not is_open.all():
        return found
    joint = evidence + np.log(mixture.view_share) - 0.5 * norms / mixture.variance
    reached = found.log_likelihood
    if averaged:
        reached = logsumexp(joint, axis=1) - 0.5 * (basis.dof - 1) * np.log(2 * np.pi * mixture.variance)
    return replace(found, chance=softmax(joint, axis=1), log_likelihood=reached)


def all_open(basis: DiscBasis, mixture: Mixture) -> bool:
    """Whether all classes leave the shift open: `over_shifts` then needs no poses, but for those that it passes on."""
    return bool(_bounds(basis, mixture)[1].all())


def _bounds(basis: DiscBasis, mixture: Mixture) -> tuple[Doubles, NDArray[np.bool_]]:
    """Variance (K,) in rad^2 that the angle loses to the shift, and where (K,) the shift is open."""
    if basis.shifts.side == 1:
        return np.zeros(mixture.size), np.zeros(mixture.size, bool)
    information = _information(basis, mixture)
    information[:, 1:, 1:] += np.eye(2) * mixture.variance / mixture.shift_sigma_px**2
    alone, across = np.maximum(information[:, 0, 0], 1e-30), information[:, 0, 1:]
    told = np.einsum("ki,ki->k", across, np.linalg.solve(information[:, 1:, 1:], across[..., None])[..., 0])
    lost = mixture.variance * (1 / np.maximum(alone - told, 1e-6 * alone) - 1 / alone)
    spread_px = np.sqrt(mixture.variance / np.linalg.eigvalsh(information[:, 1:, 1:])[:, -1])
    return lost, spread_px > _BROAD * basis.shifts.step_px


def shift_dof(basis: DiscBasis, mixture: Mixture) -> Doubles:
    """(K,) how many of the two numbers of its shift an image decides, and not the prior: it is fitted to them."""
    if basis.shifts.side == 1:
        return np.zeros(mixture.size)
    information = _information(basis, mixture)
    alone, across = np.maximum(information[:, 0, 0], 1e-30), information[:, 0, 1:]
    told = information[:, 1:, 1:] - across[:, :, None] * across[:, None, :] / alone[:, None, None]
    told = np.maximum(np.linalg.eigvalsh(told), 0.0)
    dof: Doubles = (told / (told + mixture.variance / mixture.shift_sigma_px**2)).sum(axis=1)
    return dof


def _information(basis: DiscBasis, mixture: Mixture) -> Doubles:
    """(K, 3, 3) squared slopes of the templates by angle and shift (y, x)."""
    templates = mixture.templates.astype(np.complex128)
    slopes = np.stack([1j * basis.order * templates, *basis.shift_slopes(templates)], axis=1)
    information: Doubles = np.einsum("kid,kjd->kij", slopes.conj(), slopes).real
    return information


@njit(fastmath=True)
def _sum_over_nodes(
    described: Complex,
    prior: Floats,
    energy: Floats,
    template: Complex,
    first: Ints,
    cosines: Floats,
    sines: Floats,
    variance: float,
    moments: Complex,
    evidence: Doubles,
    upright: Complex,
    lost: Doubles,
) -> None:
    n_orders, nodes, n_angles = len(first) - 1, described.shape[1], len(cosines)
    re, im = np.empty((nodes, n_orders), np.float32), np.empty((nodes, n_orders), np.float32)
    scores = np.empty((nodes, n_angles), np.float32)
    turn = np.empty((2, n_orders))
    for n in range(len(described)):
        correlate(described[n], template, first, re, im)
        top = -np.inf
        for j in range(nodes):
            scan(re[j], im[j], cosines, sines, scores[j])
            offset = prior[j] - 0.5 * energy[n, j]
            for a in range(n_angles):
                scores[j, a] += offset
                top = max(top, scores[j, a])
        total, of_scores = 0.0, 0.0
        moments[n] = 0
        for j in range(nodes):
            turn[:] = 0.0
            any_chance = False
            for a in range(n_angles):
                chance = np.exp((scores[j, a] - top) / variance)
                total += chance
                if chance > _NEGLIGIBLE:
                    any_chance = True
                    of_scores += chance * (scores[j, a] - prior[j])
                    for m in range(n_orders):
                        turn[0, m] += chance * cosines[a, m]
                        turn[1, m] += chance * sines[a, m]
            if any_chance:
                for m in range(n_orders):
                    moments[n, m] += turn[0, m] + 1j * turn[1, m]
                if len(upright):
                    for m in range(n_orders):
                        t = turn[0, m] + 1j * turn[1, m]
                        for d in range(first[m] if m else 0, first[m + 1]):
                            upright[n, d] += t * described[n, j, d]
        for m in range(n_orders):
            moments[n, m] /= total
        if len(upright):
            upright[n] /= total
        lost[n] = -2 * of_scores / total
        evidence[n] = top / variance + np.log(total)

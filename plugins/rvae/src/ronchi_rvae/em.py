"""Expectation maximisation of a mixture of templates, each seen at any angle and a small shift.

The angle is integrated over, the shift is taken at its best, and templates are averages of images turned back with
the whole posterior of their angles: an image whose angle is unsure counts for what it says and no more.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ronchi_rvae.averages import accumulate
from ronchi_rvae.certainty import all_open, over_shifts, shift_dof
from ronchi_rvae.disc import DiscBasis
from ronchi_rvae.edges import signal_at_edge
from ronchi_rvae.mixture import Mixture, Responses
from ronchi_rvae.poses import SCAN_ANGLES, STAY, Poses, fit_poses
from ronchi_rvae.shifts import interpolate

__all__ = ["breaks_symmetry", "expectation", "expected_uprights", "iterate", "maximisation", "turned_back"]

Doubles = NDArray[np.float64]
Complex = NDArray[np.complex64]

_LEAST_SHARE = 1e-6


def expectation(
    basis: DiscBasis,
    described: Complex,
    mixture: Mixture,
    *,
    angle: Doubles | None = None,
    shift_px: Doubles | None = None,
    start: int = SCAN_ANGLES,
    edge_signal: float | None = None,
) -> Responses:
    """Fit all images with all views of the templates.

    Parameters
    ----------
    described : (n, nodes, D) complex64
    angle, shift_px : (n, V) and (n, V, 2) float64, optional
        Where to start; 0 by default.
    start : int
        As in `fit_poses`.
    edge_signal : float, optional
        By default `signal_at_edge`.
    """
    n, v = len(described), len(mixture.view_class)
    poses: Poses = fit_poses(
        basis,
        described,
        mixture.views,
        np.repeat(np.arange(n), v),
        np.tile(np.arange(v), n),
        np.zeros(n * v) if angle is None else angle.reshape(-1),
        np.zeros((n * v, 2)) if shift_px is None else shift_px.reshape(-1, 2),
        variance=mixture.variance,
        shift_sigma_px=mixture.shift_sigma_px,
        edge_signal=signal_at_edge(basis, mixture) if edge_signal is None else edge_signal,
        start=start,
    )
    joint = poses.evidence.reshape(n, v) + np.log(mixture.view_share)
    top = joint.max(axis=1)
    weights = np.exp(joint - top[:, None])
    total = weights.sum(axis=1)
    return Responses(
        weights / total[:, None],
        top + np.log(total) - 0.5 * (basis.dof - 1) * math.log(2 * math.pi * mixture.variance),
        poses.angle.reshape(n, v),
        poses.shift_px.reshape(n, v, 2),
        poses.moments.reshape(n, v, -1),
        poses.misfit.reshape(n, v),
    )


def maximisation(basis: DiscBasis, described: Complex, mixture: Mixture, found: Responses) -> Mixture:
    """Templates, shares and noise that suit the responses best."""
    n, v = found.chance.shape
    shift_px = _centred(found) if basis.shifts.side > 1 else found.shift_px
    sums = np.zeros((v, len(basis.order)), np.complex128)
    accumulate(
        described,
        basis.first,
        basis.shifts.polynomials,
        basis.shifts.step_px,
        np.repeat(np.arange(n), v),
        np.tile(np.arange(v), n),
        shift_px.reshape(-1, 2),
        found.moments.reshape(n * v, -1),
        np.where(np.isin(np.arange(v), list(found.averaged)), 0.0, found.chance).reshape(-1),
        sums,
    )
    for view, upright in found.averaged.items():
        sums[view] = found.chance[:, view] @ upright
    sums[mixture.view_mirrored] = np.conj(sums[mixture.view_mirrored])
    weight = mixture.by_class(found.chance.sum(axis=0))
    templates = mixture.by_class(sums.T).T / np.maximum(weight, 1e-9)[:, None]
    share = np.maximum(weight / n, _LEAST_SHARE)
    templates[breaks_symmetry(basis.order, mixture.fold)] = 0
    return replace(
        mixture,
        templates=templates.astype(np.complex64),
        share=share / share.sum(),
        variance=_noise_variance(basis, mixture, found),
    )


def _noise_variance(basis: DiscBasis, mixture: Mixture, found: Responses) -> float:
    """Variance of the noise of a pixel, from the misfit over all poses.

    That at the best pose is less, by what the noise of an image has a say in its pose: it is the misfit over all angles
    that is given, and the shift adds its own. A template has a say in as many numbers of one image, and templates that
    share their images have it together.
    """
    chance = mixture.by_class(found.chance)
    n = len(chance) - float(((chance**2).sum(axis=0) / np.maximum(chance.sum(axis=0), 1e-9)).sum())
    of_view = (found.chance * found.misfit).sum(axis=0)
    fitted = mixture.variance * shift_dof(basis, mixture)[mixture.view_class]
    fitted[list(found.averaged)] = 0
    misfit = float((of_view + fitted * found.chance.sum(axis=0)).sum())
    return max(misfit / (max(n, 1.0) * basis.noise_dof), 1e-12)


def breaks_symmetry(order: NDArray[np.int64], fold: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(K, D) True for coefficients that a template of the given rotation symmetry does not have."""
    broken: NDArray[np.bool_] = np.where(fold[:, None] > 0, order % np.maximum(fold[:, None], 1), order) != 0
    return broken


def _centred(found: Responses) -> Doubles:
    """Shifts (n, V, 2) of which the mean, as seen from each view, is 0.

    A template off the centre by some vector, with every shift off by that vector turned, fits as well; an atom at
    a threefold site would so get an angle that it has not.
    """
    c, s = np.cos(found.angle), np.sin(found.angle)
    y, x = found.shift_px[..., 0], found.shift_px[..., 1]
    weight = np.maximum(found.chance.sum(axis=0), 1e-9)
    mean_x = (found.chance * (c * x + s * y)).sum(axis=0) / weight
    mean_y = (found.chance * (c * y - s * x)).sum(axis=0) / weight
    return np.stack([y - (s * mean_x + c * mean_y), x - (c * mean_x - s * mean_y)], axis=-1)


def iterate(
    basis: DiscBasis,
    described: Complex,
    mixture: Mixture,
    iterations: int,
    *,
    angle: Doubles | None = None,
    shift_px: Doubles | None = None,
    tolerance: float = 0.0,
    averaged: bool = False,
) -> tuple[Mixture, Responses]:
    """Repeat the two steps; every other pass looks at all angles anew.

    Parameters
    ----------
    averaged : bool
        Average images over all shifts, too, in classes that leave them open: at their best shift their noise is like
        the template, which so grows. Else noise at the edge has its say in the shift, as much as in the image: it keeps
        templates of noise from gaining by theirs, while classes are looked for.
    tolerance : float
        Stop when the mean log-likelihood of an image grows by less.
    """
    previous = -np.inf
    for step in range(iterations):
        start = STAY if step % 2 and angle is not None else SCAN_ANGLES
        edge = None if averaged else 1.0
        if not (averaged and step and all_open(basis, mixture)):
            found = expectation(
                basis, described, mixture, angle=angle, shift_px=shift_px, start=start, edge_signal=edge
            )
        if averaged:
            found = over_shifts(basis, described, mixture, found, averaged=True)
        mixture = maximisation(basis, described, mixture, found)
        angle, shift_px = found.angle, found.shift_px
        reached = float(found.log_likelihood.mean())
        if reached - previous < tolerance and step % 2:
            break
        previous = reached
    return mixture, found


def expected_uprights(
    basis: DiscBasis, described: Complex, mixture: Mixture, found: Responses, k: int
) -> tuple[Complex, Doubles]:
    """What images add to the template of a class, and how they scatter about it.

    Returns
    -------
    added : (n, D) complex64
        Each image at its expected pose, less the template, by its chance to be of the class.
    scatter : (D,) float64
        Variance of a real number of the images of the class, over all poses.
    """
    added = np.zeros((len(described), len(basis.order)), np.complex64)
    scatter, weight = np.zeros(len(basis.order)), 1e-9
    shift_px = _centred(found) if basis.shifts.side > 1 else found.shift_px
    for view in np.flatnonzero(mixture.view_class == k):
        template, chance = mixture.views[view], found.chance[:, view].astype(np.float32)
        still = interpolate(described, shift_px[:, view], basis.shifts)
        upright = found.averaged.get(int(view), still * found.moments[:, view][:, basis.order])
        # Of |turned - template|^2 over all poses only the cross term knows of them.
        cross = (chance @ upright) * np.conj(template)
        scatter += chance @ np.abs(still) ** 2 - 2 * cross.real + chance.sum() * np.abs(template) ** 2
        weight += float(chance.sum())
        difference = upright - template
        if mixture.view_mirrored[view]:
            np.conj(difference, out=difference)
        added += chance[:, None] * difference
    return added, np.maximum(scatter, 0.0) / (weight * np.where(basis.order > 0, 2, 1))


def turned_back(
    basis: DiscBasis,
    described: Complex,
    angle: Doubles,
    shift_px: Doubles,
    mirrored: NDArray[np.bool_] | None = None,
) -> Complex:
    """Coefficients (n, D) of images brought to angle 0 and shift 0, and out of the mirror where they are in it."""
    centred = interpolate(described, shift_px, basis.shifts)
    back: Complex = (centred * np.exp(1j * angle[:, None] * basis.order)).astype(np.complex64)
    if mirrored is not None:
        np.conj(back, out=back, where=mirrored[:, None])
    return back

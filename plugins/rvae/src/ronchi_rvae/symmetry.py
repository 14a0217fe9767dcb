"""Turning templates, bringing them to one frame, and their rotation symmetry."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ronchi_rvae.disc import DiscBasis
from ronchi_rvae.em import breaks_symmetry
from ronchi_rvae.mixture import Mixture
from ronchi_rvae.poses import angle_table
from ronchi_rvae.shifts import interpolate

__all__ = ["FOLDS", "correlation", "likeness", "symmetrised", "to_one_frame", "turn"]

Doubles = NDArray[np.float64]
Complex = NDArray[np.complex64]

FOLDS = (12, 8, 6, 5, 4, 3, 2)
"""Rotation symmetries that are looked for, the highest first."""


def turn(basis: DiscBasis, template: Complex, angle: float) -> Complex:
    """Coefficients (..., D) of a template turned by ``angle`` [rad] from x towards y."""
    turned: Complex = (template * np.exp(-1j * angle * basis.order)).astype(np.complex64)
    return turned


def correlation(basis: DiscBasis, fixed: Complex, moving: Complex) -> tuple[float, float]:
    """Angle by which ``moving`` is turned to be most like ``fixed``, and the squared distance that is left.

    Parameters
    ----------
    fixed, moving : (D,) complex64
    """
    by_order = np.add.reduceat(np.conj(moving) * fixed, basis.first[:-1])
    score = (angle_table(basis.n_orders) @ by_order).real
    angle = 2 * np.pi * float(np.argmax(score)) / len(score)
    m = np.arange(basis.n_orders)
    for _ in range(4):
        value = np.exp(1j * m * angle) * by_order
        bend = float((m**2 * value.real).sum())
        angle -= float((m * value.imag).sum()) / bend if bend > 0 else 0.0
    return angle, float((np.abs(fixed - turn(basis, moving, angle)) ** 2).sum())


def likeness(basis: DiscBasis, mixture: Mixture, i: int, j: int) -> tuple[float, float, Complex]:
    """How class ``j`` is most like class ``i``.

    Returns
    -------
    angle, distance : float
        As of `correlation`.
    template : (D,) complex64
        Template ``j``, or its mirror image where that is of the same class and more like ``i``.
    """
    ways = [mixture.templates[j]] + [np.conj(mixture.templates[j])] * int(mixture.has_hand[j])
    found = [(*correlation(basis, mixture.templates[i], way), way) for way in ways]
    return min(found, key=lambda one: one[1])


def to_one_frame(basis: DiscBasis, mixture: Mixture) -> Mixture:
    """Turn all templates so that they are most like the one with the largest share; take the hand that is, too."""
    reference = int(np.argmax(mixture.share))
    found = (likeness(basis, mixture, reference, k) for k in range(mixture.size))
    return replace(mixture, templates=np.stack([turn(basis, way, angle) for angle, _, way in found]))


def symmetrised(basis: DiscBasis, mixture: Mixture, n: int, *, tolerance: float = 0.02) -> Mixture:
    """Hold every template to the highest rotation symmetry that it has within the noise, about its own centre.

    A template that is its own mirror image within the noise has no hand any more.

    A template of a threefold site that is a little off its centre fits better than one that is not, since of its three
    angles one always halves the shift. It is brought back to where it is most symmetric first.

    Parameters
    ----------
    n : int
        Images that the mixture was fitted to.
    tolerance : float
        Share of the anisotropic power that may break the symmetry beyond noise.
    """
    templates, fold, handed = mixture.templates.copy(), np.ones(mixture.size, np.int64), mixture.has_hand.copy()
    for k in range(mixture.size):
        noise = mixture.variance / max(n * mixture.share[k], 1.0)
        fold[k], templates[k] = _symmetric(basis, mixture.templates[k], noise, tolerance)
        if handed[k]:
            handed[k], templates[k] = _handed(basis, templates[k], noise, tolerance)
    return replace(mixture, templates=templates, fold=fold, handed=None if mixture.handed is None else handed)


def _symmetric(basis: DiscBasis, template: Complex, variance: float, tolerance: float) -> tuple[int, Complex]:
    """Symmetry of a template, and its coefficients without what breaks it, about the best centre."""
    centres = _centres(basis)
    about = interpolate(np.repeat(basis.describe(basis.images(template[None])), len(centres), 0), centres, basis.shifts)
    power = np.abs(about.astype(np.complex128)) ** 2
    anisotropic = power[:, basis.order > 0].sum(axis=1)
    for fold in (0, *FOLDS):
        breaking = breaks_symmetry(basis.order, np.array([fold]))[0]
        lost = power[:, breaking].sum(axis=1)
        best = int(np.argmin(lost))
        count = 2 * int(breaking.sum())
        allowed = variance * (count + 4 * math.sqrt(2 * count)) + (tolerance * anisotropic[best] if fold else 0.0)
        if count and lost[best] <= allowed:
            return fold, np.where(breaking, 0, about[best])
    return 1, template


def _handed(basis: DiscBasis, template: Complex, variance: float, tolerance: float) -> tuple[bool, Complex]:
    """Whether a template differs from its mirror image, and if it does not, its mean with that."""
    mirrored = np.conj(template)
    angle, distance = correlation(basis, template, mirrored)
    present = (template != 0) & (basis.order > 0)
    # Every complex coefficient has one number that a mirror changes; the difference of the two holds it twice.
    count = int(present.sum())
    power = float((np.abs(template[present]) ** 2).sum())
    if distance / 4 > variance * (count + 4 * math.sqrt(2 * max(count, 1))) + tolerance * power:
        return True, template
    return False, (0.5 * (template + turn(basis, mirrored, angle))).astype(np.complex64)


def _centres(basis: DiscBasis) -> Doubles:
    """(c, 2) places where the centre of a template may be: within the shifts that are looked for."""
    axis = np.linspace(-1, 1, 17 if basis.shifts.side > 1 else 1) * basis.shifts.reach_px
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)

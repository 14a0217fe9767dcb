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

__all__ = ["FOLDS", "SYSTEMATIC", "correlation", "likeness", "noise_breaks", "symmetrised", "to_one_frame", "turn"]

Doubles = NDArray[np.float64]
Complex = NDArray[np.complex64]

FOLDS = (12, 8, 6, 5, 4, 3, 2)
"""Rotation symmetries that are looked for, the highest first."""
SYSTEMATIC = 0.002
"""Share of a template's anisotropic power in which two that are the same may differ beyond noise: twice what shifts by
polynomials leave."""


def turn(basis: DiscBasis, template: Complex, angle: float) -> Complex:
    """Coefficients (..., D) of a template turned by ``angle`` [rad] from x towards y."""
    turned: Complex = (template * np.exp(-1j * angle * basis.order)).astype(np.complex64)
    return turned


def correlation(basis: DiscBasis, fixed: Complex, moving: Complex) -> tuple[float, float]:
    """Angle by which ``moving`` is turned to be most like ``fixed``, and the squared distance left but for levels.

    Parameters
    ----------
    fixed, moving : (D,) complex64
    """
    fixed, moving = _without_level(fixed), _without_level(moving)
    by_order = np.add.reduceat(np.conj(moving) * fixed, basis.first[:-1])
    score = (angle_table(basis.n_orders) @ by_order).real
    angle = 2 * np.pi * float(np.argmax(score)) / len(score)
    m = np.arange(basis.n_orders)
    for _ in range(4):
        value = np.exp(1j * m * angle) * by_order
        bend = float((m**2 * value.real).sum())
        angle -= float((m * value.imag).sum()) / bend if bend > 0 else 0.0
    return angle, float((np.abs(fixed - turn(basis, moving, angle)) ** 2).sum())


def likeness(
    basis: DiscBasis, mixture: Mixture, i: int, j: int, *, off_centre: bool = False
) -> tuple[float, float, Complex]:
    """How class ``j`` is most like class ``i``.

    Parameters
    ----------
    off_centre : bool
        Look for it about every centre within the shifts, too.

    Returns
    -------
    angle, distance : float
        As of `correlation`.
    template : (D,) complex64
        Template ``j`` about the centre, or its mirror image where that is of the same class and more like ``i``.
    """
    ways = [mixture.templates[j]] + [np.conj(mixture.templates[j])] * int(mixture.has_hand[j])
    if off_centre and basis.shifts.side > 1:
        ways += [_most_alike(basis, mixture.templates[i], way) for way in ways]
    found = [(*correlation(basis, mixture.templates[i], way), way) for way in ways]
    return min(found, key=lambda one: one[1])


def _most_alike(basis: DiscBasis, fixed: Complex, moving: Complex) -> Complex:
    """Coefficients of ``moving`` about the centre about which, turned, it is most like ``fixed``."""
    about = _about_centres(basis, moving)
    turning = _without_level(about)
    by_order = np.add.reduceat(np.conj(turning) * _without_level(fixed), basis.first[:-1], axis=1)
    likeness_to = (by_order @ angle_table(basis.n_orders).T).real.max(axis=1)
    best: Complex = about[np.argmax(likeness_to - 0.5 * (np.abs(turning) ** 2).sum(axis=1))]
    return best


def _without_level(templates: Complex) -> Complex:
    made = templates.copy()
    made[..., 0] = 0
    return made


def to_one_frame(basis: DiscBasis, mixture: Mixture) -> Mixture:
    """Turn all templates so that they are most like the one with the largest share; take the hand that is, too."""
    reference = int(np.argmax(mixture.share))
    found = (likeness(basis, mixture, reference, k) for k in range(mixture.size))
    return replace(mixture, templates=np.stack([turn(basis, way, angle) for angle, _, way in found]))


def symmetrised(basis: DiscBasis, mixture: Mixture, n: int, *, tolerance: float = SYSTEMATIC) -> Mixture:
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
        of_class = max(n * mixture.share[k], 1.0)
        fold[k], templates[k] = _symmetric(basis, mixture.templates[k], mixture.variance, of_class, tolerance)
        if handed[k]:
            handed[k], templates[k] = _handed(basis, templates[k], mixture.variance, of_class, tolerance)
    return replace(mixture, templates=templates, fold=fold, handed=None if mixture.handed is None else handed)


def noise_breaks(variance: float, n: float, count: int) -> float:
    """Power by which noise alone breaks a symmetry of a template that was made of ``n`` images, at most.

    Of the angles that the symmetry leaves open each image takes the one that suits its noise, so the template grows
    along the direction in which noise scatters most: like the edge of Marchenko and Pastur, with the root of
    ``count / n``. In simulations it is 4 times that, and here 6.

    Parameters
    ----------
    variance : float
        Of the noise in an image.
    count : int
        Real numbers of the template that break the symmetry.
    """
    return variance * (count / n + 6 * math.sqrt(count / n))


def _symmetric(basis: DiscBasis, template: Complex, variance: float, n: float, tolerance: float) -> tuple[int, Complex]:
    """Symmetry of a template, and its coefficients without what breaks it, about the best centre."""
    about = _about_centres(basis, template)
    power = np.abs(about.astype(np.complex128)) ** 2
    anisotropic = power[:, basis.order > 0].sum(axis=1)
    for fold in (0, *FOLDS):
        breaking = breaks_symmetry(basis.order, np.array([fold]))[0]
        lost = power[:, breaking].sum(axis=1)
        best = int(np.argmin(lost))
        count = 2 * int(breaking.sum())
        allowed = noise_breaks(variance, n, count) + (tolerance * anisotropic[best] if fold else 0.0)
        if count and lost[best] <= allowed:
            return fold, np.where(breaking, 0, about[best])
    return 1, template


def _handed(basis: DiscBasis, template: Complex, variance: float, n: float, tolerance: float) -> tuple[bool, Complex]:
    """Whether a template differs from its mirror image, and if it does not, its mean with that."""
    mirrored = np.conj(template)
    angle, distance = correlation(basis, template, mirrored)
    present = (template != 0) & (basis.order > 0)
    # Every complex coefficient has one number that a mirror changes; the difference of the two holds it twice.
    count = int(present.sum())
    power = float((np.abs(template[present]) ** 2).sum())
    if distance / 4 > noise_breaks(variance, n, max(count, 1)) + tolerance * power:
        return True, template
    return False, (0.5 * (template + turn(basis, mirrored, angle))).astype(np.complex64)


def _about_centres(basis: DiscBasis, template: Complex) -> Complex:
    """(c, D) coefficients of a template about `_centres`."""
    centres = _centres(basis)
    # An image ends at the disc. With its level it would have an edge there that other centres see.
    described = basis.describe(basis.images(_without_level(template)[None]))
    about = interpolate(described, centres, basis.shifts)
    about[:, 0] += template[0]
    return about


def _centres(basis: DiscBasis) -> Doubles:
    """(c, 2) places where the centre of a template may be: within the shifts that are looked for."""
    axis = np.linspace(-1, 1, 17 if basis.shifts.side > 1 else 1) * basis.shifts.reach_px
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)

"""Expectation maximisation of a mixture of templates, each seen at any angle and a small shift.

The angle is integrated over, the shift is taken at its best, and templates are averages of images turned back with
the whole posterior of their angles: an image whose angle is unsure counts for what it says and no more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ronchi_rvae.averages import accumulate
from ronchi_rvae.disc import DiscBasis
from ronchi_rvae.poses import SCAN_ANGLES, STAY, Poses, fit_poses
from ronchi_rvae.shifts import interpolate

__all__ = ["Mixture", "Responses", "breaks_symmetry", "expectation", "iterate", "maximisation", "turned_back"]

Doubles = NDArray[np.float64]
Complex = NDArray[np.complex64]

_LEAST_SHARE = 1e-6


@dataclass(frozen=True)
class Mixture:
    """Templates with their shares, and the noise.

    Parameters
    ----------
    templates : (K, D) complex64
        Coefficients in a `DiscBasis`.
    share : (K,) float64
        Adds up to 1.
    variance : float
        Of the noise in a pixel.
    shift_sigma_px : float
        Standard deviation of shifts along an axis.
    fold : (K,) int64
        Rotation symmetry that each template is held to: 1 for none, 0 if it is isotropic.
    """

    templates: Complex
    share: Doubles
    variance: float
    shift_sigma_px: float
    fold: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Number of classes."""
        return len(self.share)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Give what is saved."""
        numbers = np.array([self.variance, self.shift_sigma_px])
        return {"templates": self.templates, "share": self.share, "noise": numbers, "fold": self.fold}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Undo `arrays`."""
        variance, shift_sigma_px = (float(number) for number in arrays["noise"])
        return cls(arrays["templates"], arrays["share"], variance, shift_sigma_px, arrays["fold"])


@dataclass(frozen=True)
class Responses:
    """What every template makes of every image.

    Parameters
    ----------
    chance : (n, K) float64
        Posterior of the class; rows add up to 1.
    log_likelihood : (n,) float64
        Up to a constant that depends on the variance alone.
    angle : (n, K) float64
        Most likely angle in rad.
    shift_px : (n, K, 2) float64
    moments : (n, K, M) complex64
        Posterior mean of ``exp(i m angle)``.
    misfit : (n, K) float64
    """

    chance: Doubles
    log_likelihood: Doubles
    angle: Doubles
    shift_px: Doubles
    moments: Complex
    misfit: Doubles

    def of_class(self, k: int, rows: NDArray[np.bool_]) -> tuple[Doubles, Doubles]:
        """Angles (n',) and shifts (n', 2) of the chosen images against one template."""
        return self.angle[rows, k], self.shift_px[rows, k]


def expectation(
    basis: DiscBasis,
    described: Complex,
    mixture: Mixture,
    *,
    angle: Doubles | None = None,
    shift_px: Doubles | None = None,
    start: int = SCAN_ANGLES,
) -> Responses:
    """Fit all images with all templates.

    Parameters
    ----------
    described : (n, nodes, D) complex64
    angle, shift_px : (n, K) and (n, K, 2) float64, optional
        Where to start; 0 by default.
    start : int
        As in `fit_poses`.
    """
    n, k = len(described), mixture.size
    poses: Poses = fit_poses(
        basis,
        described,
        mixture.templates,
        np.repeat(np.arange(n), k),
        np.tile(np.arange(k), n),
        np.zeros(n * k) if angle is None else angle.reshape(-1),
        np.zeros((n * k, 2)) if shift_px is None else shift_px.reshape(-1, 2),
        variance=mixture.variance,
        shift_sigma_px=mixture.shift_sigma_px,
        start=start,
    )
    joint = poses.evidence.reshape(n, k) + np.log(mixture.share)
    top = joint.max(axis=1)
    weights = np.exp(joint - top[:, None])
    total = weights.sum(axis=1)
    return Responses(
        weights / total[:, None],
        top + np.log(total) - 0.5 * basis.dof * math.log(2 * math.pi * mixture.variance),
        poses.angle.reshape(n, k),
        poses.shift_px.reshape(n, k, 2),
        poses.moments.reshape(n, k, -1),
        poses.misfit.reshape(n, k),
    )


def maximisation(basis: DiscBasis, described: Complex, mixture: Mixture, found: Responses) -> Mixture:
    """Templates, shares and noise that suit the responses best."""
    n, k = found.chance.shape
    shift_px = _centred(found) if basis.shifts.side > 1 else found.shift_px
    sums = np.zeros(mixture.templates.shape, np.complex128)
    accumulate(
        described,
        basis.first,
        basis.shifts.polynomials,
        basis.shifts.step_px,
        np.repeat(np.arange(n), k),
        np.tile(np.arange(k), n),
        shift_px.reshape(-1, 2),
        found.moments.reshape(n * k, -1),
        found.chance.reshape(-1),
        sums,
    )
    weight = found.chance.sum(axis=0)
    templates = sums / np.maximum(weight, 1e-9)[:, None]
    share = np.maximum(weight / n, _LEAST_SHARE)
    templates[breaks_symmetry(basis.order, mixture.fold)] = 0
    return replace(
        mixture,
        templates=templates.astype(np.complex64),
        share=share / share.sum(),
        variance=max(float((found.chance * found.misfit).sum() / (n * basis.dof)), 1e-12),
    )


def breaks_symmetry(order: NDArray[np.int64], fold: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(K, D) True for coefficients that a template of the given rotation symmetry does not have."""
    broken: NDArray[np.bool_] = np.where(fold[:, None] > 0, order % np.maximum(fold[:, None], 1), order) != 0
    return broken


def _centred(found: Responses) -> Doubles:
    """Shifts (n, K, 2) of which the mean, as seen from the template, is 0.

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
) -> tuple[Mixture, Responses]:
    """Repeat the two steps; every other pass looks at all angles anew.

    Parameters
    ----------
    tolerance : float
        Stop when the mean log-likelihood of an image grows by less.
    """
    previous = -np.inf
    for step in range(iterations):
        start = STAY if step % 2 and angle is not None else SCAN_ANGLES
        found = expectation(basis, described, mixture, angle=angle, shift_px=shift_px, start=start)
        mixture = maximisation(basis, described, mixture, found)
        angle, shift_px = found.angle, found.shift_px
        reached = float(found.log_likelihood.mean())
        if reached - previous < tolerance and step % 2:
            break
        previous = reached
    return mixture, found


def turned_back(basis: DiscBasis, described: Complex, angle: Doubles, shift_px: Doubles) -> Complex:
    """Coefficients (n, D) of images brought to angle 0 and shift 0."""
    centred = interpolate(described, shift_px, basis.shifts)
    back: Complex = (centred * np.exp(1j * angle[:, None] * basis.order)).astype(np.complex64)
    return back

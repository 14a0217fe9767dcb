"""One class, angle and shift for every image, from what all templates make of it.

The templates share one frame, so the posterior of the angle is summed over classes. An image of a site that has lost
one of three like neighbours may be taken for one that has them all: its angle is then still the one that the
template with the lost neighbour gives, out of the three that the threefold template leaves open.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ronchi_rvae.certainty import angle_lost
from ronchi_rvae.disc import DiscBasis
from ronchi_rvae.mixture import Mixture, Responses
from ronchi_rvae.poses import angle_table, gaussian_over_grid

__all__ = ["Pose", "best_poses", "common_fold", "mirror_chance", "wrapped"]

Doubles = NDArray[np.float64]


class Pose(NamedTuple):
    """Class and pose of images.

    Parameters
    ----------
    label : (n,) int64
    angle : (n,) float64
        In rad, from 0 to the period that all classes share; NaN if the template is isotropic.
    resultant : (n,) float64
        Posterior mean of the cosine of ``fold`` times the error of the angle: 1 if that is certain, 0 if it is open.
    shift_px : (n, 2) float64
    mirrored : (n,) bool
        Seen in the mirror: the image is the template with y reversed, then turned, then shifted.
    """

    label: NDArray[np.int64]
    angle: Doubles
    resultant: Doubles
    shift_px: Doubles
    mirrored: NDArray[np.bool_]


def best_poses(basis: DiscBasis, mixture: Mixture, found: Responses, *, other_hand: bool = False) -> Pose:
    """Most likely class, its more likely hand, and the most likely pose of that.

    Parameters
    ----------
    other_hand : bool
        Take the less likely hand, where the class has one.
    """
    rows = np.arange(len(found.chance))
    label = mixture.by_class(found.chance).argmax(axis=1)
    view = found.best_view(mixture, label, other=other_hand)
    mirrored, fold = mixture.view_mirrored[view], mixture.fold[label]
    # Views of the other hand say nothing about the angle: it is measured from another image.
    moments = np.zeros((len(rows), found.moments.shape[2]), np.complex128)
    for hand in np.unique(mirrored):
        of_hand = mixture.view_mirrored == hand
        chosen = mirrored == hand
        moments[chosen] = np.einsum(
            "nv,nvm->nm",
            found.chance[np.ix_(chosen, of_hand)],
            found.moments[np.ix_(chosen, of_hand)].astype(np.complex128),
        )
    sure = np.maximum(moments[:, 0].real, 1e-12)[:, None]
    moments /= sure
    angle = _resolved(found.angle[rows, view], fold, moments)
    angle[fold == 0] = np.nan
    ends = moments[rows, np.minimum(fold, moments.shape[1] - 1)] * np.exp(-1j * fold * np.nan_to_num(angle))
    resultant = np.maximum(ends.real, 0.0)
    resultant *= (_beyond_grid(basis, mixture) * np.exp(-0.5 * mixture.fold**2 * angle_lost(basis, mixture)))[label]
    resultant[fold == 0] = 0
    return Pose(label, wrapped(angle, mixture), resultant, found.shift_px[rows, view], mirrored)


def mirror_chance(mixture: Mixture, found: Responses) -> Doubles:
    """(n,) probability of being seen in the mirror; classes without a hand leave it open."""
    open_chance = 0.5 * found.chance[:, : mixture.size][:, ~mixture.has_hand].sum(axis=1)
    chance: Doubles = found.chance[:, mixture.view_mirrored].sum(axis=1) + open_chance
    return chance


def wrapped(angle: Doubles, mixture: Mixture) -> Doubles:
    """Angles from 0 to the period that all classes share."""
    period = 2 * math.pi / common_fold(mixture)
    return np.asarray(angle % period)


def common_fold(mixture: Mixture) -> int:
    """Symmetry up to which the angles of all classes are defined: the largest that divides those of all."""
    return math.gcd(*(int(fold) for fold in mixture.fold if fold)) or 1


def _resolved(angle: Doubles, fold: NDArray[np.int64], moments: NDArray[np.complex128]) -> Doubles:
    """Of the ``fold`` angles that a symmetric template cannot tell apart, the one that all classes favour."""
    best, chosen = np.full(len(angle), -np.inf), angle.copy()
    orders = np.arange(moments.shape[1])
    for turn in range(int(fold.max(initial=1))):
        candidate = angle + 2 * np.pi * turn / np.maximum(fold, 1)
        density = (moments * np.exp(-1j * candidate[:, None] * orders)).real.sum(axis=1)
        # A tie is left at the first, so that rounding does not decide.
        better = (turn < np.maximum(fold, 1)) & (density > best + 1e-6)
        best[better], chosen[better] = density[better], candidate[better]
    return chosen


def _beyond_grid(basis: DiscBasis, mixture: Mixture) -> Doubles:
    """(K,) of the resultant, what the grid of angles is too coarse to see of how sharp a maximum is."""
    step = 2 * math.pi / len(angle_table(basis.n_orders))
    width = np.sqrt(_angle_variance(basis, mixture)) / step
    return np.array(
        [
            gaussian_over_grid(w, fold * step) / gaussian_over_grid(w, 0.0)
            for w, fold in zip(width, mixture.fold, strict=True)
        ]
    )


def _angle_variance(basis: DiscBasis, mixture: Mixture) -> Doubles:
    """(K,) Cramer-Rao bound of the angle in rad^2 for every template."""
    slope = (basis.order**2 * np.abs(mixture.templates.astype(np.complex128)) ** 2).sum(axis=1)
    bound: Doubles = mixture.variance / np.maximum(slope, 1e-30)
    return bound

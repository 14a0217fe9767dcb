"""Changes of a mixture that expectation maximisation cannot make: split a class, merge two, turn them alike.

A class is split along the direction in which its images, turned back, scatter more than noise can: noise alone
has no eigenvalue above variance * (1 + sqrt(dof / n))^2 (Marchenko & Pastur 1967, doi:10.1070/SM1967v001n04ABEH001994).
Two classes are merged if, as one class, they would not be split: the number of classes is found and not asked for.
The level of an image, its first coefficient, has no say in either: a background that comes and goes is no structure.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from ronchi_rvae.disc import DiscBasis
from ronchi_rvae.em import turned_back
from ronchi_rvae.mixture import Mixture, Responses
from ronchi_rvae.symmetry import likeness, turn

__all__ = ["Scatter", "merge_alike", "noise_edge", "scatter", "split"]

Doubles = NDArray[np.float64]
Complex = NDArray[np.complex64]

CLEARLY = 1.03
"""An eigenvalue counts if it is above the edge by this factor; fluctuations of the edge are of a percent or two."""
_ALIKE = 1.15
"""Two classes are merged if as one they would be above the edge by less: it has to be easier than to split them."""


class Scatter(NamedTuple):
    """How the images of a class scatter about its template.

    Parameters
    ----------
    excess : float
        Largest eigenvalue over the noise edge: structure where clearly above 1.
    direction : (D,) complex64
        Its eigenvector, of length 1.
    spread : float
        Standard deviation along it, less the noise's.
    n : float
        Images in the class.
    """

    excess: float
    direction: Complex
    spread: float
    n: float


def noise_edge(variance: float, dof: int, n: float) -> float:
    """Largest eigenvalue of the covariance of ``n`` vectors of white noise with ``dof`` entries."""
    return variance * (1 + math.sqrt(dof / max(n, 1.0))) ** 2


def scatter(basis: DiscBasis, described: Complex, mixture: Mixture, found: Responses, k: int) -> Scatter:
    """Principal direction of a class's residuals; an empty class has none."""
    rows = np.flatnonzero(mixture.by_class(found.chance)[:, k] > 0.5)
    n = len(rows)
    if n < 8:
        return Scatter(0.0, np.zeros_like(mixture.templates[k]), 0.0, n)
    view = found.best_view(mixture, np.full(len(found.chance), k))[rows]
    pose = found.angle[rows, view], found.shift_px[rows, view], mixture.view_mirrored[view]
    residual = turned_back(basis, described[rows], *pose) - mixture.templates[k]
    residual[:, 0] = 0
    factor = basis.noise_factor
    white = solve_triangular(factor, basis.as_real(residual).T.astype(float), lower=True)
    variance = mixture.variance * basis.dof / float((factor**2).sum())
    values, vectors = np.linalg.eigh(white @ white.T / n)
    excess = float(values[-1]) / noise_edge(variance, basis.dof, n)
    direction = factor @ vectors[:, -1]
    length = float(np.linalg.norm(direction))
    spread = length * math.sqrt(max(float(values[-1]) - variance, 0.0))
    return Scatter(excess, basis.from_real(direction[None] / length)[0], spread, n)


def split(mixture: Mixture, found: Responses, k: int, along: Scatter) -> tuple[Mixture, Doubles, Doubles]:
    """Replace a class by two, one standard deviation to either side.

    Returns
    -------
    mixture : Mixture
        The second half is the last class.
    angle, shift_px : (n, V) and (n, V, 2) float64
        Poses of the new views to go on from.
    """
    step = along.spread * along.direction
    templates = np.concatenate([mixture.templates, (mixture.templates[k] - step)[None]])
    templates[k] += step
    share = np.append(mixture.share, mixture.share[k] / 2)
    share[k] /= 2
    fold = np.ones(len(share), np.int64)
    halves = replace(mixture, templates=templates, share=share, fold=fold, handed=_append(mixture.handed, k))
    # The views of the second half go on from the poses of those of the first.
    of_class = np.where(halves.view_class == mixture.size, k, halves.view_class)
    number = {(c, m): i for i, (c, m) in enumerate(zip(mixture.view_class, mixture.view_mirrored, strict=True))}
    columns = [number[view] for view in zip(of_class, halves.view_mirrored, strict=True)]
    return halves, found.angle[:, columns], found.shift_px[:, columns]


def merge_alike(basis: DiscBasis, mixture: Mixture, n: int, *, at_least: int | None = None) -> Mixture:
    """Merge classes that are turned copies of each other, the closest first.

    Parameters
    ----------
    n : int
        Images that the mixture was fitted to.
    at_least : int, optional
        Merge the closest until so many are left, alike or not, and no further. By default classes are merged while
        the two together would scatter no more than noise.

    """
    while mixture.size > max(1, at_least or 1):
        best = min((_excess_together(basis, mixture, i, j, n), i, j) for j in range(mixture.size) for i in range(j))
        excess, i, j = best
        if at_least is None and excess > _ALIKE:
            break
        mixture = _merge(basis, mixture, i, j)
    return mixture


def _excess_together(basis: DiscBasis, mixture: Mixture, i: int, j: int, n: int) -> float:
    """Largest eigenvalue of the two classes as one, over the noise edge."""
    _, distance, other = likeness(basis, mixture, i, j)
    distance -= float(abs(mixture.templates[i, 0] - other[0]) ** 2)
    both = mixture.share[i] + mixture.share[j]
    part = mixture.share[i] / both
    return float(mixture.variance + part * (1 - part) * distance) / noise_edge(mixture.variance, basis.dof, n * both)


def _merge(basis: DiscBasis, mixture: Mixture, i: int, j: int) -> Mixture:
    angle, _, other = likeness(basis, mixture, i, j)
    both = mixture.share[i] + mixture.share[j]
    part = mixture.share[i] / both
    templates, share = mixture.templates.copy(), mixture.share.copy()
    templates[i] = part * templates[i] + (1 - part) * turn(basis, other, angle)
    share[i] = both
    fold = mixture.fold.copy()
    fold[i] = fold[i] if fold[i] == fold[j] else 1
    handed = None if mixture.handed is None else np.delete(mixture.handed, j)
    return replace(
        mixture,
        templates=np.delete(templates, j, 0),
        share=np.delete(share, j),
        fold=np.delete(fold, j),
        handed=handed,
    )


def _append(handed: NDArray[np.bool_] | None, k: int) -> NDArray[np.bool_] | None:
    return None if handed is None else np.append(handed, handed[k])

"""Changes of a mixture that expectation maximisation cannot make: split a class, merge two, turn them alike.

A class is split along the direction in which its images, turned back, scatter more than noise can: noise alone
has no eigenvalue above variance * (1 + sqrt(dof / n))^2 (Marchenko & Pastur 1967, doi:10.1070/SM1967v001n04ABEH001994).
Two classes are merged if, as one class, they would not be split: the number of classes is found and not asked for.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ronchi_rvae.disc import DiscBasis
from ronchi_rvae.em import Mixture, Responses, turned_back
from ronchi_rvae.symmetry import correlation, turn

__all__ = ["Scatter", "merge_alike", "noise_edge", "scatter", "split"]

Doubles = NDArray[np.float64]
Complex = NDArray[np.complex64]

CLEARLY = 1.15
"""An eigenvalue counts if it is above the edge by this factor; fluctuations of the edge are a few percent."""


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
    rows = found.chance[:, k] > 0.5
    n = int(rows.sum())
    if n < 8:
        return Scatter(0.0, np.zeros_like(mixture.templates[k]), 0.0, n)
    residual = turned_back(basis, described[rows], *found.of_class(k, rows)) - mixture.templates[k]
    real = basis.as_real(residual).astype(float)
    values, vectors = np.linalg.eigh(real.T @ real / n)
    direction = basis.from_real(vectors[:, -1:].T)[0]
    excess = values[-1] / noise_edge(mixture.variance, basis.dof, n)
    return Scatter(float(excess), direction, math.sqrt(max(float(values[-1]) - mixture.variance, 0.0)), n)


def split(mixture: Mixture, found: Responses, k: int, along: Scatter) -> tuple[Mixture, Doubles, Doubles]:
    """Replace a class by two, one standard deviation to either side.

    Returns
    -------
    mixture : Mixture
        The second half is the last class.
    angle, shift_px : (n, K + 1) and (n, K + 1, 2) float64
        Poses to go on from.
    """
    step = along.spread * along.direction
    templates = np.concatenate([mixture.templates, (mixture.templates[k] - step)[None]])
    templates[k] += step
    share = np.append(mixture.share, mixture.share[k] / 2)
    share[k] /= 2
    columns = [*range(mixture.size), k]
    fold = np.ones(len(share), np.int64)
    return (
        replace(mixture, templates=templates, share=share, fold=fold),
        found.angle[:, columns],
        found.shift_px[:, columns],
    )


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
        if at_least is None and excess > CLEARLY:
            break
        mixture = _merge(basis, mixture, i, j)
    return mixture


def _excess_together(basis: DiscBasis, mixture: Mixture, i: int, j: int, n: int) -> float:
    """Largest eigenvalue of the two classes as one, over the noise edge."""
    _, distance = correlation(basis, mixture.templates[i], mixture.templates[j])
    both = mixture.share[i] + mixture.share[j]
    part = mixture.share[i] / both
    return float(mixture.variance + part * (1 - part) * distance) / noise_edge(mixture.variance, basis.dof, n * both)


def _merge(basis: DiscBasis, mixture: Mixture, i: int, j: int) -> Mixture:
    angle, _ = correlation(basis, mixture.templates[i], mixture.templates[j])
    both = mixture.share[i] + mixture.share[j]
    part = mixture.share[i] / both
    templates, share = mixture.templates.copy(), mixture.share.copy()
    templates[i] = part * templates[i] + (1 - part) * turn(basis, templates[j], angle)
    share[i] = both
    fold = np.ones(len(share) - 1, np.int64)
    return replace(mixture, templates=np.delete(templates, j, 0), share=np.delete(share, j), fold=fold)

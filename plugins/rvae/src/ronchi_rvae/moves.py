"""Changes of a mixture that expectation maximisation cannot make: split a class, merge two, turn them alike.

A class is split along the direction in which its images, turned back, scatter more than noise can: noise alone
has no eigenvalue above variance * (1 + sqrt(dof / n))^2 (Marchenko & Pastur 1967, doi:10.1070/SM1967v001n04ABEH001994),
once it was made white. The noise is that of the class, and of every pixel of it.
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
from ronchi_rvae.poses import angle_table
from ronchi_rvae.symmetry import SYSTEMATIC, likeness, turn

__all__ = ["Scatter", "clearly_above", "merge_alike", "noise_edge", "scatter", "split"]

Doubles = NDArray[np.float64]
Complex = NDArray[np.complex64]

_FLUCTUATIONS = 3.3
"""Of the largest eigenvalue of noise, in units of Tracy and Widom: one in a thousand is larger."""
_CLEANED = 4
"""How often structure is taken out of what the noise is estimated from."""
_RESOLVED = 0.1
"""Below such last moments the Fourier series of a posterior is nearly complete."""
_LARGEST_FOLD = 6
"""Where a symmetric template leaves so many angles open, only multiples of it have moments, however sharp they are."""
_GOLDEN = (math.sqrt(5) - 1) / 2
_ALIKE = 1.15
"""Two classes are merged if as one they would be above the edge by less: it has to be easier than to split them."""


class Scatter(NamedTuple):
    """How the images of a class scatter about its template.

    Parameters
    ----------
    excess : float
        Largest eigenvalue over the noise edge.
    clearly : float
        From which excess on it is structure.
    direction : (D,) complex64
        Its eigenvector, of length 1.
    spread : float
        Standard deviation along it, less the noise's.
    n : float
        Images in the class.
    """

    excess: float
    clearly: float
    direction: Complex
    spread: float
    n: float


def noise_edge(variance: float, dof: int, n: float) -> float:
    """Largest eigenvalue of the covariance of ``n`` vectors of white noise with ``dof`` entries."""
    return variance * (1 + math.sqrt(dof / max(n, 1.0))) ** 2


def clearly_above(dof: int, n: float) -> float:
    """Factor above the edge that noise hardly reaches (Johnstone 2001, doi:10.1214/aos/1009210544).

    Parameters
    ----------
    dof, n : int
        As in `noise_edge`.
    """
    roots = math.sqrt(n) + math.sqrt(dof)
    return 1 + _FLUCTUATIONS * (1 / math.sqrt(n) + 1 / math.sqrt(dof)) ** (1 / 3) / roots


def scatter(basis: DiscBasis, described: Complex, mixture: Mixture, found: Responses, k: int) -> Scatter:
    """Principal direction of a class's residuals; an empty class has none."""
    rows = np.flatnonzero(mixture.by_class(found.chance)[:, k] > 0.5)
    n = len(rows)
    if n < 8:
        return Scatter(0.0, 1.0, np.zeros_like(mixture.templates[k]), 0.0, n)
    view = found.best_view(mixture, np.full(len(found.chance), k))[rows]
    angle = _drawn(found.angle[rows, view], found.moments[rows, view])
    pose = angle, found.shift_px[rows, view], mixture.view_mirrored[view]
    residual = basis.as_real(turned_back(basis, described[rows], *pose) - mixture.templates[k]).astype(float)
    residual[:, 0] = 0
    covariance = residual.T @ residual / n
    if np.trace(covariance) <= 1e-10 * float((np.abs(mixture.templates[k, 1:]) ** 2).sum()):
        return Scatter(0.0, 1.0, np.zeros_like(mixture.templates[k]), 0.0, n)
    edge, clearly, quiet = noise_edge(1.0, basis.dof - 1, n), clearly_above(basis.dof - 1, n), covariance
    noise = basis.noise_model(mixture.templates[k])
    for _ in range(_CLEANED):
        values, ways = _beside_noise(covariance[1:, 1:], noise(quiet)[1:, 1:])
        large = values > clearly * edge
        if not large.any():
            break
        # Structure scatters in its pixels, too: without it there is less noise, and more that goes beyond.
        structure = ways[:, large] * np.sqrt(values[large] - 1)
        quiet = covariance.copy()
        quiet[1:, 1:] -= structure @ structure.T
    length = max(float(np.linalg.norm(ways[:, -1])), 1e-300)
    direction = np.concatenate([[0.0], ways[:, -1] / length])
    spread = length * math.sqrt(max(float(values[-1]) - 1, 0.0))
    return Scatter(float(values[-1]) / edge, clearly, basis.from_real(direction[None])[0], spread, n)


def _drawn(angle: Doubles, moments: Complex) -> Doubles:
    """Angles (n,) drawn from their posteriors, where noise leaves them so open that the moments (n, M) tell all of it.

    Turned back by its likeliest angle, an image of noise is more like the template than over all of its angles, and the
    class would scatter along its template.
    """
    chosen = angle.copy()
    is_open = np.abs(moments[:, 1:][:, -_LARGEST_FOLD:]).max(axis=1, initial=0.0) < _RESOLVED
    if is_open.any():
        table = angle_table(moments.shape[1])
        moments = moments[is_open].astype(np.complex128)
        density = np.maximum((moments @ table.conj().T).real - 0.5, 0.0)
        share = np.cumsum(density, axis=1)
        # Evenly spread instead of random.
        at = (np.arange(len(moments)) * _GOLDEN % 1.0) * share[:, -1]
        chosen[is_open] = 2 * np.pi * (share < at[:, None]).sum(axis=1) / len(table)
    return chosen


def _beside_noise(covariance: Doubles, noise: Doubles) -> tuple[Doubles, Doubles]:
    """Variances, ascending, in units of the noise's, and the directions (dof, dof) that have them, as columns."""
    factor = np.linalg.cholesky(noise + 1e-12 * np.trace(noise) * np.eye(len(noise)))
    half = solve_triangular(factor, covariance, lower=True)
    values, vectors = np.linalg.eigh(solve_triangular(factor, half.T, lower=True))
    return values, factor @ vectors


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
    _, distance, _ = likeness(basis, mixture, i, j, off_centre=True)
    anisotropic = float((np.abs(mixture.templates[i, basis.order > 0]) ** 2).sum())
    distance = max(0.0, distance - SYSTEMATIC * anisotropic)
    both = mixture.share[i] + mixture.share[j]
    part = mixture.share[i] / both
    return float(mixture.variance + part * (1 - part) * distance) / noise_edge(mixture.variance, basis.dof, n * both)


def _merge(basis: DiscBasis, mixture: Mixture, i: int, j: int) -> Mixture:
    angle, _, other = likeness(basis, mixture, i, j, off_centre=True)
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

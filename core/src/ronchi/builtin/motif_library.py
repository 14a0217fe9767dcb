"""Neighbourhoods of atoms as coordinates: graphene with its defects, MoS2-like, square, a glyph.

Lengths are in bond lengths, rows are (y, x, peak), the peak of an ordinary atom is 1, and the atom or site that a
crop is centred on lies at the origin. At angle 0 the direction that tells the orientation is +x.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial import cKDTree

__all__ = ["MOTIFS", "Motif", "motif_atoms"]

Array = NDArray[np.float64]

_SILICON_PEAK = 1.8
_SULFUR_PEAK = 0.6
_SILICON_PUSH = 0.18
"""Outward displacement of the three neighbours, in bond lengths; it falls off with the distance."""
_TWIST_DEG = 12.0
_RELAXED = 7
"""Radius within which the atoms around a turned bond give way; the same for all windows."""


@dataclass(frozen=True)
class Motif:
    """A neighbourhood and its symmetry.

    Parameters
    ----------
    n_fold : int
        Rotations by 2 pi / ``n_fold`` leave it as it is.
    make : callable
        Gives the (n, 3) atoms within a radius in bond lengths.
    """

    n_fold: int
    make: Callable[[float], Array]


def motif_atoms(name: str, reach: float) -> Array:
    """Atoms of a motif within ``reach`` bond lengths.

    Parameters
    ----------
    name : str
        Key of `MOTIFS`.

    Returns
    -------
    (n, 3) float64
        y, x and peak.
    """
    return _within(MOTIFS[name].make(reach), reach)


def _within(atoms: Array, reach: float) -> Array:
    return atoms[np.hypot(atoms[:, 0], atoms[:, 1]) <= reach]


def _honeycomb(reach: float, second_peak: float = 1.0) -> Array:
    """Honeycomb with an atom at the origin and its neighbours at 0, 120 and 240 degrees."""
    n = math.ceil(reach) + 2
    i, j = (index.ravel() for index in np.meshgrid(np.arange(-n, n + 1), np.arange(-n, n + 1), indexing="ij"))
    y, x = math.sqrt(3) / 2 * (i - j), 1.5 * (i + j)
    first = np.stack([y, x, np.ones(len(x))], 1)
    second = np.stack([y, x + 1, np.full(len(x), second_peak)], 1)
    return _within(np.concatenate([first, second]), reach + 2)


def _at(atoms: Array, y: float, x: float) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.hypot(atoms[:, 0] - y, atoms[:, 1] - x) < 0.1
    return found


def _missing_neighbour(reach: float) -> Array:
    atoms = _honeycomb(reach)
    return atoms[~_at(atoms, 0, 1)]


def _vacancy(reach: float) -> Array:
    atoms = _honeycomb(reach)
    return atoms[~_at(atoms, 0, 0)]


def _silicon(reach: float) -> Array:
    atoms = _honeycomb(reach)
    distance = np.hypot(atoms[:, 0], atoms[:, 1])
    centre = distance < 0.1
    atoms[~centre, :2] *= (1 + _SILICON_PUSH / distance[~centre] ** 2)[:, None]
    atoms[centre, 2] = _SILICON_PEAK
    return atoms


def _silicon_in_divacancy(reach: float) -> Array:
    atoms = _honeycomb(reach + 1)
    atoms = atoms[~_at(atoms, 0, 0) & ~_at(atoms, 0, 1)] - (0, 0.5, 0)
    return np.concatenate([atoms, [[0, 0, _SILICON_PEAK]]])


def _zigzag_edge(reach: float) -> Array:
    atoms = _honeycomb(reach)
    return atoms[atoms[:, 1] < 0.25]


def _armchair_edge(reach: float) -> Array:
    atoms = _honeycomb(reach)
    return atoms[atoms[:, 0] < 0.4]


def _stone_wales_bond(reach: float) -> Array:
    """5-7-7-5 defect: one bond turned by 90 degrees, the rest relaxed; centred on the bond, which lies along x."""
    return _relaxed_stone_wales(math.ceil(reach)).copy()


def _stone_wales_atom(reach: float) -> Array:
    """The same, centred on an atom of the turned bond; the other one is at angle 0."""
    atoms = _relaxed_stone_wales(math.ceil(reach) + 1)
    left = atoms[np.argmin(np.hypot(atoms[:, 0], atoms[:, 1] + 0.5))]
    return atoms - (left[0], left[1], 0)


@functools.lru_cache(maxsize=8)
def _relaxed_stone_wales(reach: int) -> Array:
    """Springs along bonds (rest length 1) and, four times softer, across angles (rest length sqrt 3)."""
    atoms = _honeycomb(max(reach, _RELAXED) + 1)
    first, second = int(np.flatnonzero(_at(atoms, 0, 0))[0]), int(np.flatnonzero(_at(atoms, 0, 1))[0])
    where = atoms[:, :2] - (0, 0.5)
    bonds = cKDTree(where).query_pairs(1.1)
    bonds = {pair for pair in bonds if not ({first, second} & set(pair) and {first, second} != set(pair))}
    for atom, side in ((first, -1.0), (second, 1.0)):
        where[atom] = side * 0.5, 0.0
        ends = np.flatnonzero(_at_any(where, [(side * math.sqrt(3) / 2, x) for x in (-1.0, 1.0)]))
        bonds |= {(min(atom, int(end)), max(atom, int(end))) for end in ends}
    springs, stiffness, rest = _springs(len(where), sorted(bonds))
    free = np.hypot(where[:, 0], where[:, 1]) < _RELAXED

    def energy(flat: Array) -> tuple[float, Array]:
        at = where.copy()
        at[free] = flat.reshape(-1, 2)
        apart = at[springs[:, 0]] - at[springs[:, 1]]
        length = np.hypot(apart[:, 0], apart[:, 1])
        stretch = stiffness * (length - rest)
        force = (stretch / length)[:, None] * apart
        slope = np.zeros_like(at)
        np.add.at(slope, springs[:, 0], force)
        np.add.at(slope, springs[:, 1], -force)
        return float(0.5 * (stretch * (length - rest)).sum()), slope[free].ravel()

    where[free] = minimize(
        energy, where[free].ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 2000}
    ).x.reshape(-1, 2)
    # The turned bond lies along y so far; a quarter turn brings it to x.
    return np.stack([-where[:, 1], where[:, 0], atoms[:, 2]], 1)


def _at_any(where: Array, points: list[tuple[float, float]]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.any([np.hypot(*(where - point).T) < 0.1 for point in points], axis=0)
    return found


def _springs(n: int, bonds: list[tuple[int, int]]) -> tuple[NDArray[np.int64], Array, Array]:
    """Pairs of atoms, their stiffness and rest length: bonds, and pairs with a common neighbour."""
    neighbours: list[list[int]] = [[] for _ in range(n)]
    for a, b in bonds:
        neighbours[a].append(b)
        neighbours[b].append(a)
    across = sorted({(a, b) for around in neighbours for a in around for b in around if a < b})
    pairs = np.array([*bonds, *across], np.int64)
    stiff = np.repeat([1.0, 0.25], [len(bonds), len(across)])
    return pairs, stiff, np.repeat([1.0, math.sqrt(3)], [len(bonds), len(across)])


def _mos2(reach: float) -> Array:
    return _honeycomb(reach, _SULFUR_PEAK)


def _twisted_mos2(reach: float, sign: int) -> Array:
    """The inner three sulfur sites turned about the centre: chiral, and the mirror image of the other sign."""
    atoms = _mos2(reach)
    inner = np.abs(np.hypot(atoms[:, 0], atoms[:, 1]) - 1) < 0.1
    c, s = math.cos(math.radians(_TWIST_DEG)), sign * math.sin(math.radians(_TWIST_DEG))
    y, x = atoms[inner, 0], atoms[inner, 1]
    atoms[inner, 0], atoms[inner, 1] = s * x + c * y, c * x - s * y
    return atoms


def _square(reach: float) -> Array:
    n = math.ceil(reach)
    y, x = (index.ravel().astype(float) for index in np.meshgrid(*[np.arange(-n, n + 1)] * 2, indexing="ij"))
    return np.stack([y, x, np.ones(len(x))], 1)


def _f_glyph(reach: float) -> Array:
    places = [*((y, -1) for y in (-2, -1, 0, 1, 2)), (-2, 0), (-2, 1), (0, 0)]
    return np.array([(0.6 * y, 0.6 * x, 1.0) for y, x in places])


MOTIFS: dict[str, Motif] = {
    "pristine": Motif(3, _honeycomb),
    "missing-neighbour": Motif(1, _missing_neighbour),
    "silicon": Motif(3, _silicon),
    "stone-wales": Motif(1, _stone_wales_atom),
    "5-7-7-5": Motif(2, _stone_wales_bond),
    "vacancy": Motif(3, _vacancy),
    "silicon-4c": Motif(2, _silicon_in_divacancy),
    "zigzag-edge": Motif(1, _zigzag_edge),
    "armchair-edge": Motif(1, _armchair_edge),
    "mos2": Motif(3, _mos2),
    "mos2-twisted-left": Motif(3, functools.partial(_twisted_mos2, sign=-1)),
    "mos2-twisted-right": Motif(3, functools.partial(_twisted_mos2, sign=1)),
    "square": Motif(4, _square),
    "f-glyph": Motif(1, _f_glyph),
}
"""Name of a motif, as in a pipeline, to what it is."""

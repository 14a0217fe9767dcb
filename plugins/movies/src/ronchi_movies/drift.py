"""How a sheet of atoms as a whole moves and turns from one frame to the next, from the positions alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, uniform_filter
from scipy.spatial import cKDTree

from ronchi_movies.assignment import pair_off

__all__ = ["LEAST_ATOMS", "Motion", "motion_between"]

Floats = NDArray[np.float64]

_BINS = 6
"""Bins a spacing of the histogram of displacements."""
_CANDIDATES = 16
"""Peaks of the histogram that are looked at: those of neighbouring lattice vectors are nearly as high."""
_INSIDE, _ROUGHLY = 1 / 3, 0.45
"""An atom so close to another, in spacings, covers it; half a spacing is as far as it gets in a lattice. Displacements
are compared with more room, so that noise uncovers few."""
_SAME = 0.75
"""Two atoms so close, in spacings, that nothing covers are one that noise has moved; it would be missed both ways."""
_CLEARLY = 3.0
"""By so many standard deviations more atoms must be covered for a longer displacement to be taken."""
_LEAST_MATCH = 0.25
"""Part of the way from what chance covers to all that must be covered at least: less is no motion of the same sheet."""
_ROUNDS = 12
LEAST_ATOMS = 3
"""Of fewer no motion is read off."""


@dataclass(frozen=True)
class Motion:
    """A rotation about ``pivot``, then a shift.

    Parameters
    ----------
    turn : float
        In rad, from x towards y.
    shift, pivot : (2,) float
        (y, x), in the units of the positions.
    """

    turn: float
    shift: Floats
    pivot: Floats

    def apply(self, points: Floats) -> Floats:
        """(n, 2) points moved."""
        moved: Floats = _turned(points - self.pivot, self.turn) + self.pivot + self.shift
        return moved

    def undo(self, points: Floats) -> Floats:
        """(n, 2) points moved back."""
        back: Floats = _turned(points - self.pivot - self.shift, -self.turn) + self.pivot
        return back

    def then(self, later: Motion) -> Motion:
        """Follow it by another motion about the same pivot."""
        return Motion(self.turn + later.turn, _turned(self.shift[None], later.turn)[0] + later.shift, self.pivot)


def motion_between(
    before: Floats, after: Floats, field: tuple[Floats, Floats], spacing: float, max_drift: float, max_turn: float
) -> Motion | None:
    """Find the rigid motion that carries most atoms of one frame onto atoms of the next.

    A lattice covers itself again when it is displaced by a lattice vector. Which displacement is the right one is
    told by what is not periodic (edges, holes, defects): the part of the atoms in the common field that are covered
    decides, and where that is not clearly different the shorter displacement. The best is refined by pairing nearest
    atoms and fitting a rotation and a shift with biweights, so that atoms that come, go or jump have no say.

    Parameters
    ----------
    before, after : (n, 2), (m, 2) float
        Positions (y, x).
    field : pair of (2,) float
        Lowest and highest (y, x) that a frame shows; the rotation is about its middle.
    spacing : float
        Distance of nearest neighbours.
    max_drift, max_turn : float
        Largest shift, in the units of positions, and largest rotation, in rad.

    Returns
    -------
    Motion
        None if there are fewer than three atoms, or if none covers clearly more atoms than chance would.
    """
    pivot = (field[0] + field[1]) / 2
    if min(len(before), len(after)) < LEAST_ATOMS or not spacing > 0:
        return None
    trees = cKDTree(before), cKDTree(after)
    # A step at which the corners of the field move by a third of the width of a peak.
    radius = float(np.hypot(*(field[1] - field[0]))) / 2
    n_turns = int(np.ceil(max_turn / (spacing / 3 / max(radius, spacing))))
    turn, candidates, sharpest = 0.0, np.zeros((1, 2)), 0.0
    # From no rotation outwards, so that of equals the smaller one stays.
    for angle in sorted(np.linspace(-max_turn, max_turn, 2 * n_turns + 1).tolist(), key=abs):
        shifts, height = _peaks(Motion(angle, np.zeros(2), pivot).apply(before), trees[1], spacing, max_drift)
        if height > sharpest:
            turn, candidates, sharpest = angle, shifts, height
    best, most = Motion(0.0, np.zeros(2), pivot), -1.0
    for shift in candidates[np.argsort(np.hypot(*candidates.T), kind="stable")]:
        motion = Motion(turn, shift, pivot)
        covered, seen = _covered(motion, trees, field, _ROUGHLY * spacing, _SAME * spacing)
        # Where it covers as much as the shorter one does, both have the same share.
        if covered > most + _CLEARLY * _spread((covered + most) / 2, seen):
            best, most = motion, covered
    if not _explains(best, trees, field, spacing):
        return None
    return _refined(best, before, trees[1], spacing, max_turn)


def _explains(motion: Motion, trees: tuple[cKDTree, cKDTree], field: tuple[Floats, Floats], spacing: float) -> bool:
    """Whether a motion covers clearly more atoms than one that has nothing to do with them."""
    covered, seen = _covered(motion, trees, field, _INSIDE * spacing, 0.0)
    area = max(float(np.prod(field[1] - field[0])), spacing**2)
    chances = [1 - np.exp(-tree.n / area * np.pi * (_INSIDE * spacing) ** 2) for tree in trees]
    # Atoms of each frame are covered by those of the other.
    chance = float(chances[0] * trees[1].n + chances[1] * trees[0].n) / (trees[0].n + trees[1].n)
    least = chance + max(_LEAST_MATCH * (1 - chance), _CLEARLY * _spread(chance, seen))
    return covered > least


def _spread(share: float, n: int) -> float:
    """Standard deviation of the difference of two proportions of ``n``, of which one would be ``share``."""
    share = min(max(share, 1 / (n + 1)), n / (n + 1))
    return float(np.sqrt(2 * share * (1 - share) / max(n, 1)))


def _peaks(points: Floats, tree: cKDTree, spacing: float, max_drift: float) -> tuple[Floats, float]:
    """(k, 2) displacements that many pairs of atoms have in common, and the height of the highest peak."""
    near = tree.sparse_distance_matrix(cKDTree(points), max_drift, output_type="ndarray")
    if not len(near):
        return np.zeros((1, 2)), 0.0
    apart = tree.data[near["i"]] - points[near["j"]]
    half = int(np.ceil(max_drift / spacing * _BINS)) + 1
    side = 2 * half + 1
    row, column = np.rint(apart * (_BINS / spacing)).astype(np.int64).T + half
    counts, y, x = (
        uniform_filter(
            np.bincount(row * side + column, weight, side * side).reshape(side, side).astype(float), 3, mode="constant"
        )
        for weight in (None, *apart.T)
    )
    top = (counts == maximum_filter(counts, 3, mode="constant")) & (counts > 0.3 * counts.max())
    where = np.argwhere(top)[np.argsort(-counts[top], kind="stable")[:_CANDIDATES]]
    # Their means, for half a bin off fewer atoms would be covered than a motion explains.
    at = tuple(where.T)
    shifts: Floats = np.stack([y[at], x[at]], 1) / counts[at][:, None]
    return shifts, float(counts.max())


def _covered(
    motion: Motion, trees: tuple[cKDTree, cKDTree], field: tuple[Floats, Floats], within: float, same: float
) -> tuple[float, int]:
    """Part of the atoms within a distance of one of the other frame, of those in the field of both; and their number.

    A row of atoms along the border, of which noise shows some at a time, must not tell of a motion: where the other
    frame has atoms at the border, too, one that is nearly there may have its partner beyond, and without one is left
    out. Atoms without a partner that are within ``same`` of one of the other frame without a partner count as covered.
    """
    before, after = trees
    hits = seen = 0
    alone = []
    for moved, own, other in (
        (motion.apply(before.data), before.data, after),
        (motion.undo(after.data), after.data, before),
    ):
        near = other.query(moved, distance_upper_bound=within)[0] < np.inf
        low, high = field[0] + within, field[1] - within
        low, high = np.where(other.mins < low, low, field[0]), np.where(other.maxes > high, high, field[1])
        covered = near & ((moved >= field[0]) & (moved <= field[1])).all(1)
        missed = ~near & ((moved >= low) & (moved <= high)).all(1)
        hits += int(covered.sum())
        seen += int(covered.sum()) + int(missed.sum())
        alone.append(own[missed])
    if same and len(alone[0]) and len(alone[1]):
        hits += 2 * len(pair_off(motion.apply(alone[0]), alone[1], same)[0])
    # Of a displacement that leaves next to nothing in common nothing can be said.
    return (hits / seen if seen > 0.1 * (before.n + after.n) else -1.0), seen


def _refined(motion: Motion, before: Floats, tree: cKDTree, spacing: float, max_turn: float) -> Motion:
    for _ in range(_ROUNDS):
        distance, partner = tree.query(motion.apply(before), distance_upper_bound=spacing / 2)
        near = distance < np.inf
        if near.sum() < LEAST_ATOMS:
            return motion
        a, b, d = before[near] - motion.pivot, tree.data[partner[near]] - motion.pivot, distance[near]
        scale = max(3 * float(np.median(d)), 1e-9 * spacing)
        weight = np.maximum(0.0, 1 - (d / scale) ** 2) ** 2
        fitted = _fit(a, b, weight, motion.pivot, max_turn)
        moved = float(np.abs(fitted.apply(before[near]) - motion.apply(before[near])).max())
        motion = fitted
        if moved < 1e-6 * spacing:
            break
    return motion


def _fit(a: Floats, b: Floats, weight: Floats, pivot: Floats, max_turn: float) -> Motion:
    """Least squares of a rotation, within its limit, and a shift that carry ``a`` to ``b``, both about the pivot."""
    weight = weight / max(float(weight.sum()), 1e-300)
    mean_a, mean_b = weight @ a, weight @ b
    ya, xa = ((a - mean_a) * weight[:, None]).T
    yb, xb = (b - mean_b).T
    turn = float(np.clip(np.arctan2(xa @ yb - ya @ xb, xa @ xb + ya @ yb), -max_turn, max_turn))
    return Motion(turn, mean_b - _turned(mean_a[None], turn)[0], pivot)


def _turned(points: Floats, turn: float) -> Floats:
    """(n, 2) points (y, x) turned about the origin, from x towards y."""
    c, s = np.cos(turn), np.sin(turn)
    y, x = points[:, 0], points[:, 1]
    return np.stack([c * y + s * x, c * x - s * y], 1)

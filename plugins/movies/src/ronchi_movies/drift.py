"""How a sheet of atoms as a whole moves and turns from one frame to the next, from the positions alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, uniform_filter
from scipy.spatial import cKDTree

from ronchi_movies.assignment import pair_off

__all__ = ["LEAST_ATOMS", "Motion", "motion_between"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Trees = tuple[cKDTree, cKDTree]
Field = tuple[Floats, Floats]

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
"""A motion covers more atoms than chance by so many standard deviations."""
_MUST_GAIN = 3.5
"""By so many more must a displacement explain that is a spacing longer: a dozen lattice vectors try their luck."""
_UNEXPLAINED = 0.01
"""Part of the atoms that may at any time lack a partner."""
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
    told by what is not periodic (edges, holes, defects): the places where an atom lacks its partner decide, and where
    they do not clearly differ the shorter displacement. The best is refined by pairing nearest atoms and fitting a
    rotation and a shift with biweights, so that atoms that come, go or jump have no say.

    Parameters
    ----------
    before, after : (n, 2), (m, 2) float
        Positions (y, x).
    field : pair of (2,) float
        Lowest and highest (y, x) where a frame would show an atom; the rotation is about its middle.
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
    radius = float(np.hypot(*(np.concatenate([before, after]) - pivot).T).max())
    n_turns = int(np.ceil(max_turn / (spacing / 3 / max(radius, spacing))))
    turn, candidates, sharpest = 0.0, np.zeros((1, 2)), 0.0
    # From no rotation outwards, so that of equals the smaller one stays.
    for angle in sorted(np.linspace(-max_turn, max_turn, 2 * n_turns + 1).tolist(), key=abs):
        shifts, height = _peaks(Motion(angle, np.zeros(2), pivot).apply(before), trees[1], spacing, max_drift)
        if height > sharpest:
            turn, candidates, sharpest = angle, shifts, height
    best = None
    for shift in candidates[np.argsort(np.hypot(*candidates.T), kind="stable")]:
        found = _Candidate.of(_centred(Motion(turn, shift, pivot), before, trees[1], spacing), trees, field, spacing)
        # Of a displacement that leaves next to nothing in common nothing can be said.
        if found.seen > 0.1 * (len(before) + len(after)) and (best is None or found.beats(best, trees, field, spacing)):
            best = found
    if best is None or not _explains(best.motion, trees, field, spacing):
        return None
    return _refined(best.motion, before, trees[1], spacing, max_turn)


def _explains(motion: Motion, trees: Trees, field: Field, spacing: float) -> bool:
    """Whether a motion covers clearly more atoms than one that has nothing to do with them."""
    sides = [_carried(motion, trees, field, _INSIDE * spacing, side)[1:] for side in (0, 1)]
    hits = sum(int(covered.sum()) for covered, _ in sides)
    seen = hits + sum(int(missed.sum()) for _, missed in sides)
    area = max(float(np.prod(field[1] - field[0])), spacing**2)
    chances = [1 - np.exp(-tree.n / area * np.pi * (_INSIDE * spacing) ** 2) for tree in trees]
    # Atoms of each frame are covered by those of the other.
    chance = float(chances[0] * trees[1].n + chances[1] * trees[0].n) / (trees[0].n + trees[1].n)
    least = chance + max(_LEAST_MATCH * (1 - chance), _CLEARLY * _spread(chance, seen))
    return hits > least * seen


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


def _centred(motion: Motion, before: Floats, tree: cKDTree, spacing: float) -> Motion:
    """A motion shifted by what its atoms are from their partners: a part of a bin off, it would uncover many."""
    moved = motion.apply(before)
    distance, partner = tree.query(moved, distance_upper_bound=_ROUGHLY * spacing)
    near = distance < np.inf
    apart = (tree.data[partner[near]] - moved[near]).sum(0) / max(1, int(near.sum()))
    return replace(motion, shift=motion.shift + apart)


def _carried(motion: Motion, trees: Trees, field: Field, within: float, side: int) -> tuple[Floats, Bools, Bools]:
    """Where atoms of frame ``side`` are in the other; which are within a distance of one there; which miss one.

    A row of atoms along the border, of which noise shows some at a time, must not tell of a motion: where the other
    frame has atoms at the border, too, one that is nearly there may have its partner beyond, and without one is left
    out.
    """
    own, other = trees[side].data, trees[1 - side]
    moved = motion.undo(own) if side else motion.apply(own)
    near = other.query(moved, distance_upper_bound=within)[0] < np.inf
    return moved, near & _between(moved, *field), ~near & _shown(moved, other, field, within)


def _between(points: Floats, low: Floats, high: Floats) -> Bools:
    inside: Bools = ((points >= low) & (points <= high)).all(1)
    return inside


def _shown(places: Floats, tree: cKDTree, field: Field, within: float) -> Bools:
    """(n,) whether a frame would show an atom there: not for sure at a border where it has atoms."""
    low, high = field[0] + within, field[1] - within
    return _between(places, np.where(tree.mins < low, low, field[0]), np.where(tree.maxes > high, high, field[1]))


@dataclass(frozen=True)
class _Candidate:
    """A motion, and what it leaves unexplained.

    Parameters
    ----------
    motion : Motion
    seen : int
        Atoms of either frame that are in the field of both.
    lone : pair of (n,), (m,) int64
        Those of each frame that lack a partner in the other.
    places : pair of (n, 2), (m, 2) float
        Where it would be.
    """

    motion: Motion
    seen: int
    lone: tuple[Ints, Ints]
    places: tuple[Floats, Floats]

    @classmethod
    def of(cls, motion: Motion, trees: Trees, field: Field, spacing: float) -> _Candidate:
        """Look for partners; two atoms without, that are close to each other, are a pair that noise has moved."""
        (there, covered, missed), (back, also, lost) = (
            _carried(motion, trees, field, _ROUGHLY * spacing, side) for side in (0, 1)
        )
        first, second = np.flatnonzero(missed), np.flatnonzero(lost)
        i, j = pair_off(there[first], trees[1].data[second], _SAME * spacing)
        seen = int((covered | missed).sum() + (also | lost).sum())
        first, second = np.delete(first, i), np.delete(second, j)
        return cls(motion, seen, (first, second), (there[first], back[second]))

    def beats(self, shorter: _Candidate, trees: Trees, field: Field, spacing: float) -> bool:
        """Whether it explains clearly more than a shorter one.

        An atom that is missed makes a place that is empty by either of two motions which a lattice vector tells apart,
        and says nothing of them. So only places count that are empty by one of them, among those of which both tell.
        Where the longer one leaves next to nothing, a few are no chance, and where it is hardly longer fewer will do.
        """
        within = _ROUGHLY * spacing
        gained = lost = 0
        for side in (0, 1):
            mine = self._empty(shorter, trees, field, within, side)
            theirs = shorter._empty(self, trees, field, within, side)
            both = len(pair_off(mine, theirs, within)[0])
            gained, lost = gained + len(theirs) - both, lost + len(mine) - both
        left = sum(map(len, self.lone)) + 1 + _UNEXPLAINED * (trees[0].n + trees[1].n)
        longer = float(np.hypot(*self.motion.shift) - np.hypot(*shorter.motion.shift)) / spacing
        chance = np.sqrt(min(gained + lost, 2 * lost + left)) * min(longer, 1.0) ** 0.25
        return bool(gained - lost > _MUST_GAIN * chance)

    def _empty(self, other: _Candidate, trees: Trees, field: Field, within: float, side: int) -> Floats:
        """Places without an atom where one of frame ``side`` would be, if by the other motion it has a partner."""
        places = self.places[side][~np.isin(self.lone[side], other.lone[side], assume_unique=True)]
        back = other.motion.apply(places) if side else other.motion.undo(places)
        return places[_shown(back, trees[side], field, within)]


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

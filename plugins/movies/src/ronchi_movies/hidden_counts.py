"""Numbers behind a hidden chain: of how many atoms it is known as well as if their classes were seen, and its stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ronchi_movies.hidden import Chain, Found, Sights, expect, passed

__all__ = ["LEAST_STAYS", "Numbers", "expected_stays", "numbers_of"]

Floats = NDArray[np.float64]

_NAMES = ("transition", "confusion", "first")
_NOTHING = 0.01
"""Fewer expected events are none: the probability is at its bound, 0."""
_STEP = 1e-4
"""Step of the derivatives, relative to the smaller one of the two probabilities that change."""
_SINGULAR = 1e-4
"""Eigenvalues of the information below this, all probabilities being in units of their own errors, are none."""
_BLIND = 0.01
"""Part of a probability in such directions from which on nothing is known of it."""
LEAST_STAYS = 0.5
"""Fewer stays than these, expected, are none left to follow."""
_NO_STAY = 1e-7
"""Stays that are less likely are not followed on."""


class Numbers(NamedTuple):
    """Probabilities, and how well they are known.

    Parameters
    ----------
    share : (k, k) float64
        Rows sum to 1; 0 where not a hundredth of an event is expected.
    expected : (k, k) float64
        Events.
    worth : (k, k) float64
        Atoms that would tell the probability as well if their classes were seen: ``p (1 - p)`` over its variance.
        NaN where nothing is known.
    """

    share: Floats
    expected: Floats
    worth: Floats


class _Free(NamedTuple):
    """A probability that varies, at the cost of the largest of its row."""

    name: str
    row: int
    column: int
    base: int


def numbers_of(seen: Sequence[Sights], found: Found) -> tuple[Numbers, Numbers]:
    """How well transitions, and the classes that are read, are known.

    Variances are those of the inverse of the observed information (Louis 1982, J. R. Stat. Soc. B 44, 226,
    doi:10.1111/j.2517-6161.1982.tb01203.x) of all probabilities above 0, by differences of the score. Where a
    probability is 0 the score tells how fast the likelihood falls off: as that of no event among so many.

    Parameters
    ----------
    seen : sequence of Sights
    found : Found
        At the largest likelihood.

    Returns
    -------
    transition, confusion : Numbers
    """
    expected = {name: np.atleast_2d(getattr(found.chain, name) * getattr(found.slope, name)) for name in _NAMES}
    free = [
        _Free(name, row, column, int(numbers[row].argmax()))
        for name, numbers in expected.items()
        for row, column in np.argwhere(numbers > _NOTHING).tolist()
        if column != numbers[row].argmax()
    ]
    covariance = _covariance(np.array([_curvature(seen, found, one, free) for one in free]))
    transition, confusion = (_numbers(name, found, expected[name], free, covariance) for name in _NAMES[:2])
    return transition, confusion


def _covariance(information: Floats) -> Floats:
    """Inverse, NaN for the probabilities that only change together without a change of the likelihood."""
    if not information.size:
        return np.zeros((0, 0))
    scale = 1 / np.sqrt(np.abs(np.diag(information)) + 1e-12)
    value, vector = np.linalg.eigh(scale[:, None] * (information + information.T) / 2 * scale)
    told = value > _SINGULAR
    covariance: Floats = (vector[:, told] / value[told]) @ vector[:, told].T * np.outer(scale, scale)
    blind = (vector[:, ~told] ** 2).sum(1) > _BLIND
    covariance[blind], covariance[:, blind] = np.nan, np.nan
    return covariance


def _curvature(seen: Sequence[Sights], found: Found, one: _Free, free: list[_Free]) -> list[float]:
    """How the score of every free probability falls as this one rises."""
    value = getattr(found.chain, one.name)
    moved = np.atleast_2d(value.copy())
    step = _STEP * min(moved[one.row, one.column], moved[one.row, one.base])
    moved[one.row, [one.column, one.base]] += np.array([step, -step])
    there = expect(seen, replace(found.chain, **{one.name: moved.reshape(value.shape)}))
    falls: list[float] = ((_scores(found.slope, free) - _scores(there.slope, free)) / step).tolist()
    return falls


def _scores(slope: Chain, free: list[_Free]) -> Floats:
    each = {name: np.atleast_2d(getattr(slope, name)) for name in _NAMES}
    return np.array([each[one.name][one.row, one.column] - each[one.name][one.row, one.base] for one in free])


def _numbers(name: str, found: Found, expected: Floats, free: list[_Free], covariance: Floats) -> Numbers:
    total = expected.sum(1, keepdims=True)
    share = np.where(expected > _NOTHING, getattr(found.chain, name), 0.0)
    share = np.divide(share, share.sum(1, keepdims=True), out=np.full_like(share, np.nan), where=total > _NOTHING)
    variance = np.zeros_like(share)
    for row in range(len(share)):
        mine = [number for number, one in enumerate(free) if (one.name, one.row) == (name, row)]
        variance[row, [free[number].column for number in mine]] = np.diag(covariance)[mine]
        variance[row, expected[row].argmax()] = covariance[np.ix_(mine, mine)].sum()
    # Moving a share of all others of the row into one that is 0.
    none = np.maximum(total - getattr(found.slope, name), 0)
    least = np.where(share > 0, np.inf, none).min(1, keepdims=True)
    at_bound = np.where(share > 0, least, none)
    inside = share * (1 - share) / np.where(variance == 0, 1, variance)
    worth = np.minimum(np.where(variance == 0, at_bound, inside), total)
    return Numbers(share, expected, np.where(total > _NOTHING, worth, 0.0))


def expected_stays(seen: Sequence[Sights], found: Found, *, from_first: bool) -> tuple[Floats, Floats, Floats]:
    """Stays in each class, each as often as it is likely in the light of all frames.

    The most likely path would lack the short ones, which it takes for errors.

    Parameters
    ----------
    seen : sequence of Sights
    found : Found
    from_first : bool
        Also stays that had begun before the track.

    Returns
    -------
    at_risk, ended : (t, k) float64
        Stays that last for at least 0, 1, … frames and are seen on, and those of them that end with the last of these.
    begun : (k,) float64
        Stays in all.
    """
    longest = max(len(part.n_seen) for part in seen)
    at_risk, ended = np.zeros((2, longest + 1, len(found.chain.first)))
    for part in seen:
        for t, (going, over) in enumerate(_stays(part, found.chain, from_first=from_first)):
            at_risk[t] += going
            ended[t] += over
    few = np.flatnonzero(at_risk[1:].max(1) < LEAST_STAYS)
    end = 1 + int(few[0]) if len(few) else len(at_risk)
    return at_risk[:end], ended[:end], at_risk[0]


def _stays(seen: Sights, chain: Chain, *, from_first: bool) -> Iterator[tuple[Floats, Floats]]:
    """Stays that last for at least 0, 1, … frames, and those of them that end then, (k,) each."""
    forward, onward, _, _ = passed(seen, chain)
    n, before = int(seen.n_seen[0]), seen.before
    later = onward[n:] @ chain.transition.T
    remain = onward[n:] * np.diag(chain.transition)
    likely = forward.copy()
    likely[before] *= later
    start = np.zeros_like(likely)
    start[n:] = np.maximum(likely[n:] - forward[before] * remain, 0)
    if from_first:
        start[:n] = likely[:n]
    stays = np.zeros_like(likely)
    stays[before] = remain / np.maximum(later, 1e-300)
    after = np.full(len(likely), -1)
    after[before] = np.arange(n, len(likely))
    begun = start.sum(0)
    yield begun, np.zeros_like(begun)
    rows = np.flatnonzero((after >= 0) & (start.sum(1) > _NO_STAY))
    mass = start[rows]
    while len(rows):
        going = mass.sum(0)
        mass = mass * stays[rows]
        yield going, going - mass.sum(0)
        rows = after[rows]
        kept = (after[rows] >= 0) & (mass.sum(1) > _NO_STAY)
        rows, mass = rows[kept], mass[kept]

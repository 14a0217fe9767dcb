"""Hidden Markov chains: the transitions of classes that are read with errors, by maximum likelihood.

An atom's class follows a chain; which class is read in a frame depends on the class alone. A wrong label is a change
there and one back, a change of the class is not: three frames in a row tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Chain", "Found", "Passed", "Sights", "better", "expect", "fit", "passed", "sights_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_NAMES = ("transition", "confusion", "first")
_AT_ONCE = 2**18
"""Frames of tracks, times classes, that are gone through at once: some 13 arrays of so many, of 2 MB each."""
_LONGEST_GAP = 20
"""Missed frames beyond which a track begins anew: little is known of where it went, and each takes memory."""
_STARTS = (0.02, 0.15)
"""Parts of wrong labels that the search starts from."""
_LEAST_RIGHT = 0.5
"""Least part of right labels of a class: what gives the hidden classes their names."""
_MOST_ROUNDS = 400
_RISE = 1e-4
"""Rise of the log-likelihood below which it has converged, in nats; half a nat is a standard error."""


@dataclass(frozen=True)
class Sights:
    """What is seen of atoms, sorted by the time since they were first seen, then by how long they are followed.

    Parameters
    ----------
    label : (m,) int16
        The class that is read; -1 in a missed frame.
    n_classes : int
    n_seen : (t,) int64
        Tracks that last so long; they are the first of those of the frame before.
    """

    label: NDArray[np.int16]
    n_classes: int
    n_seen: Ints

    @property
    def read(self) -> Floats:
        """(m, k) 1 for the class that is read, 0 for the others; in a missed frame 1 for all."""
        return np.append(np.eye(self.n_classes), np.ones((1, self.n_classes)), axis=0)[self.label]

    @property
    def times(self) -> list[slice]:
        """Rows of every time."""
        ends = np.cumsum(self.n_seen).tolist()
        return [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]

    @property
    def before(self) -> Ints:
        """Row of the same atom a frame before, of all rows but the first `n_seen[0]`."""
        return np.arange(self.n_seen[0], len(self.label)) - np.repeat(self.n_seen[:-1], self.n_seen[1:])


@dataclass(frozen=True)
class Chain:
    """Probabilities of a chain, or what is counted of it.

    Parameters
    ----------
    transition : (k, k) float64
        From, to the next frame.
    confusion : (k, k) float64
        Class, and class that is read.
    first : (k,) float64
        In the first frame of a track.
    """

    transition: Floats
    confusion: Floats
    first: Floats


@dataclass(frozen=True)
class Found:
    """What a chain makes of what is seen.

    Parameters
    ----------
    chain : Chain
    slope : Chain
        Derivatives of the log-likelihood, each probability taken to be free; times the probabilities, the expected
        numbers of transitions, readings and beginnings.
    log_likelihood : float
    """

    chain: Chain
    slope: Chain
    log_likelihood: float


class Passed(NamedTuple):
    """What a pass forward and backward through tracks leaves.

    Parameters
    ----------
    forward, onward : (m, k) float64
        Probability of each class given what was seen so far; likelihood of the row and all later ones in each class,
        relative to that given those before.
    slope : Chain
    log_likelihood : float
    """

    forward: Floats
    onward: Floats
    slope: Chain
    log_likelihood: float


def sights_of(track: Ints, step: Ints, label: Ints, n_classes: int) -> list[Sights]:
    """Sort what is seen; frames in which a track is missed say nothing about its class.

    Parameters
    ----------
    track, step, label : (n,) int
        Each pair of the first two once, n > 0; steps count frames; labels are 0 to ``n_classes`` - 1.

    Returns
    -------
    list of Sights
        Of the longest tracks first, as many together as fit in the memory that is meant for them.
    """
    order = np.lexsort((step, track))
    track, step = track[order], step[order]
    new = (np.diff(track, prepend=track[0] - 1) != 0) | (np.diff(step, prepend=step[0]) > _LONGEST_GAP + 1)
    starts, number = np.flatnonzero(new), np.cumsum(new) - 1
    since = step - step[starts][number]
    lasts = np.maximum.reduceat(since, starts) + 1
    rank = np.empty(len(lasts), np.int64)
    rank[np.argsort(-lasts, kind="stable")] = np.arange(len(lasts))
    ends = np.cumsum(np.sort(lasts)[::-1]) * n_classes
    block = ((ends - 1) // _AT_ONCE)[rank]
    made = []
    for which in np.unique(block):
        mine = np.flatnonzero(block == which)
        n_seen = np.bincount(lasts[mine] - 1)[::-1].cumsum()[::-1].astype(np.int64)
        values = np.full(int(lasts[mine].sum()), -1, np.int16)
        rows = np.flatnonzero(block[number] == which)
        values[(np.cumsum(n_seen) - n_seen)[since[rows]] + rank[number[rows]] - rank[mine].min()] = label[order[rows]]
        made.append(Sights(values, n_classes, n_seen))
    return made


def expect(seen: Sequence[Sights], chain: Chain) -> Found:
    """Likelihood of a chain and its slopes, by `passed` through all tracks."""
    slopes, log_likelihood = [np.zeros_like(getattr(chain, name)) for name in _NAMES], 0.0
    for part in seen:
        one = passed(part, chain)
        slopes = [total + getattr(one.slope, name) for name, total in zip(_NAMES, slopes, strict=True)]
        log_likelihood += one.log_likelihood
    return Found(chain, Chain(*slopes), log_likelihood)


def passed(seen: Sights, chain: Chain) -> Passed:
    """Go forward and backward through tracks, all at once.

    Source: Rabiner 1989, Proc. IEEE 77, 257, doi:10.1109/5.18626, equations 91 and 92, scaled.
    """
    times, n_seen, read = seen.times, seen.n_seen, seen.read
    likelihood = read @ chain.confusion.T
    ahead, forward, backward = np.empty_like(likelihood), np.empty_like(likelihood), np.ones_like(likelihood)
    total = np.empty((len(likelihood), 1))
    previous = np.broadcast_to(chain.first, (int(n_seen[0]), len(chain.first)))
    for n, now in zip(n_seen, times, strict=True):
        np.copyto(ahead[now], previous if now.start == 0 else previous[:n] @ chain.transition)
        joint = ahead[now] * likelihood[now]
        total[now, 0] = joint.sum(1)
        previous = np.divide(joint, total[now], out=forward[now])
    likelihood /= total
    for t in range(len(times) - 1, 0, -1):
        later = likelihood[times[t]] * backward[times[t]]
        np.matmul(later, chain.transition.T, out=backward[times[t - 1]][: n_seen[t]])
    onward = likelihood * backward
    n = int(n_seen[0])
    slope = Chain(forward[seen.before].T @ onward[n:], (ahead * backward / total).T @ read, onward[:n].sum(0))
    return Passed(forward, onward, slope, float(np.log(total).sum()))


def better(found: Found) -> Chain:
    """Chain of the expected numbers of events: the log-likelihood never falls.

    Source: Baum, Petrie, Soules & Weiss 1970, Ann. Math. Stat. 41, 164, doi:10.1214/aoms/1177697196.
    """
    chain, slope = found.chain, found.slope
    confusion = _shares(chain.confusion * slope.confusion, chain.confusion)
    right = np.diag(confusion).copy()
    kept = np.maximum(right, _LEAST_RIGHT)
    confusion *= np.divide(1 - kept, 1 - right, out=np.ones_like(right), where=kept > right)[:, None]
    np.fill_diagonal(confusion, kept)
    return Chain(
        _shares(chain.transition * slope.transition, chain.transition),
        confusion,
        _shares((chain.first * slope.first)[None], chain.first[None])[0],
    )


def _shares(numbers: Floats, otherwise: Floats) -> Floats:
    total = numbers.sum(1, keepdims=True)
    return np.where(total > 1e-9, numbers / np.maximum(total, 1e-9), otherwise)


def fit(seen: Sequence[Sights], transition: Floats) -> tuple[Found, list[float]]:
    """Find the chain of largest likelihood, and its log-likelihood after every round.

    Parameters
    ----------
    seen : sequence of Sights
    transition : (k, k) float
        Where to start; all above 0, k > 1.
    """
    k = len(transition)
    best: tuple[Found, list[float]] | None = None
    for wrong in _STARTS:
        confusion = np.where(np.eye(k, dtype=bool), 1 - wrong, wrong / (k - 1))
        tried = _climb(seen, Chain(transition, confusion, np.full(k, 1 / k)))
        if best is None or tried[0].log_likelihood > best[0].log_likelihood:
            best = tried
    assert best is not None
    return best


def _climb(seen: Sequence[Sights], chain: Chain) -> tuple[Found, list[float]]:
    """Rounds of expectation and maximisation, each pair of them followed by a longer step the same way, if that rises.

    Source: Varadhan & Roland 2008, Scand. J. Stat. 35, 335, doi:10.1111/j.1467-9469.2007.00585.x, scheme S3.
    """
    found = expect(seen, chain)
    history = [found.log_likelihood]
    for _ in range(_MOST_ROUNDS):
        one = expect(seen, better(found))
        two = better(one)
        far = _beyond(found.chain, one.chain, two)
        leap = expect(seen, far) if far is not None else None
        start = found.log_likelihood
        found = leap if leap is not None and leap.log_likelihood >= one.log_likelihood else expect(seen, two)
        history.append(found.log_likelihood)
        if found.log_likelihood - start < _RISE:
            break
    return found, history


def _beyond(zero: Chain, one: Chain, two: Chain) -> Chain | None:
    first = [getattr(one, name) - getattr(zero, name) for name in _NAMES]
    turn = [getattr(two, name) - getattr(one, name) - step for name, step in zip(_NAMES, first, strict=True)]
    length, change = (float(sum((part**2).sum() for part in parts)) for parts in (first, turn))
    if not change > 0:
        return None
    reach = max(1.0, np.sqrt(length / change))
    made = [
        getattr(zero, name) + 2 * reach * step + reach**2 * bend
        for name, step, bend in zip(_NAMES, first, turn, strict=True)
    ]
    made = [np.maximum(part, getattr(two, name) / 10) for part, name in zip(made, _NAMES, strict=True)]
    made = [part / part.sum(-1, keepdims=True) for part in made]
    far = Chain(*made)
    return far if (np.diag(far.confusion) >= _LEAST_RIGHT).all() else None

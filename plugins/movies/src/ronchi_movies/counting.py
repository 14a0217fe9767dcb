"""Transitions and stays of classes along tracks: of the classes as they are read, or of those behind their errors."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from ronchi_movies.chains import (
    Survival,
    returns,
    runs_of,
    survival_from,
    survival_of,
    transition_counts,
    transition_interval,
)
from ronchi_movies.hidden import fit, sights_of
from ronchi_movies.hidden_counts import LEAST_STAYS, Numbers, expected_stays, numbers_of
from ronchi_movies.params import DynamicsParams
from ronchi_movies.tables import frame_step

__all__ = ["Counted", "as_read", "behind_errors"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Interval = tuple[Floats, Floats, Floats]

_LEAST_WORTH = 0.1
"""Part of what seen classes would tell of their transitions, below which errors and transitions are not told apart."""
_MANY_SIGMA = 4.0


@dataclass(frozen=True)
class Counted:
    """Transitions and stays.

    Parameters
    ----------
    counts : (k, k) int64
        Transitions from, to; expected numbers if classes are hidden, rounded.
    transition : three of (k, k) float64
        Probability, lower and upper limit.
    survival : list of k Survival
        All for the same times.
    confusion : three of (k, k) float64, optional
        Probability of each class to be read as each, with limits.
    """

    counts: Ints
    transition: Interval
    survival: list[Survival]
    confusion: Interval | None = None


def as_read(track: Ints, frame: Ints, label: Ints, n: int, p: DynamicsParams, log: logging.Logger) -> Counted:
    """Count classes as they are read; warn if more changes are taken back than a chain without memory takes.

    Parameters
    ----------
    track, frame, label : (n,) int
        As for `transition_counts`.
    n : int
        Classes.
    """
    counts = transition_counts(track, frame, label, n)
    back, likely, sigma = returns(track, frame, label, counts)
    if back - likely > _MANY_SIGMA * sigma > 0:
        log.warning(
            "%d changes of class are taken back a frame later, %.0f would be if classes had no memory: wrong "
            "classes, or a few atoms that change often; with wrong classes `errors: hidden` finds the rates behind",
            back, likely,
        )  # fmt: skip
    runs = runs_of(track, frame, label)
    used = runs.begun if p.dwell_from == "change" else np.ones(len(runs.label), bool)
    longest = int((runs.length - ~runs.ended)[used].max(initial=0))
    survival = [
        survival_of(runs.length[mine], runs.ended[mine], longest, p.confidence)
        for mine in (used & (runs.label == k) for k in range(n))
    ]
    return Counted(counts, transition_interval(counts, p.confidence, p.prior), survival)


def behind_errors(track: Ints, frame: Ints, label: Ints, n: int, p: DynamicsParams, log: logging.Logger) -> Counted:
    """Find transitions and stays of a chain whose classes are read with errors; warn where they cannot be told apart.

    Parameters
    ----------
    track, frame, label : (n,) int
        As for `transition_counts`; classes that are never read are left out.
    n : int
        Classes.
    """
    used = (track >= 0) & (label >= 0)
    names, label = np.unique(label[used], return_inverse=True)
    if len(names) < 2:
        reads = np.zeros((n, n), np.int64)
        reads[names, names] = len(label)
        plain = as_read(track[used], frame[used], names[label], n, p, log)
        return replace(plain, confusion=transition_interval(reads, p.confidence, p.prior))
    track, step = track[used], frame[used] // frame_step(frame)
    start = transition_counts(track, step, label, len(names)) + 0.5
    seen = sights_of(track, step, label, len(names))
    found = fit(seen, start / start.sum(1, keepdims=True))[0]
    transition, confusion = numbers_of(seen, found)
    at_risk, ended, begun = expected_stays(seen, found, from_first=p.dwell_from == "first-seen")
    total = transition.expected.sum(1)
    known = np.divide(np.diag(transition.worth), total, out=np.zeros(len(names)), where=total > 0)
    _warn(names, known, np.diag(confusion.share), log)
    nothing = np.zeros(len(at_risk))
    at_risk = np.where(at_risk < LEAST_STAYS, 0, at_risk) * np.nan_to_num(known)
    ended = ended * np.nan_to_num(known)
    survival = [survival_from(nothing, nothing, (0, 0), p.confidence)] * n
    for k, name in enumerate(names):
        sum_ended = round(float((ended[:, k] / known[k]).sum())) if known[k] > 0 else 0
        numbers = (sum_ended, max(0, round(float(begun[k])) - sum_ended))
        survival[name] = survival_from(at_risk[:, k], ended[:, k], numbers, p.confidence)
    counts = np.zeros((n, n), np.int64)
    counts[np.ix_(names, names)] = np.rint(transition.expected)
    both = (_interval(numbers, names, n, p) for numbers in (transition, confusion))
    return Counted(counts, next(both), survival, next(both))


def _interval(numbers: Numbers, names: Ints, n: int, p: DynamicsParams) -> Interval:
    """Limits for all of ``n`` classes; 0 and 1 where nothing is known."""
    worth = np.nan_to_num(numbers.worth)
    low, high = transition_interval(np.nan_to_num(numbers.share) * worth, p.confidence, p.prior, worth)[1:]
    # What may be no more than noise in what is told from errors may be nothing.
    noise = ndtri((1 + p.confidence) / 2) ** 2
    low = np.where(numbers.share * worth < noise, 0, low)
    high = np.where((1 - numbers.share) * worth < noise, 1, high)
    blind = np.isnan(numbers.worth)
    limits = np.fmin(np.where(blind, 0, low), numbers.share), np.fmax(np.where(blind, 1, high), numbers.share)
    made = np.full((3, n, n), np.nan)
    for whole, part in zip(made, (numbers.share, *limits), strict=True):
        whole[np.ix_(names, names)] = part
    return made[0], made[1], made[2]


def _warn(names: Ints, known: Floats, right: Floats, log: logging.Logger) -> None:
    for name, part in zip(names, np.nan_to_num(known), strict=True):
        if part < _LEAST_WORTH:
            log.warning(
                "errors of class %d cannot be told from its transitions, which are known as well as from "
                "%.2g of the atoms: it lasts no longer than a frame, is rare, or tracks are short; look at the limits",
                name, part,
            )  # fmt: skip
    for name in names[right <= 0.5]:
        log.warning("class %d would be read wrong more often than right; merge it with another one", name)

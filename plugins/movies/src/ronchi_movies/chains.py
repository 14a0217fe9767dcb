"""Classes along tracks: transitions from frame to frame, and how long atoms stay in a class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import beta

from ronchi_movies.tables import frame_step

__all__ = [
    "Runs",
    "Survival",
    "proportion_interval",
    "returns",
    "runs_of",
    "survival_from",
    "survival_of",
    "transition_counts",
    "transition_interval",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Runs:
    """Stretches of one class in consecutive frames of one track.

    Parameters
    ----------
    label : (r,) int64
    length : (r,) int64
        In frames.
    begun : (r,) bool
        The track was in another class in the frame before.
    ended : (r,) bool
        It is in another class in the frame after. If not, the movie or the track ends, or a frame is missed, and of
        the last frame nobody knows whether the run ended with it.
    """

    label: Ints
    length: Ints
    begun: Bools
    ended: Bools


@dataclass(frozen=True)
class Survival:
    """Kaplan-Meier estimate of the probability to stay in a class for more than 0, 1, … frames; NaN where none is left.

    Parameters
    ----------
    probability, low, high : (t,) float64
    n_ended, n_censored : int
        Runs whose end was seen, and was not.
    """

    probability: Floats
    low: Floats
    high: Floats
    n_ended: int
    n_censored: int


def _in_order(track: Ints, frame: Ints, label: Ints) -> tuple[Ints, Ints]:
    """Rows with a track and a class by track and frame, and 1 where the next one is the same atom a frame later."""
    step = frame_step(frame)
    rows = np.flatnonzero((track >= 0) & (label >= 0))
    rows = rows[np.lexsort((frame[rows], track[rows]))]
    next_frame = (np.diff(track[rows]) == 0) & (np.diff(frame[rows]) == step)
    return rows, next_frame.astype(np.int64)


def transition_counts(track: Ints, frame: Ints, label: Ints, n_classes: int) -> Ints:
    """(from, to) numbers of atoms that are in a class in one frame and in another, or the same, in the next.

    All tracks count together. Over a missed frame there is no transition: two steps are not one.

    Parameters
    ----------
    track, frame, label : (n,) int
        One row an atom in a frame; -1 for no track or no class. The next frame is that of the next number there is,
        as by `frame_step`.
    """
    rows, linked = _in_order(track, frame, label)
    before, after = label[rows][:-1][linked == 1], label[rows][1:][linked == 1]
    counts = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(counts, (before, after), 1)
    return counts


def returns(track: Ints, frame: Ints, label: Ints, counts: Ints) -> tuple[int, float, float]:
    """Changes of a class that are taken back in the next frame: how many, how many a chain without memory has, sigma.

    A class that is wrong in one frame is such a change; so are atoms of which a few change often and most never.

    Parameters
    ----------
    track, frame, label : (n,) int
    counts : (k, k) int
        Both as of `transition_counts`.
    """
    rows, linked = _in_order(track, frame, label)
    classes = label[rows]
    here, there, then = classes[:-2], classes[1:-1], classes[2:]
    changed = (linked[:-1] == 1) & (linked[1:] == 1) & (here != there)
    total = counts.sum(1)[there[changed]]
    back = counts[there[changed], here[changed]] / total
    return int((then == here)[changed].sum()), float(back.sum()), float(np.sqrt((back * (1 - back)).sum()))


def transition_interval(
    counts: Ints | Floats, confidence: float, prior: float, total: Floats | None = None
) -> tuple[Floats, Floats, Floats]:
    """Probabilities of transitions, and their intervals; NaN for a class that nothing was seen to start from.

    Each entry is a proportion of its row, by itself, with a Beta prior. The interval ends at 0 or 1 where none or all
    were seen to go there (Brown, Cai & DasGupta 2001, doi:10.1214/ss/1009213286).

    Parameters
    ----------
    counts : (k, k) int or float
        From `transition_counts`.
    confidence : float
    prior : float
        Pseudo-counts for and against.
    total : (k, k) float, optional
        Of how many atoms each count is; by default those of its row.
    """
    total = np.broadcast_to(counts.sum(1, keepdims=True), counts.shape).astype(float) if total is None else total
    known = total > 0
    share = np.divide(counts, total, out=np.full(counts.shape, np.nan), where=known)
    tail = (1 - confidence) / 2
    a, b = counts + prior, total - counts + prior
    low = np.where(counts == 0, 0.0, np.minimum(beta.ppf(tail, a, b), share))
    high = np.where(counts == total, 1.0, np.maximum(beta.ppf(1 - tail, a, b), share))
    return share, np.where(known, low, np.nan), np.where(known, high, np.nan)


def proportion_interval(count: Ints, total: Ints, confidence: float) -> tuple[Floats, Floats, Floats]:
    """Proportion and its Wilson score interval (Wilson 1927, doi:10.1080/01621459.1927.10502953); NaN for none of 0.

    Parameters
    ----------
    count, total : arrays that broadcast
    """
    n = np.where(total > 0, total, np.nan).astype(float)
    z2 = float(ndtri((1 + confidence) / 2)) ** 2
    share = count / n
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return share, np.minimum(np.maximum(middle - half, 0), share), np.maximum(np.minimum(middle + half, 1), share)


def runs_of(track: Ints, frame: Ints, label: Ints) -> Runs:
    """Cut tracks into runs; a missed frame ends a run, unseen.

    Parameters
    ----------
    track, frame, label : (n,) int
        As for `transition_counts`.
    """
    rows, linked = _in_order(track, frame, label)
    if not len(rows):
        nothing = np.zeros(0, np.int64)
        return Runs(nothing, nothing, nothing.astype(bool), nothing.astype(bool))
    classes = label[rows]
    changed = np.diff(classes) != 0
    starts = np.append(0, np.flatnonzero((linked == 0) | changed) + 1)
    length = np.diff(np.append(starts, len(rows)))
    seen_change = np.concatenate([[False], (linked == 1) & changed, [False]])
    return Runs(classes[starts], length, seen_change[starts], seen_change[starts + length])


def survival_of(length: Ints, ended: Bools, longest: int, confidence: float) -> Survival:
    """Kaplan-Meier estimate with intervals that hold for a few runs, too, and where all or none have ended.

    A run that is lost from sight after ``n`` frames is known to have lasted beyond ``n - 1`` of them: whether it ended
    with the ``n``-th nobody saw. It is censored at ``n - 1``; to count it among those that could have ended after
    ``n`` makes stays too long.

    The intervals are beta products: Clopper and Pearson's where no run is censored. Source: Fay, Brittain & Proschan
    2013, Biostatistics 14, 723, doi:10.1093/biostatistics/kxt016 (by their moments).

    Parameters
    ----------
    length : (r,) int
        Frames of each run.
    ended : (r,) bool
        False for a run that was still going on when it was last seen.
    longest : int
        The estimate is for 0 to so many frames.
    """
    # Runs that last beyond the end of the estimate are at risk at all of its times.
    last = np.clip(length - ~ended, -1, longest) + 1
    at_risk = np.bincount(last, minlength=longest + 2)[::-1].cumsum()[::-1][1:].astype(float)
    events = np.bincount(length[ended & (length <= longest)], minlength=longest + 1)
    return survival_from(at_risk, events, (int(ended.sum()), int((~ended).sum())), confidence)


def survival_from(at_risk: Floats, events: Ints | Floats, numbers: tuple[int, int], confidence: float) -> Survival:
    """Kaplan-Meier estimate of `survival_of`, of stays that are counted, or expected, already.

    Parameters
    ----------
    at_risk, events : (t,) float
        Stays that last for at least 0, 1, … frames and are seen on, and those of them that end with the last of these.
    numbers : pair of int
        Stays whose end was seen, and was not.
    confidence : float
    """
    rest = np.where(at_risk > 0, at_risk, np.nan)
    survival = np.cumprod(1 - events / rest)
    # A beta variable of (rest - events + 1, events) for every time at which runs ended, of mean a / (a + b).
    a, n = rest - events + 1, rest + 1
    mean, square = np.cumprod(a / n), np.cumprod(a * (a + 1) / (n * (n + 1)))
    left = np.append(at_risk[1:], 0.0)
    tail = (1 - confidence) / 2
    high = np.where(survival < 1, _beta_quantile(1 - tail, mean, square), survival)
    low = _beta_quantile(tail, mean * left / (left + 1), square * left / (left + 2))
    low = np.minimum(low, survival)
    low[0] = survival[0]  # every stay lasts for more than 0 frames
    return Survival(survival, low, high, *numbers)


def _beta_quantile(share: float, mean: Floats, square: Floats) -> Floats:
    """Quantile of the beta variable of this mean and mean square; the mean where it is 0 or 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = (mean - square) / (square - mean**2)
        value = beta.ppf(share, mean * weight, (1 - mean) * weight)
    return np.where(np.isfinite(value), value, mean)

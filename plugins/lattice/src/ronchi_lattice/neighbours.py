"""Try again, from a neighbour's lattice, where the common start did not lead to a good fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ronchi_lattice.fit import Fits, Settings, fit_from
from ronchi_lattice.noise import Weights
from ronchi_lattice.peaklist import Peaks

__all__ = ["retry_from_neighbours"]

Floats = NDArray[np.float64]

_WEAK_BELOW = 0.7  # share of a position's peaks on the lattice under which a neighbour's lattice is tried


def retry_from_neighbours(fits: Fits, peaks: Peaks, weighted: Weights, basis: Floats, settings: Settings) -> None:
    """Start badly fitted positions from their best neighbour, round by round, while that helps.

    A lattice that turns or stretches across the scan is followed beyond the reach of a single start.
    ``fits`` is changed in place where a retry puts more peaks on the lattice.
    """
    counts = peaks.counts
    rows, columns = np.divmod(peaks.flat_index, peaks.scan_shape[1])
    position = np.full((peaks.scan_shape[0] + 2, peaks.scan_shape[1] + 2), -1)
    position[rows + 1, columns + 1] = np.arange(len(counts))
    fresh = fits.fitted  # a neighbour that has not changed since it was last tried has nothing new to offer
    for _ in range(sum(peaks.scan_shape)):  # rounds in which news from one corner reaches the other
        weak = np.flatnonzero((counts >= settings.min_peaks) & (fits.n_used < _WEAK_BELOW * counts))
        y, x = rows[weak] + 1, columns[weak] + 1
        near = np.stack([position[y - 1, x], position[y, x - 1], position[y, x + 1], position[y + 1, x]])
        share = np.where((near >= 0) & fresh[near], fits.n_used[near] / np.maximum(counts[near], 1), 0.0)
        promising = share.max(axis=0, initial=0) > fits.n_used[weak] / counts[weak]
        if not promising.any():
            return
        start = fits.params[np.take_along_axis(near, share.argmax(axis=0)[None], axis=0)[0]]
        improved = _retry(fits, peaks, weighted, weak[promising], start[promising], basis, settings)
        fresh = np.zeros(len(counts), bool)
        fresh[improved] = True


def _retry(
    fits: Fits,
    peaks: Peaks,
    weighted: Weights,
    which: NDArray[np.int64],
    start: Floats,
    basis: Floats,
    settings: Settings,
) -> NDArray[np.int64]:
    """Fit ``which`` from ``start``; keep and return those that use more peaks than before."""
    peak_rows, part = peaks.at(which)
    trial = Fits.empty(len(which), len(peak_rows))
    fit_from(trial, part, weighted.at(peak_rows), np.arange(len(which)), start, basis, settings)
    better = trial.n_used > fits.n_used[which]
    for name in ("params", "cov", "chi2", "rms", "n_used", "reason"):
        getattr(fits, name)[which[better]] = getattr(trial, name)[better]
    moved = np.repeat(better, part.counts)
    for name in ("hk", "weight"):
        getattr(fits, name)[peak_rows[moved]] = getattr(trial, name)[moved]
    improved: NDArray[np.int64] = which[better]
    return improved

"""Fits to nodes that two crystals have in common: of a twin every second or third row is one of the crystal's."""

from __future__ import annotations

import numpy as np

from ronchi_lattice import kernel
from ronchi_lattice.fit import Fits
from ronchi_lattice.peaklist import Peaks

__all__ = ["drop_coincident"]

_FORMS = ((1, 0, 2), (0, 1, 2), (1, 1, 2), (1, 0, 3), (0, 1, 3), (1, 1, 3), (1, 2, 3))
"""All sublattices of a half and a third of the nodes: ``u h + v k``, divided by the last number, leaves the same."""
_WHOLE = 0.7  # share of a position's peaks on the lattice from which on it is the pattern's own
_SAMPLE = 400  # of such positions
_CHANCE = 0.2  # share of the peaks used that lie beside the sublattice by chance
_USUAL = 0.25  # the same of patterns with that lattice, where it needs all of its nodes


def drop_coincident(fits: Fits, peaks: Peaks) -> None:
    """Drop lattices whose peaks lie on a sublattice, where other peaks of the pattern are left over.

    Superlattice reflections may be absent in places: nothing is left over there. If they, or those that extinction
    hides, are rare everywhere, the sublattice is all that shows of the crystal. ``fits`` is changed in place.
    """
    counts = peaks.counts
    whole = fits.fitted & (fits.n_used >= _WHOLE * counts)
    doubtful = fits.fitted & ~whole
    if not whole.any() or not doubtful.any():
        return
    some = np.flatnonzero(whole)
    some = some[:: -(-len(some) // _SAMPLE)]
    asked = doubtful.copy()
    asked[some] = True
    used = (fits.weight > 0) & np.repeat(asked, counts)
    at = np.repeat(np.arange(len(counts)), counts)[used]
    h, k = fits.hk[used].T
    coincident = np.zeros(len(counts), bool)
    for u, v, n in _FORMS:
        # Of the nodes, or of those between: without a direct beam the origin is on one of either.
        row = (u * h + v * k) % n
        most = np.max([np.bincount(at, row == r, len(counts)) for r in range(n)], axis=0)
        beside = 1 - most / np.maximum(fits.n_used, 1)
        if beside[some].mean() > _USUAL:
            coincident |= beside < _CHANCE
    coincident &= doubtful
    fits.reason[coincident] = kernel.OUTLIERS
    fits.n_used[coincident] = 0
    for column in (fits.params, fits.cov, fits.chi2, fits.rms):
        column[coincident] = np.nan
    fits.weight[np.repeat(coincident, counts)] = 0

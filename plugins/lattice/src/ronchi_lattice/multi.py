"""Fit one lattice, or several that share the positions: each is fitted to what the ones before left over."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ronchi.api import DataError
from ronchi_lattice.basis import find_basis
from ronchi_lattice.fit import Fits, Settings, fit_scan
from ronchi_lattice.neighbours import retry_from_neighbours
from ronchi_lattice.peaklist import Peaks

__all__ = ["FittedLattice", "fit_lattices"]


@dataclass(frozen=True)
class FittedLattice:
    """One lattice over the scan: its common basis (2, 2), the fits, and the common model error in units of q."""

    basis: NDArray[np.float64]
    fits: Fits
    model_sigma: float


def fit_lattices(
    peaks: Peaks,
    basis: NDArray[np.float64] | None,
    n_lattices: int,
    settings: Settings,
    log: logging.Logger,
    progress: Callable[[int, int], None],
) -> list[FittedLattice]:
    """Fit up to ``n_lattices`` lattices, the one with the most peaks first.

    Parameters
    ----------
    basis : (2, 2) float64 or None
        Basis of the first lattice, columns g1 and g2; found if None. The further ones are always found.

    Returns
    -------
    list of FittedLattice
        Fewer than asked for where the left-over peaks agree on no further lattice; empty without peaks.

    Raises
    ------
    DataError
        The peaks agree on no first lattice.
    """
    lattices: list[FittedLattice] = []
    for number in range(1, n_lattices + 1):
        if basis is None:
            try:
                basis = find_basis(peaks, settings.min_peaks)
            except DataError:
                if number == 1:
                    raise
        if basis is None:
            log.warning("%d of %d lattices found: the peaks left over agree on no more", len(lattices), n_lattices)
            break
        fits, precision, model_sigma = fit_scan(
            peaks, basis, settings, lambda done, total, n=number: progress((n - 1) * total + done, n_lattices * total)
        )
        retry_from_neighbours(fits, peaks, precision, settings)
        lattices.append(FittedLattice(basis, fits, model_sigma))
        # All lattices of a pattern share its direct beam.
        direct_beam = (fits.hk == 0).all(axis=1)
        peaks, basis = peaks.keep((fits.weight == 0) | direct_beam), None
    return lattices

"""Fit one lattice, or several that share the positions: each is fitted to what the ones before left over."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ronchi.api import DataError
from ronchi_lattice.basis import find_basis, find_basis_of_part
from ronchi_lattice.coincidence import drop_coincident
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
    for number in range(n_lattices):
        refusal = None
        if basis is None:
            basis, refusal = _next_basis(peaks, settings, n_lattices - number, first=number == 0)
        if basis is None:
            break
        share = partial(_progress_of_share, progress, number, n_lattices)
        fits, weighted, model_sigma = fit_scan(peaks, basis, settings, share)
        retry_from_neighbours(fits, peaks, weighted, basis, settings)
        drop_coincident(fits, peaks)
        if refusal is not None and fits.fitted.sum() < 0.5 * (peaks.counts >= settings.min_peaks).sum():
            raise refusal
        if number > 0 and not fits.fitted.any():
            break
        if np.isnan(model_sigma) and fits.fitted.any():
            fits.cov[:] = np.nan
            log.warning(
                "lattice %d: no standard errors: no position has more than three peaks on the lattice, and all peaks "
                "have the same variance",
                number + 1,
            )
        lattices.append(FittedLattice(basis, fits, model_sigma))
        # All lattices of a pattern share its direct beam.
        direct_beam = (fits.hk == 0).all(axis=1)
        peaks, basis = peaks.keep((fits.weight == 0) | direct_beam), None
    if 0 < len(lattices) < n_lattices:
        log.warning("%d of %d lattices found: the peaks left over agree on no more", len(lattices), n_lattices)
    return lattices


def _next_basis(
    peaks: Peaks, settings: Settings, n_lattices: int, *, first: bool
) -> tuple[NDArray[np.float64] | None, DataError | None]:
    """Basis to start from, None if there is no more; and what to raise if most positions do not follow from it."""
    try:
        return find_basis(peaks, settings.min_peaks, n_lattices), None
    except DataError as error:
        if not first:
            return None, None
        basis = find_basis_of_part(peaks, settings.min_peaks)
        if basis is None:
            raise
        return basis, error


def _progress_of_share(progress: Callable[[int, int], None], before: int, shares: int, done: int, total: int) -> None:
    progress(before * total + done, shares * total)

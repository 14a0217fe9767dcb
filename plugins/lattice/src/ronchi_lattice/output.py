"""From fits to the labelled maps ``lattice/1`` and ``strain/1``, NaN where nothing could be fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.schema import common
from ronchi.schema import lattice as lattice_schema
from ronchi.schema import strain as strain_schema
from ronchi_lattice import frame
from ronchi_lattice.multi import FittedLattice
from ronchi_lattice.peaklist import Peaks
from ronchi_lattice.reference import ReferenceLattice
from ronchi_lattice.strain import COMPONENTS, strain_and_errors

__all__ = ["NOT_MEASURED", "lattice_maps", "strain_maps"]

NOT_MEASURED = 6
_REASONS = "fitted no_peaks too_few_peaks_on_a_lattice peaks_on_one_line not_converged too_many_outliers not_measured"
_SCAN = ("scan_y", "scan_x")


def lattice_maps(
    lattice: FittedLattice, peaks: Peaks, coords: dict[str, xr.Variable], q_units: str, attrs: dict[str, Any]
) -> xr.Dataset:
    """``lattice/1`` over the whole scan, on the detector's axes, in undistorted q."""
    fits = lattice.fits
    matrix = fits.params.reshape(-1, 2, 3)
    reason = _on_scan(fits.reason, peaks, NOT_MEASURED)
    more = {"model_sigma": lattice.model_sigma, "basis_g1": lattice.basis[:, 0], "basis_g2": lattice.basis[:, 1]}
    return lattice_schema.make(
        origin=_on_scan(matrix[:, :, 0], peaks),
        g1=_on_scan(matrix[:, :, 1], peaks),
        g2=_on_scan(matrix[:, :, 2], peaks),
        cov=_on_scan(fits.cov, peaks),
        chi2=_on_scan(fits.chi2, peaks),
        n_used=_on_scan(fits.n_used, peaks, 0),
        q_units=q_units,
        coords=coords,
        attrs={**attrs, **more, "frame": "detector"},
        reason=common.variable(
            _SCAN, reason, "1", "why there is no fit", flag_values=np.arange(7, dtype=np.uint8), flag_meanings=_REASONS
        ),
    )


def strain_maps(
    lattice: FittedLattice,
    reference: ReferenceLattice | str,
    peaks: Peaks,
    coords: dict[str, xr.Variable],
    q_units: str,
    attrs: dict[str, Any],
) -> xr.Dataset:
    """``strain/1`` over the whole scan: in the scan frame if its rotation is known, else on the detector's axes.

    ``reference`` is a text where there is none: it says why. There is no strain then.
    """
    n = len(peaks.flat_index)
    turn = frame.to_scan(attrs)
    components, errors = (dict.fromkeys(COMPONENTS, np.full(n, np.nan)) for _ in range(2))
    fits, fitted = lattice.fits, np.zeros(n, bool)
    if isinstance(reference, ReferenceLattice):
        fitted = fits.fitted
        S = np.eye(2) if turn is None else turn
        K = np.kron(S, np.eye(2))
        values, sigmas = strain_and_errors(
            S @ fits.G[fitted],
            K @ fits.G_cov[fitted] @ K.T,
            S @ reference.G,
            K @ reference.cov @ K.T,
            reference.share[fitted],
        )
        components = {name: _fill(fitted, value) for name, value in values.items()}
        errors = {name: _fill(fitted, value) for name, value in sigmas.items()}
    return strain_schema.make(
        {name: _on_scan(value, peaks) for name, value in components.items()},
        {name: _on_scan(value, peaks) for name, value in errors.items()},
        residual=_on_scan(fits.rms, peaks),
        n_used=_on_scan(fits.n_used, peaks, 0),
        valid=_on_scan(fitted, peaks, False),
        residual_units=q_units,
        frame="detector" if turn is None else "scan",
        reference=reference.words if isinstance(reference, ReferenceLattice) else reference,
        coords=coords,
        attrs=attrs,
    )


def _fill(where: NDArray[np.bool_], values: NDArray[np.float64]) -> NDArray[np.float64]:
    full = np.full(len(where), np.nan)
    full[where] = values
    return full


def _on_scan(values: NDArray[Any], peaks: Peaks, absent: float = np.nan) -> NDArray[Any]:
    """Spread (n, ...) values over the scan (scan_y, scan_x, ...); ``absent`` where nothing was measured."""
    whole = np.full((peaks.scan_shape[0] * peaks.scan_shape[1], *values.shape[1:]), absent, values.dtype)
    whole[peaks.flat_index] = values
    return whole.reshape(*peaks.scan_shape, *values.shape[1:])

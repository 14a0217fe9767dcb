"""``lattice/1``: origin and two reciprocal vectors at every scan position."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ronchi.schema.common import ATTR, check_dataset, variable

__all__ = ["NAME", "make", "validate"]

NAME = "lattice/1"
_SCAN = ("scan_y", "scan_x")
_REQUIRED = {
    **dict.fromkeys(("origin", "g1", "g2"), (*_SCAN, "axis")),
    "cov": (*_SCAN, "param_i", "param_j"),
    "chi2": _SCAN,
    "n_used": _SCAN,
}


def validate(ds: xr.Dataset, where: str = "") -> xr.Dataset:
    """Check a ``lattice/1`` data set. Raises `SchemaError`."""
    return check_dataset(ds, NAME, _REQUIRED, {"reason": _SCAN}, where)


def make(
    *,
    origin: Any,
    g1: Any,
    g2: Any,
    cov: Any,
    chi2: Any,
    n_used: Any,
    q_units: str,
    coords: dict[str, xr.Variable],
    attrs: dict[str, Any] | None = None,
    **extra: xr.Variable,
) -> xr.Dataset:
    """Build a ``lattice/1`` data set.

    Parameters
    ----------
    origin, g1, g2 : (scan_y, scan_x, 2) float
        Components in the order (y, x), in ``q_units``; NaN where unfit.
    cov : (scan_y, scan_x, 6, 6) float
        Covariance of (origin_y, g1_y, g2_y, origin_x, g1_x, g2_x).
    chi2 : (scan_y, scan_x) float
        Reduced chi-squared of the peaks used.
    n_used : (scan_y, scan_x) int
        Peaks used.
    coords : dict
        1-D coordinates ``scan_y`` and ``scan_x``.
    """
    vector, matrix = (*_SCAN, "axis"), (*_SCAN, "param_i", "param_j")
    names = np.array(["origin_y", "g1_y", "g2_y", "origin_x", "g1_x", "g2_x"])
    data = {
        "origin": variable(vector, origin, q_units, "lattice origin"),
        "g1": variable(vector, g1, q_units, "first reciprocal vector"),
        "g2": variable(vector, g2, q_units, "second reciprocal vector"),
        "cov": variable(matrix, cov, f"({q_units})^2", "covariance of the six lattice parameters"),
        "chi2": variable(_SCAN, chi2, "1", "reduced chi-squared"),
        "n_used": variable(_SCAN, np.asarray(n_used, np.int32), "1", "peaks used in the fit"),
        **extra,
    }
    all_coords = {
        **coords,
        "axis": ("axis", np.array(["y", "x"])),
        "param_i": ("param_i", names),
        "param_j": ("param_j", names),
    }
    return validate(xr.Dataset(data, all_coords, {**(attrs or {}), ATTR: NAME}))

"""``maps/1``: images over the scan and over the detector: virtual images, mean patterns, residuals."""

from __future__ import annotations

from typing import Any

import xarray as xr

from ronchi.schema.common import ATTR, check_dataset, fail

__all__ = ["NAME", "make", "validate"]

NAME = "maps/1"
_ALLOWED: tuple[set[str], ...] = ({"scan_y", "scan_x"}, {"qy", "qx"}, set())


def validate(ds: xr.Dataset, where: str = "") -> xr.Dataset:
    """Check a ``maps/1`` data set: every variable lies over the scan or over the detector."""
    check_dataset(ds, NAME, {}, None, where)
    for name, var in ds.data_vars.items():
        if set(var.dims) not in _ALLOWED:
            raise fail(where or "data set", f"{name!r} has dims {var.dims}, allowed: (scan_y, scan_x) or (qy, qx)")
    return ds


def make(variables: dict[str, xr.Variable], coords: dict[str, Any], attrs: dict[str, Any] | None = None) -> xr.Dataset:
    """Build a ``maps/1`` data set from variables with units and long_name."""
    return validate(xr.Dataset(variables, coords, {**(attrs or {}), ATTR: NAME}))

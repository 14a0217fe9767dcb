"""``strain/1``: finite strain in real space, expansion positive, NaN where unfit."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ronchi.errors import SchemaError
from ronchi.schema.common import ATTR, check_dataset, fail, variable

__all__ = ["COMPONENTS", "NAME", "SIGN_CONVENTION", "make", "validate"]

NAME = "strain/1"
COMPONENTS = ("e_xx", "e_yy", "e_xy", "theta")
SIGN_CONVENTION = (
    "real-space Biot strain e = U - I of F = R U; expansion > 0; x = column, to the right; "
    "y = row, downwards; theta > 0 turns x towards y"
)
_SCAN = ("scan_y", "scan_x")
_REQUIRED = dict.fromkeys((*COMPONENTS, *(f"se_{c}" for c in COMPONENTS), "residual", "n_used", "valid"), _SCAN)
_TEXT = {
    "e_xx": ("1", "strain along x"),
    "e_yy": ("1", "strain along y"),
    "e_xy": ("1", "shear strain"),
    "theta": ("rad", "lattice rotation"),
}


def validate(ds: xr.Dataset, where: str = "") -> xr.Dataset:
    """Check a ``strain/1`` data set; truth needs the four components only.

    Raises
    ------
    SchemaError
    """
    truth = bool(ds.attrs.get("is_truth", 0)) if isinstance(ds, xr.Dataset) else False
    required = dict.fromkeys(COMPONENTS, _SCAN) if truth else _REQUIRED
    check_dataset(ds, NAME, required, None, where)
    if not truth:
        for attr in ("frame", "sign_convention", "reference"):
            if attr not in ds.attrs:
                raise fail(where or "data set", f"attribute {attr!r} is missing", "say in which frame and against what")
        if ds.attrs["frame"] not in ("scan", "detector"):
            raise SchemaError(f"frame is {ds.attrs['frame']!r}, allowed: scan, detector", where=where)
        unfit = ds["valid"].values == 0
        for name in COMPONENTS:
            if np.isfinite(ds[name].values[unfit]).any():
                raise fail(where or "data set", f"{name!r} has numbers where 'valid' is 0", "put NaN there, never 0")
    return ds


def make(
    components: dict[str, Any],
    errors: dict[str, Any],
    *,
    residual: Any,
    n_used: Any,
    valid: Any,
    residual_units: str,
    frame: str,
    reference: str,
    coords: dict[str, xr.Variable],
    attrs: dict[str, Any] | None = None,
    **extra: xr.Variable,
) -> xr.Dataset:
    """Build a ``strain/1`` data set.

    Parameters
    ----------
    components, errors : dict
        ``e_xx, e_yy, e_xy`` [1] and ``theta`` [rad], each (scan_y, scan_x), and their standard errors.
    residual : (scan_y, scan_x)
        RMS distance of the used peaks from the lattice, in ``residual_units``.
    frame : {"scan", "detector"}
        Axes of the components.
    reference : str
        What the strain is relative to, in words.
    """
    data: dict[str, xr.Variable] = {}
    for name, (units, text) in _TEXT.items():
        data[name] = variable(_SCAN, components[name], units, text)
        data[f"se_{name}"] = variable(_SCAN, errors[name], units, f"standard error of {text}")
    data["residual"] = variable(_SCAN, residual, residual_units, "RMS residual of the lattice fit")
    data["n_used"] = variable(_SCAN, np.asarray(n_used, np.int32), "1", "peaks used in the fit")
    data["valid"] = variable(_SCAN, np.asarray(valid).astype("i1"), "1", "1 where the fit holds")
    all_attrs = {
        **(attrs or {}),
        ATTR: NAME,
        "frame": frame,
        "reference": reference,
        "sign_convention": SIGN_CONVENTION,
    }
    return validate(xr.Dataset({**data, **extra}, coords, all_attrs))

"""Checks and attributes that all schemas share; every message names the variable and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.errors import CalibrationError, SchemaError

__all__ = ["ATTR", "carry_attrs", "check_dataset", "distortion", "fail", "schema_of", "variable"]

ATTR = "ronchi_schema"

CARRIED_ATTRS = (
    "beam_energy_eV",
    "semiangle_mrad",
    "camera_length_m",
    "scan_rotation_deg",
    "dose",
    "q_distortion",
    "q_distortion_source",
    "scan_rotation_source",
    "title",
)
"""Calibrations that follow the data through the steps."""


def schema_of(ds: xr.Dataset) -> str:
    """Schema name of a data set, ``""`` if it has none."""
    return str(ds.attrs.get(ATTR, ""))


def fail(where: str, what: str, fix: str = "") -> SchemaError:
    """Make a `SchemaError` about one variable or attribute."""
    return SchemaError(what, where=where, fix=fix)


def carry_attrs(source: xr.Dataset, **more: Any) -> dict[str, Any]:
    """Attributes of ``source`` that a result keeps, with ``more`` on top."""
    kept = {name: source.attrs[name] for name in CARRIED_ATTRS if name in source.attrs}
    return {**kept, **more}


def variable(dims: str | Iterable[str], data: Any, units: str, long_name: str, **attrs: Any) -> xr.Variable:
    """An xarray variable that carries its units and a readable name."""
    return xr.Variable(dims, data, {"units": units, "long_name": long_name, **attrs})


def check_dataset(
    ds: xr.Dataset,
    name: str,
    required: Mapping[str, tuple[str, ...]],
    optional: Mapping[str, tuple[str, ...]] | None = None,
    where: str = "",
) -> xr.Dataset:
    """Check schema name, dims, dtype, units and names of the variables.

    Parameters
    ----------
    required, optional : mapping
        Variable name to its dimensions; further variables are allowed.

    Raises
    ------
    SchemaError
    """
    where = where or "data set"
    if not isinstance(ds, xr.Dataset):
        raise fail(where, f"expected an xarray.Dataset of {name}, got {type(ds).__name__}")
    found = schema_of(ds)
    if found != name:
        raise fail(
            where,
            f"expected the schema {name!r}, found {found!r}" if found else f"attribute {ATTR!r} is missing",
            f"set attrs[{ATTR!r}] = {name!r} if the layout is right, or convert with `ronchi convert`",
        )
    for variable_name, dims in required.items():
        if variable_name not in ds.variables:
            have = ", ".join(map(str, ds.variables)) or "nothing"
            raise fail(where, f"variable {variable_name!r} of {name} is missing (found: {have})")
        _check_dims(ds, variable_name, dims, where)
    for variable_name, dims in (optional or {}).items():
        if variable_name in ds.variables:
            _check_dims(ds, variable_name, dims, where)
    truth = bool(ds.attrs.get("is_truth", 0))
    for key, var in ds.variables.items():
        variable_name = str(key)
        if var.dtype == np.dtype(object):
            raise fail(where, f"variable {variable_name!r} has dtype object", "use a numeric or a fixed-width dtype")
        if truth or variable_name in ds.indexes or var.dtype.kind in "SU":
            continue
        for attr in ("units", "long_name"):
            if attr not in var.attrs:
                raise fail(where, f"variable {variable_name!r} has no attribute {attr!r}", "use '1' for a pure number")
    return ds


def _check_dims(ds: xr.Dataset, name: str, dims: tuple[str, ...], where: str) -> None:
    if ds[name].dims == dims:
        return
    fix = "transpose or rename"
    if lost := [dim for dim in dims if dim not in ds[name].dims and dim in ds.coords]:
        # What a number in `isel` leaves of an axis.
        fix = f"keep the axis, with the index in brackets: isel({lost[0]}=[3])"
    raise fail(where, f"variable {name!r} has dims {ds[name].dims}, expected {dims}", fix)


def distortion(attrs: Mapping[Any, Any], where: str) -> NDArray[np.float64] | None:
    """(2, 2) matrix A of ``q_true = A q_measured``, in the order (y, x), from ``q_distortion``; None if there is none.

    Raises
    ------
    CalibrationError
        The attribute is not four finite numbers, or A turns the pattern inside out.
    """
    if "q_distortion" not in attrs:
        return None
    values = np.asarray(attrs["q_distortion"], dtype=np.float64).ravel()
    if values.size != 4 or not np.isfinite(values).all() or values[0] * values[3] - values[1] * values[2] <= 0:
        raise CalibrationError(
            f"q_distortion is {values.tolist()}: expected a 2 x 2 matrix (y, x), row-major, of positive determinant",
            where=where,
            fix="repeat the distortion calibration, or remove the attribute",
        )
    return values.reshape(2, 2)

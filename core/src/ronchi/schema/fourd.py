"""``fourd/1``: diffraction patterns on a scan.

A line or a list of patterns is a scan of one row. Positions that do not lie on a grid stand in the coordinates
``position_y`` and ``position_x`` (scan_y, scan_x), in angstrom or pixel, and follow the data through the steps;
``valid`` is 0 where no pattern was recorded.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from ronchi.optics import disk_radius
from ronchi.schema.common import ATTR, check_dataset, fail, variable

__all__ = [
    "DIMS",
    "NAME",
    "OF_AXIS",
    "POSITIONS",
    "centre_px",
    "disk_radius_px",
    "make",
    "q_step",
    "q_units",
    "scan_units",
    "validate",
]

NAME = "fourd/1"
DIMS = ("scan_y", "scan_x", "qy", "qx")
NUMBERS = ("beam_energy_eV", "semiangle_mrad", "camera_length_m", "scan_rotation_deg", "dose")
"""Attributes that are one finite number where they are there."""
UNITS = {"scan": ("angstrom", "pixel"), "q": ("1/angstrom", "pixel")}
POSITIONS = ("position_y", "position_x")
"""Coordinates of positions that do not lie on a grid."""
_OPTIONAL = {
    "probe": ("qy", "qx"),
    "bad_pixel": ("qy", "qx"),
    "valid": ("scan_y", "scan_x"),
    **dict.fromkeys(POSITIONS, ("scan_y", "scan_x")),
    "origin_y": ("scan_y", "scan_x"),
    "origin_x": ("scan_y", "scan_x"),
}
_ORIGINS = {"origin_y": "qy", "origin_x": "qx"}
OF_AXIS = "of_axis"
"""Attribute of the origins: first value, step and length of the q axis on whose pixels they were counted."""


def validate(ds: xr.Dataset, where: str = "") -> xr.Dataset:
    """Check a ``fourd/1`` data set without touching its patterns.

    Raises
    ------
    SchemaError
        A variable, dimension, unit or coordinate is missing or wrong, or a calibration
        among the attributes is no finite number.
    """
    check_dataset(ds, NAME, {"intensity": DIMS}, _OPTIONAL, where)
    where = where or "data set"
    for dim in DIMS:
        if ds.sizes[dim] == 0:
            raise fail(where, f"dimension {dim!r} is empty")
        if dim not in ds.coords:
            raise fail(where, f"coordinate {dim!r} is missing", "use numpy.arange in 'pixel' if uncalibrated")
        coordinate = ds[dim]
        allowed = UNITS["q" if dim.startswith("q") else "scan"]
        if coordinate.attrs.get("units") not in allowed:
            raise fail(where, f"{dim!r} has units {coordinate.attrs.get('units')!r}, allowed: {', '.join(allowed)}")
        values = np.asarray(coordinate.values, dtype=float)
        steps = np.diff(values)
        if len(steps) and (
            not np.isfinite(values).all() or steps.min() <= 0 or np.ptp(steps) > 1e-3 * abs(steps.mean())
        ):
            raise fail(where, f"coordinate {dim!r} is not finite, increasing and evenly spaced")
    if ds["intensity"].dtype.kind not in "iuf":
        raise fail(where, f"'intensity' has dtype {ds['intensity'].dtype}, expected integers or floats")
    for name in NUMBERS:
        value = ds.attrs.get(name, 0.0)
        plain = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        if not (plain and np.isfinite(value)):
            raise fail(where, f"attribute {name!r} is {value!r}, expected a finite number", "set it, or leave it out")
    return ds


def make(
    intensity: Any,
    *,
    scan_step: tuple[float, float] | None = None,
    q_step: tuple[float, float] | None = None,
    probe: Any = None,
    bad_pixel: Any = None,
    valid: Any = None,
    centre_px: tuple[float, float] | None = None,
    **attrs: Any,
) -> xr.Dataset:
    """Build a ``fourd/1`` data set around an array.

    Parameters
    ----------
    intensity : (scan_y, scan_x, qy, qx) array
        numpy, memory-mapped or dask; kept as it is.
    scan_step : tuple of float, optional
        ``(y, x)`` in angstrom; pixels if absent.
    q_step : tuple of float, optional
        ``(y, x)`` in 1/angstrom; pixels if absent.
    probe, bad_pixel : (qy, qx) arrays, optional
    valid : (scan_y, scan_x) array, optional
    centre_px : tuple of float, optional
        Pixel of q = 0; N // 2 by default.
    **attrs
        ``beam_energy_eV``, ``semiangle_mrad``, ``camera_length_m``,
        ``scan_rotation_deg``, ``dose``, ``title``; None is left out.

    Raises
    ------
    SchemaError
        ``intensity`` is not 4-D.
    """
    if len(intensity.shape) != 4:
        raise fail(
            "intensity", f"expected 4 dimensions {DIMS}, got shape {tuple(intensity.shape)}", "give `scan_shape`"
        )
    shape = dict(zip(DIMS, intensity.shape, strict=True))
    centre = centre_px or (shape["qy"] // 2, shape["qx"] // 2)
    coords: dict[str, xr.Variable] = {}
    for axis, dim in enumerate(DIMS[:2]):
        step = scan_step[axis] if scan_step else 1.0
        units = "angstrom" if scan_step else "pixel"
        coords[dim] = variable(dim, np.arange(shape[dim]) * step, units, f"scan position, {dim[-1]}")
    for axis, dim in enumerate(DIMS[2:]):
        step = q_step[axis] if q_step else 1.0
        units = "1/angstrom" if q_step else "pixel"
        coords[dim] = variable(
            dim, (np.arange(shape[dim]) - centre[axis]) * step, units, f"scattering vector, {dim[-1]}"
        )
    data = {"intensity": variable(DIMS, intensity, "counts", "diffracted intensity")}
    if probe is not None:
        data["probe"] = variable(DIMS[2:], probe, "counts", "probe over vacuum")
    if bad_pixel is not None:
        data["bad_pixel"] = variable(DIMS[2:], np.asarray(bad_pixel).astype("i1"), "1", "1 where the detector is bad")
    if valid is not None:
        data["valid"] = variable(DIMS[:2], np.asarray(valid).astype("i1"), "1", "1 where a pattern was recorded")
    kept = {name: value for name, value in attrs.items() if value is not None}
    return validate(xr.Dataset(data, coords, {ATTR: NAME, **kept}))


def q_step(ds: xr.Dataset) -> tuple[float, float]:
    """Pixel size ``(y, x)`` of the detector in `q_units`; a lone row or column has that of the other axis."""
    y, x = _step(ds, "qy"), _step(ds, "qx")
    return y or abs(x or 1.0), x or abs(y or 1.0)


def q_units(ds: xr.Dataset) -> str:
    """``"1/angstrom"`` or ``"pixel"``."""
    return str(ds["qx"].attrs["units"])


def scan_units(ds: xr.Dataset) -> str:
    """``"angstrom"`` or ``"pixel"``."""
    return str(ds["scan_x"].attrs["units"])


def centre_px(ds: xr.Dataset) -> tuple[float, float]:
    """Pixel ``(y, x)`` at which q = 0."""
    steps = q_step(ds)
    return -float(ds["qy"][0]) / steps[0], -float(ds["qx"][0]) / steps[1]


def with_axes_noted(ds: xr.Dataset) -> xr.Dataset:
    """The same; its origins of single positions, where there are any, tell on which q axes they were counted."""
    noted = {}
    for (name, dim), step in zip(_ORIGINS.items(), q_step(ds), strict=True):
        if name in ds:
            noted[name] = ds[name].assign_attrs({OF_AXIS: [float(ds[dim][0]), step, float(ds.sizes[dim])]})
    return ds.assign(noted)


def origin_lag_px(data: xr.DataArray | xr.Dataset) -> tuple[int, int]:
    """Rows and columns that were cut off by hand, as by ``isel``, since the origins of single positions were counted.

    Parameters
    ----------
    data : DataArray or Dataset
        Patterns with ``qy`` and ``qx``, and the origins, of a DataArray as coordinates.

    Returns
    -------
    tuple of int
        By which ``origin_y`` and ``origin_x`` are too large; 0 where the axis is another one, or nothing is noted.
    """
    lag = [0, 0]
    held = data.coords if isinstance(data, xr.DataArray) else data.variables
    for axis, (name, dim) in enumerate(_ORIGINS.items()):
        noted = data[name].attrs.get(OF_AXIS) if name in held else None
        if noted is None or np.size(noted) != 3 or dim not in data.coords or data.sizes[dim] < 2:
            continue
        first, step, length = (float(value) for value in np.ravel(noted))
        values = data[dim].values
        if len(values) == length:
            # Another zero, and nothing cut.
            continue
        cut = (float(values[0]) - first) / step
        same_step = abs(float(values[-1] - values[0]) / (len(values) - 1) / step - 1) < 1e-6
        lag[axis] = round(cut) if same_step and abs(cut - round(cut)) < 1e-3 else 0
    return lag[0], lag[1]


def disk_radius_px(ds: xr.Dataset) -> float | None:
    """Radius of the bright disk in px, from the calibration, else from the area of the probe; None without either.

    On a detector with unequal steps it is that of the disk of equal area.
    """
    energy, semiangle = ds.attrs.get("beam_energy_eV"), ds.attrs.get("semiangle_mrad")
    if energy and semiangle and q_units(ds) == "1/angstrom":
        step_y, step_x = q_step(ds)
        return disk_radius(float(energy), float(semiangle)) / math.sqrt(step_y * step_x)
    if "probe" in ds:
        probe = ds["probe"].values
        return math.sqrt(float((probe > 0.5 * probe.max()).sum()) / math.pi)
    return None


def _step(ds: xr.Dataset, dim: str) -> float | None:
    values = ds[dim].values
    return float(values[-1] - values[0]) / (len(values) - 1) if len(values) > 1 else None

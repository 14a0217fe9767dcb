"""What a HyperSpy signal is made of, and what its axes and metadata mean here."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.errors import CalibrationError, SchemaError
from ronchi.history import ATTR as HISTORY
from ronchi.interop.axis_units import scan_scale
from ronchi.interop.signal_notes import notes_of
from ronchi.optics import PLAUSIBLE, implausible
from ronchi.schema import fourd, schema_of
from ronchi.schema.common import ATTR, CARRIED_ATTRS, variable

__all__ = [
    "NODE",
    "SCAN",
    "Parts",
    "attrs_of",
    "axes_of",
    "coordinate",
    "frames_of",
    "metadata_of",
    "place_of",
    "scan_coords",
    "tell_of_lost",
    "with_frames",
    "with_places",
]

_log = logging.getLogger("ronchi.interop")

NODE = "ronchi"
"""Node of the metadata that holds what HyperSpy has no place for."""

_TEM = {
    "beam_energy_eV": ("beam_energy", 1e-3),
    "semiangle_mrad": ("convergence_angle", 1.0),
    "camera_length_m": ("camera_length", 1000.0),
    "scan_rotation_deg": ("scan_rotation", 1.0),
}
"""Our attribute to HyperSpy's name under Acquisition_instrument.TEM, and the factor."""

_KEPT = tuple(name for name in CARRIED_ATTRS if name not in _TEM and name != "title")
"""Attributes for which HyperSpy has no place."""

_OF_A_FILE = ("source_format", "dataset", "file_contents", "is_lazy", "notes", "calibration_refused", HISTORY)
"""What a reader says of the file that data come from, which is not the one that is written."""

_PLACES = {
    "position_y": "position, y",
    "position_x": "position, x",
    "origin_y": "row of the direct beam",
    "origin_x": "column of the direct beam",
    "origin_residual": "measured minus fitted origin",
}
"""Variables over the scan that say where something lies."""

_UNITS = {"angstrom": "Å", "1/angstrom": "1/Å", "pixel": "px"}
_BESIDE = {"scan_y": "scan_x", "scan_x": "scan_y", "qy": "qx", "qx": "qy", "y": "x", "x": "y"}
_NAMES = {"scan_y": "y", "scan_x": "x", "qy": "ky", "qx": "kx", "frame": "frame", "y": "y", "x": "x"}
SCAN = ("scan_y", "scan_x")


@dataclass(frozen=True)
class Parts:
    """What a HyperSpy signal is made of.

    Parameters
    ----------
    data : array
        Navigation axes first; dask if the data were lazy, of dtype object if it is ragged.
    axes : sequence of dict
        ``name``, ``size``, ``scale``, ``offset``, ``units``, ``navigate``, in the order of the array.
    metadata : mapping
        Nested, of plain values.
    ragged : bool
        One (n, column) array a navigation position.
    """

    data: Any
    axes: Sequence[Mapping[str, Any]]
    metadata: Mapping[str, Any]
    ragged: bool = False

    @property
    def lazy(self) -> bool:
        """True for dask data."""
        return hasattr(self.data, "dask")


def axes_of(ds: xr.Dataset, dims: Sequence[str], navigation: int) -> list[dict[str, Any]]:
    """Axes of a signal from coordinates; the first ``navigation`` ones are navigation axes."""
    axes = []
    for number, dim in enumerate(dims):
        values = _values(ds, dim)
        units = str(ds[dim].attrs.get("units", "pixel")) if dim in ds.coords else "pixel"
        # A lone row or column has no step: it is drawn with square pixels.
        spread = values if len(values) > 1 else _values(ds, _BESIDE.get(dim, dim))
        axes.append(
            {
                "name": _NAMES[dim],
                "size": int(ds.sizes[dim]),
                "scale": float((spread[-1] - spread[0]) / (len(spread) - 1)) if len(spread) > 1 else 1.0,
                "offset": float(values[0]) if len(values) else 0.0,
                "units": _UNITS.get(units, "px"),
                "navigate": number < navigation,
            }
        )
    return axes


def _values(ds: xr.Dataset, dim: str) -> NDArray[np.float64]:
    return np.asarray(ds[dim].values, float) if dim in ds.coords else np.arange(ds.sizes[dim], dtype=float)


def metadata_of(ds: xr.Dataset, signal_type: str, node: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Metadata of a signal from attributes; ``node`` is what HyperSpy has no place for."""
    tem: dict[str, Any] = {
        theirs: float(ds.attrs[ours]) * factor for ours, (theirs, factor) in _TEM.items() if ours in ds.attrs
    }
    if "instrument" in ds.attrs:
        tem["microscope"] = str(ds.attrs["instrument"])
    ours = {key: ds.attrs[key] for key in _KEPT if key in ds.attrs}
    elsewhere = (ATTR, "title", "instrument", *_TEM, *_KEPT, *_OF_A_FILE)
    return {
        "General": {"title": str(ds.attrs.get("title", ""))},
        "Signal": {"signal_type": signal_type},
        **({"Acquisition_instrument": {"TEM": tem}} if tem else {}),
        NODE: {"schema": schema_of(ds), **ours, "attrs": notes_of(ds, elsewhere), **(node or {})},
    }


def tell_of_lost(ds: xr.Dataset, kept: Collection[str]) -> None:
    """Warn of variables that have no place in a signal."""
    if lost := [str(name) for name in ds.variables if name not in kept and name not in ds.dims]:
        _log.warning(
            "%s left out: HyperSpy's signals have no place for %s; .nc and .zarr files hold everything",
            ", ".join(lost) + (" are" if len(lost) > 1 else " is"),
            "them" if len(lost) > 1 else "it",
        )


def attrs_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of a data set from the metadata of a signal."""
    tem = metadata.get("Acquisition_instrument", {}).get("TEM", {})
    node = metadata.get(NODE, {})
    found: dict[str, Any] = {}
    for ours, (theirs, factor) in _TEM.items():
        value = tem.get(theirs)
        # Others write 0 for what they do not know; here a rotation of 0 is a known one.
        known = value != 0 or (ours == "scan_rotation_deg" and bool(node))
        if not isinstance(value, int | float | np.number) or not np.isfinite(value) or not known:
            continue
        why = "" if node or ours not in PLAUSIBLE else implausible(float(value) / factor, ours)
        if why:
            _log.warning("%s of the metadata is not believed: %s", theirs, why)
        else:
            found[ours] = float(value) / factor
    if "camera_length_m" not in found:
        # pyxem has a place of its own for it, in cm.
        in_cm = tem.get("Detector", {}).get("Diffraction", {}).get("camera_length")
        found |= {"camera_length_m": float(in_cm) / 100} if in_cm else {}
    texts = {"title": metadata.get("General", {}).get("title"), "instrument": tem.get("microscope")}
    return (
        found
        | {key: _plain(node[key]) for key in _KEPT if key in node}
        | {key: str(text) for key, text in texts.items() if text}
    )


def _plain(value: Any) -> Any:
    """A number or a text, which files may hold as an array without dimensions, or an array."""
    array = np.asarray(value)
    return array.item() if array.ndim == 0 else array


def place_of(ds: xr.Dataset) -> dict[str, Any]:
    """Entries of the node for positions off the grid, and origins of patterns, with their units."""
    found: dict[str, Any] = {}
    for name in _PLACES:
        if name in ds.variables and ds[name].dims == SCAN:
            found |= {name: np.asarray(ds[name].values), f"{name}_units": str(ds[name].attrs["units"])}
            if fourd.OF_AXIS in ds[name].attrs:
                found[f"{name}_of_axis"] = [float(value) for value in np.ravel(ds[name].attrs[fourd.OF_AXIS])]
    return found


def with_places(ds: xr.Dataset, node: Mapping[str, Any]) -> xr.Dataset:
    """Put the entries that `place_of` made back, where they fit: a signal that was cut keeps those of the whole."""
    shape = tuple(ds.sizes[dim] for dim in SCAN)
    found = {
        name: variable(SCAN, np.asarray(node[name]), str(node[f"{name}_units"]), text)
        for name, text in _PLACES.items()
        if name in node and f"{name}_units" in node and np.shape(node[name]) == shape
    }
    for name, var in found.items():
        if f"{name}_of_axis" in node:
            var.attrs[fourd.OF_AXIS] = [float(value) for value in np.ravel(node[f"{name}_of_axis"])]
    return ds.assign(found).set_coords([name for name in fourd.POSITIONS if name in found])


def frames_of(ds: xr.Dataset) -> dict[str, Any]:
    """Entries of the node for numbers and times of frames, with the units of the times."""
    found = {name: np.asarray(ds[name].values) for name in ("frame", "time") if name in ds.coords}
    return found | ({"time_units": str(ds["time"].attrs.get("units", "1"))} if "time" in found else {})


def with_frames(ds: xr.Dataset, navigation: Sequence[Mapping[str, Any]], node: Mapping[str, Any]) -> xr.Dataset:
    """Put back what `frames_of` noted; of a signal that was cut, as far as its axis still tells.

    A cut moves the offset of an axis whose steps are those of the numbers, and the frames are those of these numbers.
    """
    numbers = np.asarray(node.get("frame", []))
    if len(navigation) != 1 or not len(numbers):
        return ds
    axis, whole = navigation[0], len(numbers)
    # The position of each frame in the whole, by the axis that was made of the whole's first and last number.
    step = float(numbers[-1] - numbers[0]) / (whole - 1) if whole > 1 else 1.0
    first = (float(axis["offset"]) - float(numbers[0])) / step
    index = np.rint(first + np.arange(axis["size"]) * float(axis["scale"]) / step).astype(int)
    if index.min() < 0 or index.max() >= whole or len(np.unique(index)) < len(index):
        return ds
    found = {"frame": variable("frame", numbers[index], "1", "frame number")}
    if "time" in node and np.shape(node["time"]) == numbers.shape:
        found["time"] = variable("frame", np.asarray(node["time"])[index], str(node.get("time_units", "1")), "time")
    return ds.assign_coords(found)


def coordinate(
    dim: str, axis: Mapping[str, Any], scale: float | None, units: str, text: str, *, own: bool
) -> xr.Variable:
    """A coordinate in ``units``, of which an axis' own unit is ``scale``; in pixels if that is None.

    Where the signal is our ``own``, every other pixel of a pattern is two pixels from the next; others number them.
    """
    step = float(axis["scale"])
    if not step > 0:
        raise CalibrationError(f"the axis {axis['name']!r} has the step {step:g}", fix="flip the data along it")
    if scale is None and not (own and axis["units"] == _UNITS["pixel"]):
        return variable(dim, np.arange(axis["size"], dtype=float) + float(axis["offset"]) / step, "pixel", text)
    scale, units = (1.0, "pixel") if scale is None else (scale, units)
    values = (float(axis["offset"]) + np.arange(axis["size"]) * step) * scale
    return variable(dim, values, units, text)


def scan_coords(axes: Sequence[Mapping[str, Any]], *, own: bool) -> dict[str, xr.Variable]:
    """Coordinates of no, one or two navigation axes; missing ones have one position."""
    if len(axes) > 2:
        raise SchemaError(f"the signal has {len(axes)} navigation axes", fix="give a scan of at most two")
    one = {"name": "", "size": 1, "scale": 1.0, "offset": 0.0, "units": "px"}
    both = [*([one] * (2 - len(axes))), *axes]
    scales = [scan_scale(axis["units"], str(axis["name"])) for axis in both]
    if len(axes) == 1:
        scales[0] = None if scales[1] is None else 1.0
    if None in scales:
        scales = [None, None]
    return {
        dim: coordinate(dim, axis, scale, "angstrom", f"scan position, {dim[-1]}", own=own)
        for dim, axis, scale in zip(SCAN, both, scales, strict=True)
    }

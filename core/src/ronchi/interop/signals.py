"""Data sets as the parts of a HyperSpy signal, and back: array, axes, metadata. HyperSpy itself is not needed.

========== ====================================================== =============================================
schema     signal                                                 axes
========== ====================================================== =============================================
fourd/1    (y, x | ky, kx), lazy data stay lazy                   Å and 1/Å, 0 at the pattern's centre; else px
images/1   (frame | y, x)                                         Å, else px
peaks/1    ragged (y, x): one (n, column) array a position        Å, else px
strain/1   (component | y, x), a component a map                  Å, else px
========== ====================================================== =============================================

Beam energy (keV), convergence angle (mrad), camera length (mm, as RosettaSciIO gives it) and scan rotation (deg) have
their places under ``Acquisition_instrument.TEM``; what HyperSpy has no place for goes into the node ``ronchi``: masks,
positions, origins and all attributes. A warning names variables that no schema knows, which are left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.errors import SchemaError
from ronchi.interop.axis_units import q_scale, scan_scale
from ronchi.interop.signal_notes import with_notes
from ronchi.interop.signal_parts import (
    NODE,
    SCAN,
    Parts,
    attrs_of,
    axes_of,
    coordinate,
    frames_of,
    metadata_of,
    place_of,
    scan_coords,
    tell_of_lost,
    with_frames,
    with_places,
)
from ronchi.schema import fourd, images, peaks, schema_of, strain, validate
from ronchi.schema.common import ATTR, variable

__all__ = ["NODE", "SCHEMAS", "Parts", "dataset_of", "parts_of"]

SCHEMAS = (fourd.NAME, images.NAME, peaks.NAME, strain.NAME)
"""Schemas that have a form as a signal."""

_MEASURED = ("intensity", "probe")
_LABELS = {"units": "units", "long_name": "long_names"}
"""What each variable says of itself, and the entry that lists it for the columns of a table."""


def parts_of(ds: xr.Dataset) -> Parts:
    """Take a data set apart.

    Raises
    ------
    SchemaError
        It is of a schema without a form as a signal.
    """
    validate(ds)
    name = schema_of(ds)
    if name == fourd.NAME:
        extra = {key: np.asarray(ds[key].values) for key in ("probe", "bad_pixel", "valid") if key in ds} | place_of(ds)
        tell_of_lost(ds, {"intensity", *extra})
        extra |= _labels(ds)
        if "bad_pixel" in ds and ds["bad_pixel"].attrs.get("filled"):
            extra["bad_pixel_filled"] = 1
        return Parts(
            _array(ds["intensity"]), axes_of(ds, fourd.DIMS, 2), metadata_of(ds, "electron_diffraction", extra)
        )
    if name == images.NAME:
        extra = frames_of(ds)
        tell_of_lost(ds, {"intensity", *extra})
        return Parts(_array(ds["intensity"]), axes_of(ds, images.DIMS, 1), metadata_of(ds, "", extra | _labels(ds)))
    if name == peaks.NAME:
        return _peaks_parts(ds)
    if name == strain.NAME:
        components = _numbers_over(ds, SCAN)
        axis = {"name": "component", "size": len(components), "scale": 1.0, "offset": 0.0, "units": "px"}
        node = {"components": components, **_labels_of_columns(ds, components)} | {
            key: str(ds.attrs[key]) for key in ("frame", "reference", "measure") if key in ds.attrs
        }
        stack = np.stack([np.asarray(ds[key].values, np.float64) for key in components])
        units = {"residual_units": ds["residual"].attrs["units"]} if "residual" in ds else {}
        axes = [{**axis, "navigate": True}, *axes_of(ds, SCAN, 0)]
        tell_of_lost(ds, {*components, *place_of(ds)})
        return Parts(stack, axes, metadata_of(ds, "", node | units | place_of(ds)))
    raise SchemaError(f"{name} has no form as a signal", fix=f"give one of {', '.join(SCHEMAS)}")


def dataset_of(parts: Parts) -> xr.Dataset:
    """Put a data set together from the parts of a signal, ours or HyperSpy's own.

    A signal of patterns on no, one or two navigation axes is a scan; one that says so itself is whatever it was.

    Raises
    ------
    SchemaError
        The signal has no form as a data set.
    CalibrationError
        An axis has a unit that is neither length, inverse length, angle nor pixel, or a negative step.
    """
    node = dict(parts.metadata.get(NODE, {}))
    # What a program derives from a signal keeps its metadata: a ragged one is of peaks, whatever they say.
    name = peaks.NAME if parts.ragged else str(node.get("schema", ""))
    signal_axes = [axis for axis in parts.axes if not axis["navigate"]]
    if name == strain.NAME:
        return with_notes(_strain_dataset(parts, node), node)
    if name == peaks.NAME:
        return with_notes(_peaks_dataset(parts, node), node)
    if len(signal_axes) != 2 or not np.issubdtype(parts.data.dtype, np.number):
        what = f"a signal with {len(signal_axes)} signal axes and dtype {parts.data.dtype} is no pattern"
        raise SchemaError(what, fix="give a Signal2D, or a ragged signal of peaks")
    made = _images_dataset(parts, node) if name == images.NAME else _fourd_dataset(parts, node)
    return with_notes(made, node)


def _array(var: xr.DataArray) -> Any:
    """The values, as dask if they are not in memory."""
    if var.chunks is not None or var.variable._in_memory:
        return var.data
    if var.ndim == 4:
        from ronchi.chunking import as_dask

        return as_dask(var).data
    return var.chunk({str(var.dims[0]): 1}).data


def _fourd_dataset(parts: Parts, node: Mapping[str, Any]) -> xr.Dataset:
    attrs = attrs_of(parts.metadata)
    own = "schema" in node
    coords = scan_coords([axis for axis in parts.axes if axis["navigate"]], own=own)
    signal = [axis for axis in parts.axes if not axis["navigate"]]
    scales = [q_scale(axis["units"], str(axis["name"]), attrs.get("beam_energy_eV")) for axis in signal]
    if not own and not any(float(axis["offset"]) for axis in signal):
        # Others leave offsets at 0 where nobody set them: q = 0 is then in the middle, as for files.
        signal = [{**axis, "offset": -(axis["size"] // 2) * float(axis["scale"])} for axis in signal]
    for dim, axis, scale in zip(("qy", "qx"), signal, [None, None] if None in scales else scales, strict=True):
        coords[dim] = coordinate(dim, axis, scale, "1/angstrom", f"scattering vector, {dim[-1]}", own=own)
    shape = tuple(coords[dim].size for dim in fourd.DIMS)
    extra = {"probe": shape[2:], "bad_pixel": shape[2:], "valid": shape[:2]}
    # A signal that was cut keeps what belonged to the whole.
    fitting = {key: node[key] for key, wanted in extra.items() if key in node and np.shape(node[key]) == wanted}
    made = fourd.make(parts.data.reshape(shape), **fitting, **attrs)
    _put_labels(made, node)
    if "bad_pixel" in made and node.get("bad_pixel_filled"):
        made["bad_pixel"].attrs["filled"] = 1
    return fourd.validate(with_places(made.assign_coords(coords), node))


def _images_dataset(parts: Parts, node: Mapping[str, Any]) -> xr.Dataset:
    navigation = [axis for axis in parts.axes if axis["navigate"]]
    signal = [axis for axis in parts.axes if not axis["navigate"]]
    frames = int(np.prod([axis["size"] for axis in navigation]))
    data = parts.data.reshape(frames, *(axis["size"] for axis in signal))
    made = images.make(data, **attrs_of(parts.metadata))
    _put_labels(made, node)
    scales = [scan_scale(axis["units"], str(axis["name"])) for axis in signal]
    places = {
        dim: coordinate(dim, axis, scale, "angstrom", f"position, {dim}", own="schema" in node)
        for dim, axis, scale in zip(("y", "x"), signal, [None, None] if None in scales else scales, strict=True)
    }
    return images.validate(with_frames(made.assign_coords(places), navigation, node))


def _numbers_over(ds: xr.Dataset, dims: tuple[str, ...]) -> list[str]:
    """Variables of numbers that lie over these dimensions."""
    return [str(key) for key, var in ds.data_vars.items() if var.dims == dims and var.dtype.kind in "biuf"]


def _labels(ds: xr.Dataset) -> dict[str, str]:
    """Entries of the node for the units and long names of what was measured."""
    return {f"{name}_{key}": str(ds[name].attrs[key]) for name in _MEASURED if name in ds for key in _LABELS}


def _put_labels(ds: xr.Dataset, node: Mapping[str, Any]) -> None:
    for name, key in itertools.product(_MEASURED, _LABELS):
        if name in ds and f"{name}_{key}" in node:
            ds[name].attrs[key] = str(node[f"{name}_{key}"])


def _labels_of_columns(ds: xr.Dataset, names: Sequence[str]) -> dict[str, list[str]]:
    """The same of variables that lie in one table, in the order of ``names``."""
    defaults = zip(_LABELS, ("1", ""), strict=True)
    return {_LABELS[key]: [str(ds[name].attrs.get(key, text or name)) for name in names] for key, text in defaults}


def _put_labels_of_columns(ds: xr.Dataset, names: Sequence[str], node: Mapping[str, Any]) -> None:
    for key, entry in _LABELS.items():
        for name, text in zip(names, node.get(entry, ()), strict=False):
            ds[name].attrs[key] = str(text)


def _unknown(held: Mapping[str, Any], known: Container[str], dims: tuple[str, ...]) -> dict[str, xr.Variable]:
    """Variables that no schema knows."""
    return {key: variable(dims, held[key], "1", key) for key in held if key not in known}


def _peaks_parts(ds: xr.Dataset) -> Parts:
    columns = list(dict.fromkeys(["qy", "qx", "intensity", *_numbers_over(ds, ("peak",))]))
    table = np.column_stack([np.asarray(ds[column].values, np.float64) for column in columns])
    ragged = np.empty(tuple(int(n) for n in ds.attrs["scan_shape"]), dtype=object)
    for index in np.ndindex(ragged.shape):
        ragged[index] = table[:0]
    edges = peaks.offsets(ds)
    for pos, index in enumerate(zip(ds["scan_y_index"].values, ds["scan_x_index"].values, strict=True)):
        ragged[index] = table[edges[pos] : edges[pos + 1]]
    tell_of_lost(ds, {*columns, "n_peaks", "scan_y_index", "scan_x_index", *place_of(ds)})
    node = {
        "columns": columns,
        **_labels_of_columns(ds, columns),
        **{key: [float(v) for v in ds.attrs[key]] for key in ("q_step", "q_origin_px", "q_shape")},
        **place_of(ds),
    }
    return Parts(ragged, axes_of(ds, SCAN, 2), metadata_of(ds, "", node), ragged=True)


def _peaks_dataset(parts: Parts, node: Mapping[str, Any]) -> xr.Dataset:
    axes = [axis for axis in parts.axes if axis["navigate"]]
    coords = scan_coords(axes, own="schema" in node)
    shape = (coords["scan_y"].size, coords["scan_x"].size)
    lists = np.asarray(parts.data.compute() if parts.lazy else parts.data, dtype=object).reshape(-1)
    tables = [np.atleast_2d(np.asarray(found, np.float64)) if np.size(found) else None for found in lists]
    width = max((table.shape[1] for table in tables if table is not None), default=2)
    empty = np.empty((0, width))
    flat = np.concatenate([empty, *(table for table in tables if table is not None)])
    columns = [str(c) for c in node.get("columns", ("qy", "qx", "intensity"))][:width]
    held = dict(zip(columns, flat.T, strict=True))
    geometry = {key: tuple(node[key]) for key in ("q_step", "q_origin_px", "q_shape") if key in node}
    if "q_shape" in geometry:
        geometry["q_shape"] = tuple(int(n) for n in geometry["q_shape"])
    known = {key: held[key] for key in (*peaks.PER_PEAK, "flags", "disk_counts") if key in held}
    made = peaks.make(
        counts=[0 if table is None else len(table) for table in tables],
        scan_shape=shape,
        scan_coords=coords,
        q_units=str(node["units"][0]) if "units" in node else "pixel",
        attrs=attrs_of(parts.metadata),
        **known,
        **geometry,
    )
    indices = {key: variable("peak", np.asarray(held[key], np.int16), "1", key) for key in ("h", "k") if key in held}
    made = made.assign(indices | _unknown(held, {*known, *indices}, ("peak",)))
    _put_labels_of_columns(made, columns, node)
    return with_places(made, node)


def _strain_dataset(parts: Parts, node: Mapping[str, Any]) -> xr.Dataset:
    names = [str(key) for key in node["components"]]
    maps: dict[str, NDArray[np.float64]] = dict(
        zip(names, np.asarray(parts.data.compute() if parts.lazy else parts.data), strict=True)
    )
    coords = scan_coords([axis for axis in parts.axes if not axis["navigate"]], own="schema" in node)
    attrs = attrs_of(parts.metadata) | {key: node[key] for key in ("measure",) if key in node}
    if "valid" not in maps:
        data = {key: variable(SCAN, maps[key], "rad" if key == "theta" else "1", key) for key in strain.COMPONENTS}
        truth = xr.Dataset(data | _unknown(maps, data, SCAN), coords, {**attrs, "is_truth": 1, ATTR: strain.NAME})
        _put_labels_of_columns(truth, names, node)
        return strain.validate(truth)
    made = strain.make(
        {key: maps[key] for key in strain.COMPONENTS},
        {key: maps[f"se_{key}"] for key in strain.COMPONENTS},
        residual=maps["residual"],
        n_used=np.nan_to_num(maps["n_used"]),
        valid=maps["valid"],
        residual_units=str(node.get("residual_units", "pixel")),
        frame=str(node.get("frame", "detector")),
        reference=str(node.get("reference", "unknown")),
        coords=coords,
        attrs=attrs,
    )
    made = made.assign(_unknown(maps, set(map(str, made)), SCAN))
    _put_labels_of_columns(made, names, node)
    return with_places(made, node)

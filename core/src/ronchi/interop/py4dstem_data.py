"""Patterns and peaks between py4DSTEM's arrays and our schemas; used for its objects and for its files alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.errors import SchemaError
from ronchi.interop.py4dstem_calibration import Frame
from ronchi.schema import fourd, peaks
from ronchi.schema.common import variable

__all__ = ["cube_of", "framed_peaks", "peak_columns", "peaks_of", "points_of", "scan_coords"]

_SAME = ("score", "flags", "h", "k", "disk_counts")
"""Fields of a point that are called as ours and do not change with the axes."""

_VARIANCES = {"var_xx": "var_yy", "var_xy": "var_yx", "var_yy": "var_xx"}
"""Fields to our names: their x is the row axis."""


def cube_of(intensity: Any, frame: Frame, **attrs: Any) -> xr.Dataset:
    """``fourd/1`` of an array whose patterns are already transposed where ``frame.mirrored`` asks for it.

    Parameters
    ----------
    intensity : (scan_y, scan_x, qy, qx) array, numpy, dask or lazily indexed
    frame : Frame
    **attrs
        More attributes; None is left out.

    Raises
    ------
    SchemaError
    """
    shape = intensity.shape
    made = fourd.make(
        intensity,
        scan_step=(frame.scan_step, frame.scan_step) if frame.scan_step else None,
        q_step=(frame.q_step, frame.q_step) if frame.q_step else None,
        centre_px=frame.centre_px((shape[2], shape[3])),
        **frame.attrs,
        **attrs,
    )
    return fourd.with_axes_noted(made.assign(_origins(frame)))


def peak_columns(
    records: NDArray[Any], positions: NDArray[np.int64], frame: Frame, q_shape: tuple[int, int]
) -> dict[str, NDArray[Any]]:
    """Columns of ``peaks/1`` from a flat array of points in px.

    Parameters
    ----------
    records : (peak,) structured array
        With the fields ``qx`` (row) and ``qy`` (column), and maybe ``intensity`` and what `points_of` adds.
    positions : (peak,) int64
        Flat scan index of each point.
    frame : Frame
    q_shape : tuple of int
        Rows and columns of the patterns, as `Frame.pattern_shape` gives them.

    Raises
    ------
    SchemaError
        The points have no ``qx`` or no ``qy``.
    """
    names = records.dtype.names or ()
    if not {"qx", "qy"} <= set(names):
        raise SchemaError(f"the points have the fields {', '.join(names) or 'none'}, not qx and qy", where="points")
    row, column = ("qy", "qx") if frame.mirrored else ("qx", "qy")
    step = frame.q_step or 1.0
    origin = np.array(frame.centre_px(q_shape)) if frame.origin_px is None else frame.origin_px
    if origin.ndim == 3:
        origin = origin.reshape(2, -1)[:, positions]
    # What a damaged file gives for a number may be infinite; a peak that is nowhere is left out where it is used.
    with np.errstate(invalid="ignore", over="ignore"):
        columns: dict[str, NDArray[Any]] = {
            "qy": (records[row].astype(np.float64) - origin[0]) * step,
            "qx": (records[column].astype(np.float64) - origin[1]) * step,
        }
    columns |= {name: records[name] for name in ("intensity", *_SAME) if name in names}
    if set(_VARIANCES) <= set(names):
        swapped = {"var_yy": "var_xx", "var_xx": "var_yy"} if frame.mirrored else {}
        for theirs, ours in _VARIANCES.items():
            columns[swapped.get(ours, ours)] = records[theirs] * step**2
    return columns


def peaks_of(
    counts: NDArray[Any],
    columns: Mapping[str, Any],
    scan_shape: tuple[int, int],
    *,
    q_step: float,
    q_units: str,
    q_origin_px: tuple[float, float],
    q_shape: tuple[int, int],
    scan_step: float | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """``peaks/1`` of all positions of a scan, in scan order.

    Parameters
    ----------
    counts : (scan_y * scan_x,) int
    columns : mapping of str to (peak,) array
        As from `peak_columns`; dask arrays stay lazy.

    Raises
    ------
    SchemaError
    """
    empty = peaks.make(
        counts=np.zeros(len(counts), np.int32),
        qy=[],
        qx=[],
        flags=np.empty(0, np.uint16) if "flags" in columns else None,
        disk_counts=[] if "disk_counts" in columns else None,
        scan_shape=scan_shape,
        q_step=(q_step, q_step),
        q_origin_px=q_origin_px,
        q_shape=q_shape,
        q_units=q_units,
        scan_coords=scan_coords(scan_shape, scan_step),
        attrs=dict(attrs or {}),
    )
    total = int(np.sum(counts))
    filled: dict[str, Any] = {"n_peaks": ("pos", np.asarray(counts, np.int32), empty["n_peaks"].attrs)}
    for name, var in empty.variables.items():
        if var.dims != ("peak",):
            continue
        given = columns.get(str(name))
        if given is None:
            given = np.full(total, 0.0 if name == "var_yx" else 1.0)
        filled[str(name)] = ("peak", given.astype(var.dtype), var.attrs)
    for name in {"h", "k"} & columns.keys():
        filled[name] = variable("peak", columns[name], "1", f"index {name}")
    return peaks.validate(empty.drop_dims("peak").assign(filled))


def framed_peaks(
    counts: NDArray[Any],
    columns: Mapping[str, Any],
    frame: Frame,
    scan_shape: tuple[int, int],
    q_shape: tuple[int, int],
) -> xr.Dataset:
    """`peaks_of` columns that `peak_columns` made with the same frame.

    Where each position has an origin of its own, the result keeps them as ``origin_y, origin_x`` [px].
    """
    made = peaks_of(
        counts,
        columns,
        scan_shape,
        q_step=frame.q_step or 1.0,
        q_units="1/angstrom" if frame.q_step else "pixel",
        q_origin_px=frame.centre_px(q_shape),
        q_shape=q_shape,
        scan_step=frame.scan_step,
        attrs=frame.attrs,
    )
    return made.assign(_origins(frame))


def points_of(ds: xr.Dataset) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Points in py4DSTEM's axes, in px, of a ``peaks/1`` data set.

    Returns
    -------
    counts : (scan_y * scan_x,) int64
        Of every position of the scan, 0 where it was not looked at.
    records : (peak,) structured float64 array
        ``qx`` (row), ``qy`` (column), ``intensity``, and then ``score, var_xx, var_xy, var_yy`` (px^2, of their x
        and y) and ``flags, h, k, disk_counts`` where there are any.

    Raises
    ------
    SchemaError
    """
    peaks.validate(ds)
    height, width = (int(n) for n in ds.attrs["scan_shape"])
    flat = ds["scan_y_index"].values.astype(np.int64) * width + ds["scan_x_index"].values
    counts = np.zeros(height * width, np.int64)
    np.add.at(counts, flat, ds["n_peaks"].values)
    order = np.argsort(np.repeat(flat, ds["n_peaks"].values), kind="stable")
    rows, columns = peaks.pixels(ds)
    if "origin_y" in ds and "origin_x" in ds:
        where = np.repeat(flat, ds["n_peaks"].values)
        rows += ds["origin_y"].values.ravel()[where] - ds.attrs["q_origin_px"][0]
        columns += ds["origin_x"].values.ravel()[where] - ds.attrs["q_origin_px"][1]
    step_y, step_x = (float(step) for step in ds.attrs["q_step"])
    fields: dict[str, NDArray[Any]] = {"qx": rows, "qy": columns, "intensity": ds["intensity"].values}
    fields["score"] = ds["score"].values
    for (theirs, ours), scale in zip(_VARIANCES.items(), (step_y**2, step_y * step_x, step_x**2), strict=True):
        fields[theirs] = ds[ours].values / scale
    fields |= {name: ds[name].values for name in _SAME[1:] if name in ds}
    records = np.empty(len(order), [(name, np.float64) for name in fields])
    for name, values in fields.items():
        records[name] = values[order]
    return counts, records


def scan_coords(scan_shape: tuple[int, int], scan_step: float | None) -> dict[str, xr.Variable]:
    """1-D coordinates of a scan."""
    units = "angstrom" if scan_step else "pixel"
    return {
        dim: variable(dim, np.arange(n) * (scan_step or 1.0), units, f"scan position, {dim[-1]}")
        for dim, n in zip(("scan_y", "scan_x"), scan_shape, strict=True)
    }


def _origins(frame: Frame) -> dict[str, xr.Variable]:
    if frame.origin_px is None or frame.origin_px.ndim != 3:
        return {}
    return {
        name: variable(("scan_y", "scan_x"), origin, "pixel", f"{word} of the direct beam")
        for name, origin, word in zip(("origin_y", "origin_x"), frame.origin_px, ("row", "column"), strict=True)
    }

"""py4DSTEM: its objects, names, axes and signs.

========== ============== ==========================================================
ronchi     py4DSTEM       meaning
========== ============== ==========================================================
``e_xx``   ``e_yy``       along the columns' axis, to the right
``e_yy``   ``e_xx``       along the rows' axis, downwards
``e_xy``   ``e_xy``       shear: the right angle between +x and +y closes
``theta``  ``theta``      lattice turned from +x (right) to +y (down)
========== ============== ==========================================================

py4DSTEM 0.14.18 calls the row axis x and the column axis y. Its ``e_xx = 1 - beta_xx`` with beta from g_ref to g
is infinitesimal and reciprocal: for 5 % of tension it gives 4.76 %, and 5 degrees of rotation look like 0.38 % of
strain. These errors are not reproduced.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ronchi.errors import DataError, SchemaError
from ronchi.interop.peers import need
from ronchi.interop.py4dstem_calibration import Frame, calibration_of, frame_of, scan_items
from ronchi.interop.py4dstem_data import cube_of, framed_peaks, peak_columns, peaks_of, points_of, scan_coords
from ronchi.interop.strain_maps import Maps, assemble, rename
from ronchi.schema import fourd, peaks, schema_of, strain

__all__ = [
    "STRAIN",
    "Frame",
    "calibration_of",
    "cube_of",
    "frame_of",
    "framed_peaks",
    "from_py4dstem",
    "peak_columns",
    "peaks_of",
    "points_of",
    "scan_coords",
    "scan_items",
    "strain_extras",
    "strain_from_slices",
    "to_py4dstem",
]

_log = logging.getLogger("ronchi.py4dstem")

STRAIN = {"e_xx": ("e_yy", 1), "e_yy": ("e_xx", 1), "e_xy": ("e_xy", 1), "theta": ("theta", 1)}
"""Their strain to ours, with the sign between them."""

_EXTRAS = {f"se_{theirs}": f"se_{ours}" for theirs, (ours, _) in STRAIN.items()} | {
    name: name for name in ("residual", "n_used")
}
"""Slices that py4DSTEM has not, to our variables."""


def to_py4dstem(ds: xr.Dataset) -> Any:
    """Patterns, peaks or strain as py4DSTEM has them.

    Parameters
    ----------
    ds : xarray.Dataset
        ``fourd/1``, ``peaks/1``, ``strain/1`` or its truth.

    Returns
    -------
    py4DSTEM.DataCube
        For patterns, which are read into memory, with their calibration.
    py4DSTEM.BraggVectors
        For peaks, with their calibration; the points have more fields than py4DSTEM's own: ``score``, variances in
        px^2 (``var_xx``: its x is the row axis), ``flags``.
    dict of (scan_y, scan_x) float64
        For strain, the slices of its strain map: ``e_xx`` (its x is the row axis), ``e_yy``, ``e_xy``, ``theta``
        [rad] and ``mask``; where the mask is 0 the others are 0. The values are finite strain.

    Raises
    ------
    SchemaError
        The data are none of these, or break their schema.
    PluginError
        py4DSTEM is not installed (``ronchi[py4dstem]``); strain does without.
    """
    found = schema_of(ds)
    if found == strain.NAME:
        return _slices(ds)
    if found == fourd.NAME:
        return _data_cube(fourd.validate(ds))
    if found == peaks.NAME:
        return _bragg_vectors(peaks.validate(ds))
    raise SchemaError(
        f"py4DSTEM takes fourd/1, peaks/1 or strain/1, not {found or 'a data set without schema'}", where="data set"
    )


def from_py4dstem(obj: Any, **labels: Any) -> xr.Dataset:
    """Bring an object of py4DSTEM into our schemas, signs and axes.

    Parameters
    ----------
    obj : DataCube, BraggVectors, StrainMap, or mapping of str to (scan_y, scan_x) array
        A mapping holds the slices of a strain map: ``e_xx, e_yy, e_xy, theta`` and, if there is one, ``mask``;
        0 in it becomes NaN.
    **labels
        Of strain: ``coords``: 1-D coordinates by name, indices by default; ``frame``: ``"detector"`` (default) or
        ``"scan"``; ``reference``: what the strain is relative to, in words. Of patterns and peaks:
        ``beam_energy_eV``, which turns a pixel size in mrad into 1/angstrom.

    Returns
    -------
    xarray.Dataset
        ``fourd/1`` around the same array, ``peaks/1``, or ``strain/1``, whose values are py4DSTEM's, infinitesimal
        ones, and whose attribute ``measure`` says so. Patterns and peaks of calibrations with ``QR_flip`` are
        transposed, since our schemas know no mirrored axes.

    Raises
    ------
    SchemaError
        A map is missing, or the shapes differ.
    DataError
        The object is none of these.
    """
    if isinstance(obj, Mapping):
        return strain_from_slices(obj, **labels)
    if hasattr(obj, "slicelabels") and np.ndim(obj.data) == 3:
        return strain_from_slices(dict(zip(obj.slicelabels, obj.data, strict=True)), **labels)
    if hasattr(obj, "raw") and hasattr(obj, "Qshape"):
        return _from_vectors(obj, **labels)
    if getattr(getattr(obj, "data", None), "ndim", 0) == 4:
        frame = frame_of(_items(obj), obj.data.shape[:2], **labels)
        return cube_of(obj.data.swapaxes(2, 3) if frame.mirrored else obj.data, frame)
    raise DataError(
        f"{type(obj).__name__} is no DataCube, BraggVectors or strain map", where="py4DSTEM", fix="give one of these"
    )


def strain_from_slices(maps: Mapping[str, Any], *, residual_units: str = "pixel", **labels: Any) -> xr.Dataset:
    """``strain/1`` from the slices of a py4DSTEM strain map by name; see `from_py4dstem` and `strain_extras`."""
    made = assemble(maps, STRAIN, "infinitesimal, 1 - sym(beta), of py4DSTEM", **labels)
    for theirs, ours in _EXTRAS.items():
        if theirs in maps:
            made[ours] = made[ours].copy(data=np.asarray(maps[theirs]).astype(made[ours].dtype))
    made["residual"].attrs["units"] = residual_units
    return made


def strain_extras(strain_ds: xr.Dataset) -> Maps:
    """Standard errors, residual and number of peaks of ``strain/1`` by the names of py4DSTEM's axes; truth has none."""
    return {
        theirs: np.asarray(strain_ds[ours].values, np.float64) for theirs, ours in _EXTRAS.items() if ours in strain_ds
    }


def _slices(strain_ds: xr.Dataset) -> Maps:
    maps = rename(strain_ds, STRAIN)
    mask = np.all([np.isfinite(values) for values in maps.values()], axis=0)
    return {name: np.where(mask, values, 0.0) for name, values in maps.items()} | {"mask": mask.astype(np.float64)}


def _data_cube(ds: xr.Dataset) -> Any:
    cube = need("py4DSTEM", "py4dstem").DataCube(np.asarray(ds["intensity"].values))
    if lost := [str(name) for name in ds.data_vars if name not in ("intensity", "origin_y", "origin_x")]:
        _log.warning("a DataCube has no place for %s; a file of py4DSTEM has", ", ".join(lost))
    _calibrate(cube.calibration, ds)
    return cube


def _bragg_vectors(ds: xr.Dataset) -> Any:
    py4dstem = need("py4DSTEM", "py4dstem")
    counts, records = points_of(ds)
    scan_shape = tuple(int(n) for n in ds.attrs["scan_shape"])
    vectors = py4dstem.BraggVectors(scan_shape, tuple(int(n) for n in ds.attrs["q_shape"]))
    points = py4dstem.PointListArray(dtype=records.dtype, shape=scan_shape)
    for flat, part in enumerate(np.split(records, np.cumsum(counts)[:-1])):
        points[flat // scan_shape[1], flat % scan_shape[1]].add(part)
    vectors.set_raw_vectors(points)
    _calibrate(vectors.calibration, ds)
    vectors.setcal()
    return vectors


def _calibrate(calibration: Any, ds: xr.Dataset) -> None:
    for name, value in calibration_of(ds).items():
        calibration[name] = value
    calibration.calibrate()


def _items(obj: Any) -> dict[str, Any]:
    calibration = obj.calibration
    return {name: calibration[name] for name in calibration.keys}


def _from_vectors(vectors: Any, **labels: Any) -> xr.Dataset:
    scan_shape = (int(vectors.Rshape[0]), int(vectors.Rshape[1]))
    frame = frame_of(_items(vectors), scan_shape, **labels)
    q_shape = frame.pattern_shape(vectors.Qshape)
    raw = [vectors.raw[row, column].data for row in range(scan_shape[0]) for column in range(scan_shape[1])]
    counts = np.array([len(points) for points in raw], np.int64)
    columns = peak_columns(np.concatenate(raw), np.repeat(np.arange(len(raw)), counts), frame, q_shape)
    return framed_peaks(counts, columns, frame, scan_shape, q_shape)

"""LiberTEM: patterns as its data sets, results of its UDFs and analyses as maps.

Both count positions and pixels as (y, x) from the upper left, so nothing is turned round. LiberTEM's data sets
know no calibration; `from_libertem` takes it back from the patterns that were given.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.errors import DataError, SchemaError
from ronchi.interop.peers import need
from ronchi.schema import fourd, maps
from ronchi.schema.common import carry_attrs, variable

__all__ = ["from_libertem", "to_libertem"]

_DIMS = {"nav": ("scan_y", "scan_x"), "sig": ("qy", "qx"), "single": ()}


def to_libertem(data: xr.Dataset | str | Path, ctx: Any) -> Any:
    """Load patterns into a LiberTEM context (needs ``ronchi[libertem]``).

    Parameters
    ----------
    data : xarray.Dataset or path
        ``fourd/1``: in memory, or dask, which needs an executor that works on dask data (``inline``,
        ``delayed``). Or a netCDF file that `ronchi.write` made, which LiberTEM then reads by itself, with any
        executor and many processes: best written with ``compress=False``.
    ctx : libertem.api.Context

    Returns
    -------
    libertem.io.dataset.base.DataSet
        Of the kind memory, dask or hdf5.

    Raises
    ------
    PluginError
        LiberTEM is not installed.
    SchemaError
        The data are no patterns.
    """
    need("libertem.api", "libertem")
    if isinstance(data, str | Path):
        return _load_file(Path(data), ctx)
    fourd.validate(data)
    intensity = data["intensity"]
    if intensity.chunks is None and intensity.variable._in_memory:
        return ctx.load("memory", data=np.ascontiguousarray(intensity.values), sig_dims=2)
    from ronchi.chunking import as_dask

    return ctx.load("dask", as_dask(intensity).data, sig_dims=2)


def _load_file(path: Path, ctx: Any) -> Any:
    from ronchi.builtin.hdf5_header import check_complete
    from ronchi.builtin.native import open_native

    if path.is_dir():
        raise SchemaError(
            "LiberTEM reads no zarr stores", where=str(path), fix="give the data set itself, or a .nc file"
        )
    check_complete(path)
    opened = open_native(path).data
    fourd.validate(opened, str(path))
    opened.close()
    return ctx.load("hdf5", path=str(path), ds_path="/intensity", sig_dims=2)


def from_libertem(results: Any, like: xr.Dataset) -> xr.Dataset:
    """Take the results of a UDF or an analysis as maps.

    Parameters
    ----------
    results : mapping of str to buffer or array, or AnalysisResultSet
        What ``ctx.run_udf`` or ``ctx.run`` returned. Of a buffer with extra dimensions each element becomes a
        map of its own, ``name_0``, ``name_1``, …
    like : xarray.Dataset
        The ``fourd/1`` that they were computed from: gives coordinates and calibration.

    Returns
    -------
    xarray.Dataset
        ``maps/1``: over the scan, over the detector, or a number.

    Raises
    ------
    SchemaError
        A result has neither the shape of the scan nor that of the detector.
    DataError
        A result is not of numbers.
    """
    fourd.validate(like)
    found: dict[str, xr.Variable] = {}
    for name, buffer in _items(results):
        kind = getattr(buffer, "kind", None)
        values = np.asarray(buffer.data if kind else getattr(buffer, "raw_data", buffer))
        if values.dtype.kind not in "iufb":
            raise DataError(f"the result {name!r} has dtype {values.dtype}", fix="take real and imaginary parts")
        dims = _DIMS[kind] if kind in _DIMS else _dims_by_shape(name, values, like)
        for key, part in _elements(name, values, len(dims)):
            if part.shape != tuple(like.sizes[dim] for dim in dims):
                what = f"the result {name!r} has shape {values.shape}, the data are {dict(like.sizes)}"
                raise SchemaError(what, fix="give the data set that it was computed from as `like`")
            found[key] = variable(dims, part, "1", f"{key} of LiberTEM")
    used = {dim for var in found.values() for dim in var.dims}
    coords = {dim: like[dim].variable for dim in fourd.DIMS if dim in used}
    return maps.make(found, coords, carry_attrs(like))


def _items(results: Any) -> list[tuple[str, Any]]:
    if isinstance(results, Mapping):
        return [(str(name), buffer) for name, buffer in results.items()]
    if hasattr(results, "keys"):
        # Unlike a dict, it iterates over its values.
        names = results.keys()
        return [(str(name), results[name]) for name in names]
    raise SchemaError(f"a {type(results).__name__} is no result of LiberTEM", fix="give what ctx.run_udf returned")


def _dims_by_shape(name: str, values: NDArray[Any], like: xr.Dataset) -> tuple[str, ...]:
    for dims in _DIMS.values():
        if dims and values.shape[: len(dims)] == tuple(like.sizes[dim] for dim in dims):
            return dims
    if values.ndim == 0:
        return ()
    raise SchemaError(f"the result {name!r} has shape {values.shape}, neither that of the scan nor of the patterns")


def _elements(name: str, values: NDArray[Any], ndim: int) -> list[tuple[str, NDArray[Any]]]:
    if values.ndim <= ndim:
        return [(name, values)]
    flat = values.reshape(*values.shape[:ndim], -1)
    if flat.shape[-1] == 1:
        return [(name, flat[..., 0])]
    return [(f"{name}_{i}", np.ascontiguousarray(flat[..., i])) for i in range(flat.shape[-1])]

"""netCDF4 files for the writer."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import netCDF4
import xarray as xr

from ronchi.builtin.store import Target, plain_attrs, plan_chunks, stored_dtype

__all__ = ["NetcdfStore"]


class NetcdfStore:
    """A netCDF4 file that is being written."""

    def __init__(self, path: Path, *, compress: bool) -> None:
        self._path, self._compress = path, compress

    def __enter__(self) -> Self:
        self._file = netCDF4.Dataset(self._path, "w", format="NETCDF4")
        # Every value is written, so filling first would write twice.
        self._file.set_fill_off()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # After a failed write, closing fails again; the first error is the one to tell.
        with contextlib.suppress(RuntimeError) if error else contextlib.nullcontext():
            self._file.close()

    def group(self, name: str | None, ds: xr.Dataset) -> NetcdfGroup:
        """Make a group with the attributes and dimensions of ``ds``; None is the root."""
        group = self._file if name is None else self._file.createGroup(name)
        group.setncatts(plain_attrs(ds.attrs))
        loose = [str(coord) for coord in ds.coords if coord not in ds.dims]
        if loose:
            group.setncattr("coordinates", " ".join(loose))
        for dim, size in ds.sizes.items():
            group.createDimension(str(dim), size)
        return NetcdfGroup(group, self._compress)


class NetcdfGroup:
    """A group of a netCDF4 file that is being written."""

    def __init__(self, group: Any, compress: bool) -> None:
        self._group, self._compress = group, compress

    def create(self, name: str, var: xr.Variable) -> Target:
        """Make a variable: zlib level 1 with shuffle in chunks, or contiguous."""
        chunks = plan_chunks(var) if self._compress else None
        dtype = stored_dtype(var)
        text = dtype.kind == "U"
        layout: dict[str, Any] = {} if text else {"fill_value": False}
        if chunks is not None:
            layout |= {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": chunks}
        array = self._group.createVariable(name, str if text else dtype, var.dims, **layout)
        array.setncatts(plain_attrs(var.attrs))
        array.set_auto_maskandscale(False)
        return Target(_Text(array) if text else array)


class _Text:
    """netCDF4 takes variable-length text from object arrays only."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __setitem__(self, key: Any, values: Any) -> None:
        self._array[key] = values.astype(object)

"""netCDF4 files for the writer."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import netCDF4
import numpy as np
import xarray as xr
from numpy.typing import NDArray

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
        if dtype.kind == "U":
            return Target(self._create_text(name, var))
        layout: dict[str, Any] = {"fill_value": False}
        if chunks is not None:
            layout |= {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": chunks}
        array = self._group.createVariable(name, dtype, var.dims, **layout)
        array.setncatts(plain_attrs(var.attrs))
        array.set_auto_maskandscale(False)
        return Target(array)

    def _create_text(self, name: str, var: xr.Variable) -> _Text:
        # Characters, not netCDF's strings of any length: once one of those is read, a file that is open twice, of which
        # one is closed, can no longer be opened again in that process ("HDF error", or worse; netCDF 4.9 and 4.10).
        width = max((len(text.encode()) for text in np.asarray(var.data).flat), default=0) or 1
        dim = f"string{width}"
        if dim not in self._group.dimensions:
            self._group.createDimension(dim, width)
        array = self._group.createVariable(name, "S1", (*var.dims, dim), fill_value=False)
        array.setncatts({**plain_attrs(var.attrs), "_Encoding": "utf-8"})
        array.set_auto_chartostring(False)
        return _Text(array, width)


class _Text:
    """Text as UTF-8 in an array of characters of fixed width."""

    def __init__(self, array: Any, width: int) -> None:
        self._array, self._width = array, width

    def __setitem__(self, key: tuple[slice, ...], values: NDArray[np.str_]) -> None:
        encoded = np.char.encode(values, "utf-8").astype(f"S{self._width}")
        self._array[*key, slice(None)] = encoded[..., None].view("S1")

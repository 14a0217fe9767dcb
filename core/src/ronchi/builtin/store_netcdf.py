"""netCDF4 files for the writer."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import netCDF4
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.builtin.store import Groups, Target, plain_attrs, plan_chunks, stored_dtype
from ronchi.builtin.store_checks import check_groups
from ronchi.errors import OutputError

__all__ = ["NetcdfStore"]

_NAME = re.compile(r"[A-Za-z0-9_\u0080-\U0010ffff]([ -.0-~\u0080-\U0010ffff]*[!-.0-~\u0080-\U0010ffff])?")
_MOST_NAME_BYTES = 256
_RESERVED = {
    "CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "_ARRAY_DIMENSIONS", "_Codecs", "_Format", "_IsNetcdf4",
    "_NCProperties", "_Netcdf4Coordinates", "_Netcdf4Dimid", "_SuperblockVersion", "_nc3_strict",
}  # fmt: skip
"""Attributes in which netCDF and HDF5 keep what is theirs."""


class NetcdfStore:
    """A netCDF4 file that is being written."""

    def __init__(self, path: Path, *, compress: bool) -> None:
        self._path, self._compress = path, compress

    def check(self, groups: Groups) -> None:
        """Refuse what a netCDF file cannot hold; raises `OutputError`."""
        check_groups(groups, name_fault=_name_fault, value_fault=_value_fault)

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
        _set_attributes(group, plain_attrs(ds.attrs), "the data set" if name is None else f"side {name!r}")
        loose = [str(coord) for coord in ds.coords if coord not in ds.dims]
        if loose:
            group.setncattr("coordinates", " ".join(loose))
        for dim, size in ds.sizes.items():
            group.createDimension(str(dim), size)
        return NetcdfGroup(group, self._compress, {str(name) for name in (*ds.variables, *ds.sizes)})


class NetcdfGroup:
    """A group of a netCDF4 file that is being written."""

    def __init__(self, group: Any, compress: bool, names: set[str]) -> None:
        self._group, self._compress, self._names = group, compress, names

    def create(self, name: str, var: xr.Variable) -> Target:
        """Make a variable: zlib level 1 with shuffle in chunks, or contiguous."""
        chunks = plan_chunks(var) if self._compress else None
        dtype = stored_dtype(var)
        if dtype.kind == "U":
            return Target(self._create_text(name, var))
        layout: dict[str, Any] = {"fill_value": False}
        if chunks is not None:
            layout |= {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": chunks}
        array = self._group.createVariable(name, dtype, tuple(map(str, var.dims)), **layout)
        _set_attributes(array, plain_attrs(var.attrs), f"variable {name!r}")
        array.set_auto_maskandscale(False)
        return Target(array)

    def _create_text(self, name: str, var: xr.Variable) -> _Text:
        # Characters, not netCDF's strings of any length: once one of those is read, a file that is open twice, of which
        # one is closed, can no longer be opened again in that process ("HDF error", or worse; netCDF 4.9 and 4.10).
        width = max((len(text.encode()) for text in np.asarray(var.data).flat), default=0) or 1
        dim = f"string{width}"
        while dim in self._names:
            dim += "_"
        if dim not in self._group.dimensions:
            self._group.createDimension(dim, width)
        array = self._group.createVariable(name, "S1", (*map(str, var.dims), dim), fill_value=False)
        _set_attributes(array, {**plain_attrs(var.attrs), "_Encoding": "utf-8"}, f"variable {name!r}")
        array.set_auto_chartostring(False)
        return _Text(array, width)


class _Text:
    """Text as UTF-8 in an array of characters of fixed width."""

    def __init__(self, array: Any, width: int) -> None:
        self._array, self._width = array, width

    def __setitem__(self, key: tuple[slice, ...], values: NDArray[np.str_]) -> None:
        encoded = np.char.encode(values, "utf-8").astype(f"S{self._width}")
        self._array[*key, slice(None)] = encoded[..., None].view("S1")


def _set_attributes(holder: Any, attrs: dict[str, Any], of: str) -> None:
    for name, value in attrs.items():
        try:
            holder.setncatts({name: value})
        except (AttributeError, TypeError) as error:
            # Names that other versions of the library keep to themselves, and values that must fit to the variable.
            what = f"attribute {name!r} of {of} is refused by netCDF: {error}"
            raise OutputError(what, fix="rename it, or leave it out") from error


def _name_fault(kind: str, name: str) -> str:
    if kind == "attribute" and name in _RESERVED:
        return "has a name that netCDF keeps to itself"
    try:
        size = len(unicodedata.normalize("NFC", name).encode())
    except UnicodeEncodeError:
        return "has a name with characters that are no text"
    if size > _MOST_NAME_BYTES:
        return f"has a name of {size} bytes, netCDF knows {_MOST_NAME_BYTES} at most"
    if not _NAME.fullmatch(name):
        return (
            "has a name that netCDF does not know: it begins with a letter, a digit or _, does not end in a space, "
            "and has neither / nor control characters"
        )
    return ""


def _value_fault(value: Any) -> str:
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return f"is {value}, and netCDF has integers of 64 bits at most"
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            return f"has a character that is no text: {error.object[error.start]!r}"
    return ""

"""zarr v3 stores for the writer."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from ronchi.builtin.store import SMALL_BYTES, Groups, Target, plain_attrs, plan_chunks, stored_dtype
from ronchi.builtin.store_checks import check_groups
from ronchi.builtin.zarr_chunks import COMPLETE
from ronchi.builtin.zarr_layout import Layout, balanced
from ronchi.chunking import scan_chunks

__all__ = ["ZarrStore"]

_MOST_NAME_BYTES = 255


class ZarrStore:
    """A zarr v3 folder that is being written."""

    def __init__(self, path: Path, *, compress: bool, patterns_first: bool = False) -> None:
        self._path, self._compress, self._patterns_first = path, compress, patterns_first
        self._names: list[str] = []

    def check(self, groups: Groups) -> None:
        """Refuse what a zarr store cannot hold; raises `OutputError`."""
        check_groups(groups, name_fault=_name_fault, value_fault=lambda value: "")

    def __enter__(self) -> Self:
        self._root = zarr.open_group(self._path, mode="w-", zarr_format=3)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._root.update_attributes({COMPLETE: self._names})

    def group(self, name: str | None, ds: xr.Dataset) -> ZarrGroup:
        """Make a group with the attributes of ``ds``; None is the root."""
        group = self._root if name is None else self._root.create_group(name)
        self._names += [name] if name is not None else []
        attrs = {key: _json(value) for key, value in plain_attrs(ds.attrs).items()}
        loose = [str(coord) for coord in ds.coords if coord not in ds.dims]
        if loose:
            attrs["coordinates"] = " ".join(loose)
        group.update_attributes(attrs)
        return ZarrGroup(group, self._compress, self._patterns_first, self._names)


class ZarrGroup:
    """A group of a zarr store that is being written."""

    def __init__(self, group: Any, compress: bool, patterns_first: bool, names: list[str]) -> None:
        self._group, self._compress, self._patterns_first, self._names = group, compress, patterns_first, names

    def create(self, name: str, var: xr.Variable) -> Target:
        """Make an array: zstd level 1, or plain; patterns in the layout of `zarr_layout`, the rest as in netCDF."""
        dtype: Any = stored_dtype(var)
        chunks, shards = self._layout(var, dtype)
        if dtype.kind == "U":
            dtype = "string"
        compressed = self._compress and var.nbytes >= SMALL_BYTES
        array = self._group.create_array(
            name,
            shape=var.shape,
            dtype=dtype,
            chunks=chunks,
            shards=shards,
            # With a checksum, counts from a damaged file are an error; without, they would be other counts.
            compressors=ZstdCodec(level=1, checksum=True) if compressed else Crc32cCodec(),
            dimension_names=[str(dim) for dim in var.dims],
            attributes={key: _json(value) for key, value in plain_attrs(var.attrs).items()},
            # A chunk that is absent is then one that was lost.
            config={"write_empty_chunks": True},
        )
        self._names.append(array.path)
        return Target(array, shards)

    def _layout(self, var: xr.Variable, dtype: np.dtype[Any]) -> Layout:
        if var.ndim == 4 and var.nbytes >= SMALL_BYTES and not self._patterns_first:
            return balanced(var.shape, dtype.itemsize, var.chunks[1][0] if var.chunks else 1)
        chunks = plan_chunks(var)
        if chunks is None:
            chunks = scan_chunks(var.shape, var.dtype.itemsize) if var.ndim == 4 else var.shape
        return Layout(tuple(max(1, size) for size in chunks), None)


def _name_fault(kind: str, name: str) -> str:
    """Arrays and groups are folders."""
    if kind not in ("variable", "side"):
        return ""
    if not name.strip(".") or name == "zarr.json":
        return "has a name that zarr keeps to itself"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "has a name with characters that are no text"
    return f"has a name of {size} bytes, a folder has {_MOST_NAME_BYTES} at most" if size > _MOST_NAME_BYTES else ""


def _json(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value

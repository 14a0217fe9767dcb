"""zarr v3 stores for the writer."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import ZstdCodec

from ronchi.builtin.chunking import scan_chunks
from ronchi.builtin.store import plain_attrs, stored_dtype

__all__ = ["ZarrStore"]


class ZarrStore:
    """A zarr v3 folder that is being written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        self._root = zarr.open_group(self._path, mode="w-", zarr_format=3)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def group(self, name: str | None, ds: xr.Dataset) -> ZarrGroup:
        """Make a group with the attributes of ``ds``; None is the root."""
        group = self._root if name is None else self._root.create_group(name)
        attrs = {key: _json(value) for key, value in plain_attrs(ds.attrs).items()}
        loose = [str(coord) for coord in ds.coords if coord not in ds.dims]
        if loose:
            attrs["coordinates"] = " ".join(loose)
        group.update_attributes(attrs)
        return ZarrGroup(group)


class ZarrGroup:
    """A group of a zarr store that is being written."""

    def __init__(self, group: Any) -> None:
        self._group = group

    def create(self, name: str, var: xr.Variable, chunks: tuple[int, ...] | None) -> Any:
        """Make an array: zstd level 1 in ``chunks``, plain without."""
        dtype: Any = stored_dtype(var)
        if dtype.kind == "U":
            dtype = "string"
        if chunks is None:
            whole = scan_chunks(var.shape, var.dtype.itemsize) if var.ndim == 4 else var.shape
            chunks = tuple(max(1, size) for size in whole)
            compressors: Any = None
        else:
            compressors = ZstdCodec(level=1)
        return self._group.create_array(
            name,
            shape=var.shape,
            dtype=dtype,
            chunks=chunks,
            compressors=compressors,
            dimension_names=[str(dim) for dim in var.dims],
            attributes={key: _json(value) for key, value in plain_attrs(var.attrs).items()},
        )


def _json(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value

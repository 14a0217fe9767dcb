"""The layout of HyperSpy's ``.zspy`` stores, version 3.3, written with zarr 3 as zarr format 2.

RosettaSciIO 0.15 writes them with zarr 2 alone, which cannot live beside the zarr 3 of ronchi's own stores. The layout
is that of ``.hspy``: groups for dictionaries, attributes for values, see rsciio's ``_hierarchical``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import zarr

from ronchi_rosettasciio.zspy import COMPLETE

__all__ = ["make_store"]

VERSION = "3.3"


class _CheckedZstd(numcodecs.Zstd):  # type: ignore[misc]  # has no types
    """Zstd frames that end with a checksum: with damage in them they are an error, and not other counts.

    All versions of numcodecs check it when they read; the parameter, which those before 0.13 do not know, zarr leaves
    out of the store's metadata where it is false.
    """

    def __init__(self) -> None:
        super().__init__(level=1, checksum=True)

    def get_config(self) -> dict[str, Any]:
        """The entry of the store's metadata."""
        return {"id": self.codec_id, "level": 1, "checksum": False}


def make_store(path: Path, signal: Mapping[str, Any], name: str, chunk: tuple[int, ...], *, compress: bool) -> Any:
    """Make a store with everything but the values of the signal's array.

    Parameters
    ----------
    signal : mapping
        As RosettaSciIO's writers take it.
    name : str
        Of the group under ``Experiments``.
    chunk : tuple of int
        Shape of a chunk, which is a file.

    Returns
    -------
    zarr.Array
        To be filled.
    """
    root = zarr.open_group(path, mode="w-", zarr_format=2)
    root.attrs.update({"file_format": "ZSpy", "file_format_version": VERSION, COMPLETE: 1})
    group = root.create_group("Experiments").create_group(name)
    group.attrs.update(signal["package_info"])
    for number, axis in enumerate(signal["axes"]):
        _put(group.create_group(f"axis-{number}"), axis)
    for part in ("metadata", "original_metadata", "learning_results", "attributes"):
        _put(group.create_group(part), signal[part])
    return _array(group, "data", signal["data"], chunk, compress=compress)


def _put(group: Any, values: Mapping[str, Any]) -> None:
    attrs: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            _put(group.create_group(key), value)
        elif isinstance(value, np.ndarray):
            _array(group, key, value, value.shape, compress=False)[...] = value
        elif isinstance(value, list):
            # Read back in the order of the keys as text.
            width = len(str(len(value)))
            items = {str(i).zfill(width): item for i, item in enumerate(value)}
            _put(group.create_group(f"_list_{len(value)}_{key}"), items)
        elif value is None:
            attrs[key] = "_None_"
        else:
            attrs[key] = value.item() if isinstance(value, np.generic) else value
    group.attrs.update(attrs)


def _array(group: Any, name: str, like: Any, chunk: tuple[int, ...], *, compress: bool) -> Any:
    dtype = like.dtype.newbyteorder("=")
    # As Blosc does it, which HyperSpy would take, but which has no checksum.
    shuffled = [numcodecs.Shuffle(dtype.itemsize)] if dtype.itemsize > 1 else None
    return group.create_array(
        name,
        shape=like.shape,
        dtype=dtype,
        chunks=tuple(max(1, n) for n in chunk),
        filters=shuffled if compress else [numcodecs.CRC32()],
        compressors=_CheckedZstd() if compress else None,
        chunk_key_encoding={"name": "v2", "separator": "/"},
        config={"write_empty_chunks": True},
    )

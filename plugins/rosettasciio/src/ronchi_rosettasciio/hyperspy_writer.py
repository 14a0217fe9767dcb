"""Writer of HyperSpy's files: HDF5 (.hspy) through RosettaSciIO, Zarr (.zspy) in the layout of `zspy_layout`.

RosettaSciIO writes axes, metadata and all that is small. Patterns and movies are streamed into the data set beside
them, region by region, each read once: memory stays bounded, and a damaged input is told from a full disk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from ronchi.api import OutputError
from ronchi.blocks import BLOCK_BYTES, iter_regions, regions
from ronchi.file_faults import reading
from ronchi.interop.signals import Parts, parts_of
from ronchi_rosettasciio.hdf5_output import Output, held_text
from ronchi_rosettasciio.params_hyperspy import HyperspyWriterParams

__all__ = ["HyperspyWriter"]

_MOST_NAME_BYTES = 255

Progress = Callable[[int, int], None]
Slab = tuple[slice, ...]


class HyperspyWriter:
    """Writes ``fourd/1`` and ``images/1`` as Signal2D, ``strain/1`` as a stack, ``peaks/1`` as a ragged signal."""

    def __init__(self, params: HyperspyWriterParams) -> None:
        self.params = params

    def write(self, data: xr.Dataset, sides: Mapping[str, xr.Dataset], path: Path, *, progress: Progress) -> None:
        """Make the file; progress is in bytes of uncompressed data.

        Raises
        ------
        OutputError
            Peaks cannot be put into .zspy, or zarr is not installed.
        ReadError
            Lazy data come from a file that is damaged.
        """
        parts = parts_of(data)
        parts = replace(parts, metadata=_held(parts.metadata))
        streamed = data["intensity"] if "intensity" in data and not parts.ragged else None
        if path.suffix == ".zspy":
            if parts.ragged:
                what = "a .zspy file of peaks cannot be written: zarr 3 has no arrays of lists"
                raise OutputError(what, where=str(path), fix="write .hspy, or .zarr for ronchi itself")
            array = self._make_zspy(path, parts)
            _fill(array, parts, streamed, progress)
            return
        with Output(path) as output:
            _make_hspy(output, parts, streamed is None)
            output.check()
            if streamed is not None:
                with h5py.File(output, "r+") as file:
                    self._stream(file, parts, streamed, output.checked(progress))

    def _stream(self, file: h5py.File, parts: Parts, streamed: xr.DataArray, progress: Progress) -> None:
        (group,) = file["Experiments"].values()
        chunk = self._chunk(streamed, 1.0)
        more = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if self.params.compress else {}
        dtype = streamed.dtype.newbyteorder("=")
        array = group.create_dataset("data", streamed.shape, dtype, chunks=chunk, **more)
        _fill(array, parts, streamed, progress)

    def _make_zspy(self, path: Path, parts: Parts) -> Any:
        try:
            from ronchi_rosettasciio.zspy_layout import make_store
        except ImportError as error:
            raise OutputError("zarr is not installed", where=str(path), fix='pip install "ronchi[zarr]"') from error
        dims = tuple(str(axis["name"]) for axis in parts.axes)
        stand_in = xr.DataArray(parts.data, dims=dims[: parts.data.ndim])
        chunk = self._chunk(stand_in, 8.0)
        return make_store(path, _signal(parts), _group_name(parts), chunk, compress=self.params.compress)

    def _chunk(self, data: xr.DataArray, default_mb: float) -> tuple[int, ...]:
        """Whole patterns, in a number that divides what is read at once, so that no chunk is written twice."""
        limit = (self.params.chunk_mb or default_mb) * 2**20
        pattern = data.shape[-2:]
        most = max(1, int(limit // (math.prod(pattern) * data.dtype.itemsize)))
        if data.ndim == 4:
            scan = data.rename(dict(zip(data.dims, ("scan_y", "scan_x", "qy", "qx"), strict=True)))
            first = regions(scan)[0]
            width = first.columns.stop - first.columns.start
            columns = max(n for n in range(1, min(width, most) + 1) if width % n == 0)
            rows = min(first.rows.stop - first.rows.start, max(1, most // columns)) if columns == width else 1
            return rows, columns, *pattern
        return min(most, data.shape[0]), *pattern


def _fill(array: Any, parts: Parts, streamed: xr.DataArray | None, progress: Progress) -> None:
    if streamed is None:
        array[...] = parts.data
        progress(array.nbytes, array.nbytes)
        return
    done = 0
    for slab, values in _slabs(streamed):
        array[slab] = values
        done += values.nbytes
        progress(done, streamed.nbytes)


def _slabs(data: xr.DataArray) -> Iterator[tuple[Slab, Any]]:
    """Pieces of a scan or a movie, each read once."""
    native = data.dtype.newbyteorder("=")
    if data.ndim == 4:
        for region, found in iter_regions(data):
            rows, columns = region
            shape = (rows.stop - rows.start, columns.stop - columns.start, *found.shape[1:])
            yield (rows, columns), found.reshape(shape).astype(native, copy=False)
        return
    step = max(1, BLOCK_BYTES // (math.prod(data.shape[1:]) * data.dtype.itemsize))
    for start in range(0, data.shape[0], step):
        part = slice(start, min(start + step, data.shape[0]))
        with reading(data, "intensity"):
            values = np.asarray(data[part].values)
        yield (part,), values.astype(native, copy=False)


def _make_hspy(output: Output, parts: Parts, whole: bool) -> None:
    from rsciio.hspy import file_writer

    signal = _signal(parts)
    if signal["metadata"]["General"]["title"] == ".":
        # It is the name of a group, and this one is every group's name for itself.
        signal["metadata"]["General"] = {"title": ""}
    file_writer(output, signal, write_dataset=whole, show_progressbar=False)


def _held(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: _held(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_held(value) for value in tree]
    return held_text(tree) if isinstance(tree, str) else tree


def _group_name(parts: Parts) -> str:
    """The title as HyperSpy makes a name of it, if it can be that of a folder."""
    # zarr takes a backslash for a slash.
    name = str(parts.metadata["General"]["title"]).replace("/", "-").replace("\\", "-")
    return name if name.strip(".") and len(name.encode()) <= _MOST_NAME_BYTES else "__unnamed__"


def _signal(parts: Parts) -> dict[str, Any]:
    """The dictionary that stands for a signal in RosettaSciIO."""
    axes = [{"_type": "UniformDataAxis", "is_binned": False, **axis} for axis in parts.axes]
    return {
        "data": parts.data,
        "axes": axes,
        "metadata": {**parts.metadata, "_HyperSpy": {}},
        "original_metadata": {},
        "learning_results": {},
        "attributes": {"_lazy": False, "ragged": parts.ragged},
        "models": {},
        "tmp_parameters": {},
        # The package that brings the class of the signal: HyperSpy asks for it if it is not installed.
        "package_info": {"package": "hyperspy", "package_version": "2.0.0"},
    }

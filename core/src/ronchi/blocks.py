"""Blocks of patterns: the one way in which the core and the plugins read a scan piece by piece.

Two walks: `iter_regions` follows the chunks of the data, so each is read once, and suits whatever does not
care for the order of the scan; `iter_blocks` keeps the order of the scan.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.file_faults import reading

__all__ = [
    "BLOCK_BYTES",
    "SAMPLE_DIMS",
    "Region",
    "count_positions",
    "iter_blocks",
    "iter_regions",
    "iter_samples",
    "read_block",
    "read_region",
    "regions",
]

BLOCK_BYTES = 8 * 2**20
"""Size of a block: many patterns a read, and still small beside the caches and the memory."""

SAMPLE_DIMS = ("scan_y", "scan_x", "frame", "sample")
"""Dimensions that number samples; those that follow them are features."""

CHUNK_LIMIT_BYTES = 128 * 2**20
"""A larger chunk of a file is not read at once, even though it is then read more than once."""


class Region(NamedTuple):
    """A rectangle of the scan, the unit of reading."""

    rows: slice
    columns: slice

    @property
    def size(self) -> int:
        """Number of positions."""
        return int((self.rows.stop - self.rows.start) * (self.columns.stop - self.columns.start))

    def positions(self, width: int) -> NDArray[np.int64]:
        """Flat scan indices (row-major) of the positions, for a scan of ``width`` columns."""
        rows = np.arange(self.rows.start, self.rows.stop, dtype=np.int64)
        columns = np.arange(self.columns.start, self.columns.stop, dtype=np.int64)
        flat: NDArray[np.int64] = (rows[:, None] * width + columns).reshape(-1)
        return flat


def count_positions(intensity: xr.DataArray) -> int:
    """Number of scan positions of (scan_y, scan_x, qy, qx) data."""
    return int(intensity.sizes["scan_y"] * intensity.sizes["scan_x"])


def regions(intensity: xr.DataArray, block: int | None = None) -> list[Region]:
    """Cut the scan into rectangles that can be read one after the other without reading anything twice.

    Parameters
    ----------
    intensity : (scan_y, scan_x, qy, qx) DataArray
        In memory, memory-mapped, dask or lazily indexed.
    block : int, optional
        Patterns a region has at most; about 8 MB of them by default. Small chunks are joined up
        to it. A larger chunk is a region of its own, unless it is one of a file and above 128 MB.

    Returns
    -------
    list of Region
        They cover every position once, row by row where the chunks allow.
    """
    width = intensity.sizes["scan_x"]
    pattern_bytes = intensity.sizes["qy"] * intensity.sizes["qx"] * intensity.dtype.itemsize
    most = max(1, BLOCK_BYTES // pattern_bytes if block is None else block)
    chunk_rows, chunk_columns = _scan_chunks(intensity, max(most, CHUNK_LIMIT_BYTES // pattern_bytes))
    columns = _join(chunk_columns, most // max(chunk_rows))
    rows = _join(chunk_rows, most // width) if len(columns) == 1 else _join(chunk_rows, 1)
    return [Region(ys, xs) for ys in rows for xs in columns]


def _scan_chunks(intensity: xr.DataArray, limit: int) -> tuple[Sequence[int], Sequence[int]]:
    """Lengths of the pieces, along scan rows and columns, that the storage hands out whole."""
    if intensity.chunks is not None:
        return intensity.chunks[0], intensity.chunks[1]
    sizes = intensity.sizes["scan_y"], intensity.sizes["scan_x"]
    stored = tuple(intensity.encoding.get("chunksizes") or intensity.encoding.get("chunks") or (1, 1))[:2]
    if math.prod(stored) > limit:
        stored = (1, 1)
    rows, columns = ([min(step, n - at) for at in range(0, n, step)] for n, step in zip(sizes, stored, strict=True))
    return rows, columns


def _join(parts: Sequence[int], most: int) -> list[slice]:
    """Join consecutive parts into spans of at most ``most``; a part is never cut."""
    spans: list[slice] = []
    start = stop = 0
    for part in parts:
        if stop > start and stop + part - start > most:
            spans.append(slice(start, stop))
            start = stop
        stop += part
    return [*spans, slice(start, stop)]


def read_region(intensity: xr.DataArray, region: Region) -> NDArray[Any]:
    """Read the patterns of a region.

    Returns
    -------
    frames : (region.size, qy, qx) array
        In scan order and the stored dtype; a view of the data where that is possible.

    Raises
    ------
    ReadError
        The file is damaged.
    """
    # Cutting the variable leaves out the coordinates, which take longer to cut than small patterns to read.
    frames = _load(intensity.variable[region.rows, region.columns], str(intensity.name))
    return frames.reshape(-1, *frames.shape[2:])


def iter_regions(intensity: xr.DataArray, block: int | None = None) -> Iterator[tuple[Region, NDArray[Any]]]:
    """Yield ``(region, frames)`` for all `regions` of the scan; ``frames`` as from `read_region`."""
    chunks = None if intensity.chunks is None else _DaskChunks(intensity)
    for region in regions(intensity, block):
        yield region, read_region(intensity, region) if chunks is None else chunks.read(region)


def read_block(intensity: xr.DataArray, start: int, stop: int) -> NDArray[Any]:
    """Read the patterns ``start:stop`` in scan order.

    Parameters
    ----------
    intensity : (scan_y, scan_x, qy, qx) DataArray
        In memory, memory-mapped, dask or lazily indexed.

    Returns
    -------
    frames : (stop - start, qy, qx) array
        In the stored dtype; a view of the data where that is possible.
    """
    width = intensity.sizes["scan_x"]
    first, last = start // width, (stop - 1) // width
    if first == last:
        return read_region(
            intensity, Region(slice(first, first + 1), slice(start - first * width, stop - first * width))
        )
    if start % width == 0 and stop % width == 0:
        return read_region(intensity, Region(slice(first, last + 1), slice(0, width)))
    parts = []
    for row in range(first, last + 1):
        columns = slice(max(start - row * width, 0), min(stop - row * width, width))
        parts.append(read_region(intensity, Region(slice(row, row + 1), columns)))
    return np.concatenate(parts)


def iter_blocks(intensity: xr.DataArray, block: int) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """Yield ``(start, stop, frames)`` for consecutive blocks of at most ``block`` patterns."""
    total = count_positions(intensity)
    for start in range(0, total, block):
        stop = min(start + block, total)
        yield start, stop, read_block(intensity, start, stop)


def iter_samples(x: xr.DataArray, block: int | None = None) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
    """Yield the samples of any data that a learner takes, a block at a time, each chunk read once.

    Parameters
    ----------
    x : (*samples, *features) DataArray
        Sample dims as in `SAMPLE_DIMS`; lazy or not.
    block : int, optional
        Samples a block has at most where the chunks allow; about 8 MB of them by default.

    Yields
    ------
    positions : (n,) int64
        Flat, row-major numbers of the samples.
    features : (n, *features) array
        In the stored dtype; a view of the data where that is possible.
    """
    if x.dims[:2] == ("scan_y", "scan_x") and x.ndim == 4:
        patterns = x.rename(dict(zip(x.dims[2:], ("qy", "qx"), strict=True)))
        for region, frames in iter_regions(patterns, block):
            yield region.positions(x.shape[1]), frames
        return
    n_dims = sum(dim in SAMPLE_DIMS for dim in x.dims)
    inner = math.prod(x.shape[1:n_dims])
    row_bytes = max(1, math.prod(x.shape[1:]) * x.dtype.itemsize)
    most = max(1, BLOCK_BYTES // row_bytes if block is None else block // inner)
    parts = x.chunks[0] if x.chunks is not None else [1] * x.shape[0]
    for rows in _join(parts, most):
        features = _load(x.variable[rows], str(x.name))
        positions = np.arange(rows.start * inner, rows.stop * inner, dtype=np.int64)
        yield positions, features.reshape(-1, *features.shape[n_dims:])


class _DaskChunks:
    """Chunks of dask data, computed from a graph that is optimised once and not once a block."""

    def __init__(self, intensity: xr.DataArray) -> None:
        import dask

        self.intensity = intensity
        (optimised,) = dask.optimize(intensity.data)
        self.graph = dict(optimised.__dask_graph__())
        self.keys = optimised.__dask_keys__()
        self.starts = [np.cumsum([0, *lengths]) for lengths in intensity.data.chunks[:2]]

    def read(self, region: Region) -> NDArray[Any]:
        """Patterns of a region that is made of whole chunks."""
        import dask
        from dask.core import flatten
        from dask.optimization import cull

        rows, columns = (
            slice(*np.searchsorted(starts, (span.start, span.stop)))
            for starts, span in zip(self.starts, region, strict=True)
        )
        keys = [row[columns] for row in self.keys[rows]]
        needed, _ = cull(self.graph, list(flatten(keys)))
        with reading(self.intensity, str(self.intensity.name)):
            parts = _as_lists(dask.get(needed, keys))
        while isinstance(parts, list) and len(parts) == 1:
            parts = parts[0]
        frames = np.block(parts) if isinstance(parts, list) else np.asarray(parts)
        return frames.reshape(-1, *frames.shape[-2:])


def _as_lists(nested: Any) -> Any:
    return [_as_lists(item) for item in nested] if isinstance(nested, list | tuple) else nested


def _load(part: xr.Variable, name: str) -> NDArray[Any]:
    with reading(part, name):
        if part.chunks is None:
            # `.data` keeps a memory map a view, where `.values` may cache a copy.
            return np.asarray(part.data)
        # One block has little to gain from threads, and a distributed scheduler would carry it around.
        return np.asarray(part.data.compute(scheduler="synchronous"))

"""How a scan is cut into blocks: whole rows or pieces of rows, along the chunks of the file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.blocks import CHUNK_LIMIT_BYTES, Region, regions
from ronchi.errors import ConfigError
from ronchi.file_faults import reading

__all__ = ["BASE_MB", "Tile", "cut", "patterns_per_block", "read_tile", "samples_per_block"]

BLOCK_BYTES = 16 * 2**20
BASE_MB = 600.0
"""What a process holds before it sees data: the interpreter, numpy, xarray, a detector's code and its compiler."""

_MOST_SAMPLES = 65536

WORK_FACTOR = 4
"""Memory of a detector on a block, in sizes of the block as float32: what it reads, converts and copies."""


@dataclass(frozen=True)
class Tile:
    """The scan positions ``y0:y1, x0:x1``."""

    y0: int
    y1: int
    x0: int
    x1: int

    @property
    def size(self) -> int:
        """Number of positions."""
        return (self.y1 - self.y0) * (self.x1 - self.x0)

    @property
    def name(self) -> str:
        """Name of the block's file."""
        return f"{self.y0}-{self.y1}-{self.x0}-{self.x1}"

    def positions(self, width: int) -> NDArray[np.int64]:
        """Flat scan indices (row-major) of the positions, for a scan of ``width`` columns."""
        rows, columns = np.arange(self.y0, self.y1), np.arange(self.x0, self.x1)
        flat: NDArray[np.int64] = (rows[:, None] * width + columns).reshape(-1).astype(np.int64)
        return flat


def read_tile(intensity: xr.DataArray, tile: Tile) -> NDArray[np.generic]:
    """(n, qy, qx) patterns of a tile, in scan order, as stored.

    Raises
    ------
    ReadError
        The file is damaged.
    """
    part = intensity.isel(scan_y=slice(tile.y0, tile.y1), scan_x=slice(tile.x0, tile.x1))
    with reading(intensity, str(intensity.name)):
        frames: NDArray[np.generic] = np.asarray(part.data if part.chunks else part.values)
    return frames.reshape(-1, *frames.shape[2:])


def patterns_per_block(intensity: xr.DataArray, *, memory_mb: float | None = None, workers: int = 0) -> int:
    """Choose how many patterns a block has at most.

    Parameters
    ----------
    memory_mb : float, optional
        Ceiling for the main process and its workers together.
    workers : int
        Worker processes; 0 if the blocks are worked on in this process.

    Raises
    ------
    ConfigError
        Not even a single pattern fits under the ceiling.
    """
    rows, columns = chunk_shape(intensity)
    shape = intensity.shape[2:]
    pixels = math.prod(shape)
    stored, working = pixels * intensity.dtype.itemsize, pixels * 4 * WORK_FACTOR
    count = max(1, BLOCK_BYTES // stored)
    if rows * columns * stored <= CHUNK_LIMIT_BYTES:
        count = max(count, rows * columns)
    if memory_mb is None:
        return count
    # The main process holds its base and the peaks either way; blocks lie in those that work on them.
    base, at_once = BASE_MB * (1 + workers), max(1, workers)
    room = (memory_mb - base) / at_once * 1e6
    if room < working + stored:
        least = math.ceil(base + at_once * (working + stored) / 1e6)
        who = f"{workers} workers" if workers else "one process"
        raise ConfigError(
            f"{memory_mb:g} MB are too few for {who} on patterns of {shape[0]} x {shape[1]}",
            where="run.memory_mb",
            fix=f"allow at least {least} MB{', or use fewer workers' if workers else ''}",
        )
    return max(1, min(count, int(room // (working + stored))))


def samples_per_block(x: xr.DataArray) -> int:
    """Samples of (sample, …) data, such as crops, frames and descriptors, that are encoded at a time."""
    return max(1, min(_MOST_SAMPLES, BLOCK_BYTES // max(1, math.prod(x.shape[1:]) * x.dtype.itemsize)))


def chunk_shape(intensity: xr.DataArray) -> tuple[int, int]:
    """Most scan rows and columns that are read together: a dask chunk, a chunk of the file, or one pattern."""
    if intensity.chunks is not None:
        return max(intensity.chunks[0]), max(intensity.chunks[1])
    stored = intensity.encoding.get("chunksizes") or intensity.encoding.get("chunks")
    return (int(stored[0]), int(stored[1])) if stored else (1, 1)


def cut(intensity: xr.DataArray, patterns: int) -> list[Tile]:
    """Cut the scan into tiles of at most ``patterns`` positions, along the chunks unless one is larger than that."""
    return [tile for region in regions(intensity, patterns) for tile in _split(region, patterns)]


def _split(region: Region, patterns: int) -> Iterator[Tile]:
    """Pieces of a region: whole rows of it, or parts of a row where ``patterns`` are less than a row."""
    (y0, y1), (x0, x1) = ((span.start, span.stop) for span in region)
    columns = min(x1 - x0, patterns)
    rows = patterns // columns if columns == x1 - x0 else 1
    for y in range(y0, y1, rows):
        for x in range(x0, x1, columns):
            yield Tile(y, min(y + rows, y1), x, min(x + columns, x1))


def spread(n: int, most: int) -> Sequence[int]:
    """At most ``most`` of ``0 … n - 1``, evenly spread, the ends included."""
    return sorted({round(i * (n - 1) / max(1, most - 1)) for i in range(most)} if n > most else range(n))

"""Blocks of patterns: the one way in which the core and the plugins read a scan piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

__all__ = ["count_positions", "iter_blocks", "read_block"]


def count_positions(intensity: xr.DataArray) -> int:
    """Number of scan positions of (scan_y, scan_x, qy, qx) data."""
    return int(intensity.sizes["scan_y"] * intensity.sizes["scan_x"])


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
    if start % width == 0 and stop % width == 0 or first == last:
        columns = slice(None) if first != last or stop - start == width else slice(start - first * width, stop - first * width)
        frames = np.asarray(intensity.isel(scan_y=slice(first, last + 1), scan_x=columns).data)
        return frames.reshape(stop - start, *frames.shape[2:])
    parts = []
    for row in range(first, last + 1):
        begin, end = max(start - row * width, 0), min(stop - row * width, width)
        parts.append(np.asarray(intensity.isel(scan_y=row, scan_x=slice(begin, end)).data))
    return np.concatenate(parts)


def iter_blocks(intensity: xr.DataArray, block: int) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """Yield ``(start, stop, frames)`` for consecutive blocks of at most ``block`` patterns."""
    total = count_positions(intensity)
    for start in range(0, total, block):
        stop = min(start + block, total)
        yield start, stop, read_block(intensity, start, stop)

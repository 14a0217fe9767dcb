"""Dask chunks of 4-D data: whole patterns, a few MB at a time, along the scan."""

from __future__ import annotations

import math
from collections.abc import Sequence

import xarray as xr

__all__ = ["BLOCK_BYTES", "as_dask", "chunks_of_stack", "scan_chunks"]

BLOCK_BYTES = 12 * 2**20
"""Size of a block: large enough to hide dask's overhead, small enough to stay near the caches."""

STORED_LIMIT_BYTES = 128 * 2**20
"""Blocks are rounded up to the chunks of the file as long as they stay below this."""


def scan_chunks(
    shape: Sequence[int],
    itemsize: int,
    stored: Sequence[int] | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> tuple[int, int, int, int]:
    """Choose the shape of a dask chunk of (scan_y, scan_x, qy, qx) data.

    Patterns stay whole and follow each other in scan order: rows are joined only once a
    row fits, because every reader of the scan walks it row by row.

    Parameters
    ----------
    shape : sequence of 4 int
    itemsize : int
        Bytes a pixel.
    stored : sequence of 4 int, optional
        Chunks of the file. A compressed chunk is read whole or not at all, so a block is
        rounded up to them where memory allows. Of small ones of more patterns than that, as in a file
        that is stored by detector pixels, it is as large as memory allows: each takes the decoding of all.
    block_bytes : int
        Size aimed at.

    Returns
    -------
    tuple of 4 int
    """
    rows, columns, *pattern = shape
    pattern_bytes = math.prod(pattern) * itemsize
    count = max(1, block_bytes // pattern_bytes)
    fits = stored is not None and math.prod(stored[:2]) * pattern_bytes <= STORED_LIMIT_BYTES
    tall = min(rows, stored[0]) if stored is not None and fits else 1
    if count < columns * tall:
        block = (1, _even(columns, max(1, count // tall)))
    else:
        block = (_even(rows, count // columns), columns)
    if stored is not None:
        aligned = tuple(min(n, math.ceil(b / s) * s) for n, b, s in zip(shape, block, stored, strict=False))
        most = max(1, STORED_LIMIT_BYTES // pattern_bytes)
        if math.prod(aligned) <= most:
            block = (aligned[0], aligned[1])
        elif not fits and math.prod(stored) * itemsize <= BLOCK_BYTES:
            wide = _even(min(columns, stored[1]), most)
            block = (_even(min(rows, stored[0]), max(1, most // wide)), wide)
    return block[0], block[1], pattern[0], pattern[1]


def _even(n: int, most: int) -> int:
    """Length of equal parts of ``n``, at most ``most`` each."""
    return math.ceil(n / math.ceil(n / most))


def chunks_of_stack(shape: Sequence[int], itemsize: int, block_bytes: int = BLOCK_BYTES) -> tuple[int, ...]:
    """Choose the shape of a dask chunk of (frame, y, x) images: whole frames."""
    frame_bytes = math.prod(shape[1:]) * itemsize
    return (max(1, min(shape[0], block_bytes // frame_bytes)), *shape[1:])


def as_dask(intensity: xr.DataArray) -> xr.DataArray:
    """Return (scan_y, scan_x, qy, qx) data as dask blocks of whole patterns; dask data with whole patterns is kept."""
    whole = intensity.shape[2:]
    if intensity.chunks is not None:
        if all(len(chunk) == 1 for chunk in intensity.chunks[2:]):
            return intensity
        return intensity.chunk({"qy": whole[0], "qx": whole[1]})
    sizes = scan_chunks(intensity.shape, intensity.dtype.itemsize)
    return intensity.chunk(dict(zip(intensity.dims, sizes, strict=True)))

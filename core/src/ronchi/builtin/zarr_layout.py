"""How patterns lie in a zarr store: small chunks over scan and detector, gathered in large files.

A chunk is decompressed whole or not at all. Chunks of whole patterns make the image of one detector pixel a pass over
all data; tiles of 8 x 8 patterns and about 64 x 64 pixels make it a fourth of that (for 128 x 128 px, less for larger
ones), at 4 ms instead of 2 for a single pattern and at nearly the same time for a pass: `benchmarks/zarr_layouts.py`.
Shards keep the number of files small: one is written at once, and any of its chunks can be read alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Layout", "balanced"]

SHARD_BYTES = 64 * 2**20
"""Most bytes of a shard, which lies in memory while it is written."""

_POSITIONS = 64
_PIXELS = 64


class Layout(NamedTuple):
    """Shape of a chunk, and of a shard, a whole number of chunks along each axis; None for a file a chunk."""

    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None


def balanced(shape: Sequence[int], itemsize: int, read_columns: int = 1) -> Layout:
    """Choose a layout for (scan_y, scan_x, qy, qx) data that serves patterns and images.

    Parameters
    ----------
    shape : sequence of 4 int
    itemsize : int
        Bytes a pixel.
    read_columns : int
        Scan columns that the source hands out together; shards hold a multiple of it where that is not too much.

    Returns
    -------
    Layout
    """
    rows, columns, *detector = shape
    pixels = [_part(size, _PIXELS) for size in detector]
    whole = [math.ceil(size / part) * part for size, part in zip(detector, pixels, strict=True)]
    pattern_bytes = math.prod(whole) * itemsize
    positions = max(1, min(_POSITIONS, SHARD_BYTES // pattern_bytes))
    tall = min(rows, 2 ** (int(math.log2(positions)) // 2))
    wide = min(columns, max(1, positions // tall))
    most = max(1, SHARD_BYTES // (tall * wide * pattern_bytes)) * wide
    joined = math.ceil(read_columns / wide) * wide
    if joined <= most:
        joined *= most // joined
    shard_columns = min(joined if joined <= most else most, math.ceil(columns / wide) * wide)
    return Layout((tall, wide, *pixels), (tall, shard_columns, *whole))


def _part(size: int, aim: int) -> int:
    """Length of equal parts of about ``aim``."""
    return math.ceil(size / max(1, round(size / aim)))

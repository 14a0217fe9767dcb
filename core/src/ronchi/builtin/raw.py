"""Reader of raw frames of a known shape, memory-mapped: patterns are read when they are used."""

from __future__ import annotations

import functools
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.core import indexing

from ronchi.builtin.mapped import MappedArray, plain_scan
from ronchi.builtin.params_io import RawParams
from ronchi.errors import ReadError

__all__ = ["RawReader"]

_log = logging.getLogger("ronchi.raw")


class RawReader:
    """Opens patterns that lie one after the other, with gaps of equal length, as ``fourd/1``."""

    def __init__(self, params: RawParams) -> None:
        self.params = params

    def confidence(self, path: Path) -> float:
        """0: nothing in such a file tells what it is."""
        return 0.0

    def open(self, path: Path) -> xr.Dataset:
        """Open as a memory map. A file that is longer than its frames, by a byte or more, is read with a warning.

        Raises
        ------
        ReadError
            The file is absent, or shorter than its frames.
        """
        path, params = Path(path), self.params
        if not path.is_file():
            raise ReadError(
                "no such file", where=str(path), fix="check the path; relative ones start at the pipeline file"
            )
        dtype = np.dtype(params.dtype).newbyteorder("<" if params.byte_order == "little" else ">")
        frame_bytes = math.prod(params.frame_shape) * dtype.itemsize
        pitch = params.frame_header_bytes + frame_bytes + params.frame_footer_bytes
        count, size = math.prod(params.scan_shape), path.stat().st_size
        # Software that is stopped early may leave out what would follow the last frame.
        needed = params.offset_bytes + count * pitch - params.frame_footer_bytes
        whole = max(0, size - params.offset_bytes + params.frame_footer_bytes) // pitch
        what = (
            f"{size} bytes hold {whole} frames of {pitch} bytes after a header of {params.offset_bytes}, and "
            f"{count} are asked for"
        )
        if size < needed:
            raise ReadError(
                what, where=str(path), fix="check scan_shape, frame_shape, dtype and the lengths of headers"
            )
        left = size - needed
        # What follows each pattern may be there or not behind the last one.
        if left not in (0, params.frame_footer_bytes):
            fix = "check scan_shape, frame_shape and dtype; a header's length is offset_bytes"
            _log.warning("%s: %s; %d bytes are left over: %s", path, what, left, fix)
        shape = (*params.scan_shape, *params.frame_shape)
        opener = functools.partial(_map, path, shape, dtype, params.offset_bytes + params.frame_header_bytes, pitch)
        return plain_scan(indexing.LazilyIndexedArray(MappedArray(opener, shape, dtype)), params, path)


def _map(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int, pitch: int) -> NDArray[Any]:
    _, columns, _, width = shape
    strides = (columns * pitch, pitch, width * dtype.itemsize, dtype.itemsize)
    return np.ndarray(shape, dtype, np.memmap(path, np.uint8, "r"), offset, strides)

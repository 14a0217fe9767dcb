"""Reader of NumPy ``.npy`` files, memory-mapped: patterns are read when they are used."""

from __future__ import annotations

import functools
import logging
import math
import tokenize
from pathlib import Path
from typing import Any

import numpy as np
import numpy.lib.format as npy_format
import xarray as xr
from numpy.typing import NDArray
from xarray.core import indexing

from ronchi.builtin.mapped import MappedArray, plain_scan
from ronchi.builtin.params_io import NpyParams
from ronchi.errors import ReadError, SchemaError

__all__ = ["NpyReader"]

_MAGIC = b"\x93NUMPY"
_SCATTERED_BYTES = 64 * 2**20

_log = logging.getLogger("ronchi.npy")


class NpyReader:
    """Opens a 4-D array, or a 3-D stack with `scan_shape`, as ``fourd/1``."""

    def __init__(self, params: NpyParams) -> None:
        self.params = params

    def confidence(self, path: Path) -> float:
        """1 for ``.npy`` arrays of three or four dimensions, 0.1 for others, else 0; never raises."""
        try:
            with path.open("rb") as file:
                if file.read(len(_MAGIC)) != _MAGIC:
                    return 0.0
                file.seek(0)
                first = npy_format.read_magic(file) == (1, 0)
                try:
                    shape = (npy_format.read_array_header_1_0 if first else npy_format.read_array_header_2_0)(file)[0]
                except (ValueError, SyntaxError, tokenize.TokenError):
                    # Damaged: `open` says so better than other readers can.
                    return 1.0
                return 1.0 if len(shape) in (3, 4) else 0.1
        except (OSError, ValueError):
            return 0.0

    def open(self, path: Path) -> xr.Dataset:
        """Open as a memory map; a warning tells of a large array in which no pattern lies in one piece.

        Raises
        ------
        ReadError
            The file is absent, empty, truncated, or no array of numbers.
        SchemaError
            The array is neither 4-D, nor 3-D with a fitting `scan_shape`.
        """
        path = Path(path)
        params = self.params
        stored = _map(path)
        shape = _scan_shape(stored, params.scan_shape, str(path))
        if not stored.flags.c_contiguous and stored.nbytes > _SCATTERED_BYTES:
            _log.warning(
                "%s: the array lies in Fortran order, each pattern spread over all of the file, which is slow to read: "
                "save it again with numpy.save(path, numpy.ascontiguousarray(array))",
                path,
            )
        lazy = MappedArray(functools.partial(_map, path), shape, stored.dtype)
        return plain_scan(indexing.LazilyIndexedArray(lazy), params, path)


def _map(path: Path) -> NDArray[Any]:
    where = str(path)
    if not path.is_file():
        raise ReadError("no such file", where=where, fix="check the path; relative ones start at the pipeline file")
    size = path.stat().st_size
    if size == 0:
        raise ReadError("the file is empty (0 bytes)", where=where, fix="copy it again from where it came")
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    # The header is a Python expression, so a damaged one fails as such do.
    except (ValueError, TypeError, OverflowError, OSError, EOFError, SyntaxError, tokenize.TokenError) as error:
        raise ReadError(
            f"not a complete .npy file of numbers ({size} bytes): {error}",
            where=where,
            fix="save it again with numpy.save; object arrays are not read",
        ) from error
    if not isinstance(array, np.ndarray):
        raise ReadError("an .npz archive, not an .npy array", where=where, fix="save the 4-D array on its own")
    if array.dtype.kind not in "iuf":
        fix = "save its squared magnitude, or its real part" if array.dtype.kind == "c" else "save it as numbers, uint8"
        raise ReadError(f"an array of type {array.dtype}, where patterns are counts", where=where, fix=fix)
    return array


def _scan_shape(stored: NDArray[Any], scan_shape: tuple[int, int] | None, where: str) -> tuple[int, ...]:
    if scan_shape is None:
        if stored.ndim == 4:
            return stored.shape
        raise SchemaError(
            f"the array is not 4-D: its shape is {stored.shape}",
            where=where,
            fix=f"give `scan_shape` for a 3-D stack of patterns, {[1, *stored.shape[:1]]} for a list of them; "
            "4-D data are (scan_y, scan_x, qy, qx); `reader: rosettasciio` takes it for images (frame, y, x)",
        )
    positions = stored.shape[:-2]
    if stored.ndim not in (3, 4) or math.prod(positions) != math.prod(scan_shape):
        raise SchemaError(
            f"scan_shape {scan_shape} does not fit an array of shape {stored.shape}",
            where=where,
            fix=f"rows times columns must be {math.prod(positions)}",
        )
    return (*scan_shape, *stored.shape[-2:])

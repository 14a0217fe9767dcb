"""Reader of NumPy ``.npy`` files, memory-mapped: patterns are read when they are used."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from ronchi.builtin.params_io import NpyParams
from ronchi.errors import ReadError, SchemaError
from ronchi.schema import fourd

__all__ = ["NpyReader"]

_MAGIC = b"\x93NUMPY"


class NpyReader:
    """Opens a 4-D array, or a 3-D stack with `scan_shape`, as ``fourd/1``."""

    def __init__(self, params: NpyParams) -> None:
        self.params = params

    def confidence(self, path: Path) -> float:
        """1 for the magic bytes of ``.npy``, else 0; never raises."""
        try:
            with path.open("rb") as file:
                return 1.0 if file.read(len(_MAGIC)) == _MAGIC else 0.0
        except (OSError, ValueError):
            return 0.0

    def open(self, path: Path) -> xr.Dataset:
        """Open as a memory map.

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
        return fourd.make(
            indexing.LazilyIndexedArray(_MappedArray(path, shape, stored.dtype)),
            scan_step=params.scan_step_angstrom,
            q_step=params.q_step_inv_angstrom,
            centre_px=params.centre_px,
            beam_energy_eV=params.beam_energy_eV,
            semiangle_mrad=params.semiangle_mrad,
            scan_rotation_deg=params.scan_rotation_deg,
            title=path.stem,
        )


REMAP_BYTES = 128 * 2**20


class _MappedArray(BackendArray):
    """A memory map that travels to other processes as a path, not as its contents."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.path = path
        self.shape = shape
        self.dtype = dtype.newbyteorder("=")
        self._open: NDArray[Any] | None = None
        self._touched = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None}

    def __getitem__(self, key: indexing.ExplicitIndexer) -> NDArray[Any]:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER_1VECTOR, self._read)

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        if self._open is None or self._touched > REMAP_BYTES:
            # Pages that were read count as this process's memory for as long as the map is open.
            self._open, self._touched = _map(self.path).reshape(self.shape), 0
        part = np.asarray(self._open[key])
        self._touched += part.nbytes
        return part.astype(self.dtype, copy=False)


def _map(path: Path) -> NDArray[Any]:
    where = str(path)
    if not path.is_file():
        raise ReadError("no such file", where=where, fix="check the path; relative ones start at the pipeline file")
    size = path.stat().st_size
    if size == 0:
        raise ReadError("the file is empty (0 bytes)", where=where, fix="copy it again from where it came")
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ReadError(
            f"not a complete .npy file of numbers ({size} bytes): {error}",
            where=where,
            fix="save it again with numpy.save; object arrays are not read",
        ) from error
    if not isinstance(array, np.ndarray):
        raise ReadError("an .npz archive, not an .npy array", where=where, fix="save the 4-D array on its own")
    return array


def _scan_shape(stored: NDArray[Any], scan_shape: tuple[int, int] | None, where: str) -> tuple[int, ...]:
    if scan_shape is None:
        if stored.ndim == 4:
            return stored.shape
        raise SchemaError(
            f"the array is not 4-D: its shape is {stored.shape}",
            where=where,
            fix="give `scan_shape` for a 3-D stack of patterns; 4-D data are (scan_y, scan_x, qy, qx)",
        )
    positions = stored.shape[:-2]
    if stored.ndim not in (3, 4) or math.prod(positions) != math.prod(scan_shape):
        raise SchemaError(
            f"scan_shape {scan_shape} does not fit an array of shape {stored.shape}",
            where=where,
            fix=f"rows times columns must be {math.prod(positions)}",
        )
    return (*scan_shape, *stored.shape[-2:])

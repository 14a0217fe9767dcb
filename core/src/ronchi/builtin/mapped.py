"""Memory maps as lazy data: read when they are used, and opened again in each process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from ronchi.builtin.params_io import PlainParams
from ronchi.schema import fourd

__all__ = ["MappedArray", "plain_scan"]

REMAP_BYTES = 128 * 2**20


class MappedArray(BackendArray):
    """A memory map that travels to other processes as a path, not as its contents.

    Parameters
    ----------
    opener : callable
        Gives the map; can be pickled.
    shape : tuple of int
        That the map is brought to.
    dtype : numpy.dtype
        As stored; values are read in this machine's byte order.
    """

    def __init__(self, opener: Callable[[], NDArray[Any]], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.opener = opener
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
            self._open, self._touched = self.opener().reshape(self.shape), 0
        part = np.asarray(self._open[key])
        self._touched += part.nbytes
        return part.astype(self.dtype, copy=False)


def plain_scan(intensity: Any, params: PlainParams, path: Path) -> xr.Dataset:
    """``fourd/1`` of a file without any calibration, with that of the parameters.

    Raises
    ------
    SchemaError
    """
    return fourd.make(
        intensity,
        scan_step=params.scan_step_angstrom,
        q_step=params.q_step_inv_angstrom,
        centre_px=params.centre_px,
        beam_energy_eV=params.beam_energy_eV,
        semiangle_mrad=params.semiangle_mrad,
        scan_rotation_deg=params.scan_rotation_deg,
        title=path.stem,
    )

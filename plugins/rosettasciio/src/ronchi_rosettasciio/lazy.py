"""Data of a vendor file that are read when they are used, and travel to other processes as a file name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from ronchi_rosettasciio.formats import Format
from ronchi_rosettasciio.guards import damage

__all__ = ["LazySignal", "native_dtype"]

Opener = Callable[[], Any]


def native_dtype(dtype: np.dtype[Any], form: Format) -> np.dtype[Any]:
    """The dtype in which values are handed out: of this machine's byte order, and one that the algorithms take.

    Truth values become bytes, half precision becomes single, and extended double: neither compiled loops nor netCDF
    know them. Gatan's signed bytes are counts of an unsigned camera under the wrong tag, of which those above 127
    would be negative.
    """
    if dtype.kind == "b" or (form.name == "dm" and dtype == np.int8):
        return np.dtype(np.uint8)
    if dtype.kind == "f" and dtype.itemsize not in (4, 8):
        return np.dtype(np.float32 if dtype.itemsize < 4 else np.float64)
    return dtype.newbyteorder("=")


@dataclass
class LazySignal(BackendArray):
    """An array of a file, opened again in each process that reads it.

    Parameters
    ----------
    path : pathlib.Path
    form : Format
    opener : callable
        Gives the array, numpy or dask, in its final shape; can be pickled.
    shape : tuple of int
    dtype : numpy.dtype
        As stored.
    """

    path: Path
    form: Format
    opener: Opener
    shape: tuple[int, ...]
    stored: np.dtype[Any]
    data: Any = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values that are read."""
        return native_dtype(self.stored, self.form)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "data": None}

    def __getitem__(self, key: indexing.ExplicitIndexer) -> NDArray[Any]:
        part: NDArray[Any] = indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER_1VECTOR, self._read
        )
        return part

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        # A fault may lie anywhere in the file, so it may show only now.
        with damage(self.path, self.form):
            if self.data is None:
                self.data = self.opener()
            part = self.data[key]
            if hasattr(part, "compute"):
                part = part.compute(scheduler="synchronous")
            return np.asarray(part).astype(self.dtype, copy=False)

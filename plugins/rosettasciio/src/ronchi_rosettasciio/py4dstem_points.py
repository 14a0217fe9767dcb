"""Points of a scan in py4DSTEM's files: one variable-length list a position, read row by row.

An HDF5 list of variable length is a reference in the data set, which begins with the list's length, to a heap. The
lengths are read from the file itself: they are wanted before the points are, and a damaged one would make the
library ask for memory without end (HDF5 File Format Specification 3.0, VIII.C).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ronchi.api import ReadError
from ronchi_rosettasciio.guards import COPY

__all__ = ["PointArray", "open_points"]

BLOCK_BYTES = 16 * 2**20


@dataclass(frozen=True)
class PointArray:
    """The points of a scan, still in the file.

    Parameters
    ----------
    path : pathlib.Path
    name : str
        Of the data set.
    dtype : numpy.dtype
        Of a point.
    counts : (scan_y, scan_x) int64
    """

    path: Path
    name: str
    dtype: np.dtype[Any]
    counts: NDArray[np.int64]

    def blocks(self) -> Iterator[slice]:
        """Runs of scan rows whose points take about 16 MB."""
        sizes = np.cumsum(self.counts.sum(axis=1) * self.dtype.itemsize)
        start = 0
        while start < len(sizes):
            before = sizes[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(sizes, before + BLOCK_BYTES, side="right")))
            yield slice(start, stop)
            start = stop

    def read(self, rows: slice) -> NDArray[Any]:
        """(peak,) points of some rows, in scan order.

        Raises
        ------
        ReadError
            A list has another length than its reference says.
        """
        with h5py.File(self.path, "r") as file:
            lists = file[self.name][rows].ravel()
        empty = np.empty(0, self.dtype)
        records: NDArray[Any] = np.concatenate([empty, *(each for each in lists if each is not None and len(each))])
        if len(records) != self.counts[rows].sum():
            raise ReadError(
                f"{self.name}: {len(records)} points in rows {rows.start} to {rows.stop - 1}, "
                f"{self.counts[rows].sum()} are promised",
                where=str(self.path),
                fix=COPY,
            )
        return records


def open_points(path: Path, name: str) -> PointArray:
    """Look up how many points each position has.

    Raises
    ------
    ReadError
        They are more than the file can hold.
    """
    with h5py.File(path, "r") as file:
        item = file[name]
        dtype = h5py.check_vlen_dtype(item.dtype)
        shape = item.shape
        offset, address_bytes = item.id.get_offset(), file.id.get_create_plist().get_sizes()[0]
        if offset is None:
            counts = np.array([0 if each is None else len(each) for each in item[...].ravel()], np.int64)
    if offset is not None:
        reference = np.dtype([("length", "<u4"), ("address", f"V{address_bytes}"), ("index", "<u4")])
        stored = np.fromfile(path, reference, count=shape[0] * shape[1], offset=offset)
        if len(stored) != shape[0] * shape[1]:
            raise ReadError(f"{name}: the file ends within the references", where=str(path), fix=COPY)
        counts = stored["length"].astype(np.int64)
        if counts.sum() * dtype.itemsize > path.stat().st_size:
            raise ReadError(
                f"{name}: {counts.sum()} points are promised, more than the file can hold", where=str(path), fix=COPY
            )
    return PointArray(path, name, dtype, counts.reshape(shape))

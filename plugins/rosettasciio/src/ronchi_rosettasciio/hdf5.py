"""HDF5 that no plugin of RosettaSciIO opens lazily: data sets by path, and Dectris Arina's series of files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ronchi.api import ReadError
from ronchi_rosettasciio.probe import largest_dataset, probe
from ronchi_rosettasciio.signals import Axis, Signal

__all__ = ["left_out", "read_arina", "read_datasets"]

_MOST_DATASETS = 200
_JOINED_BYTES = 4 * 2**20


def read_datasets(path: Path) -> list[Signal]:
    """Every data set of real numbers with two dimensions or more, the largest first.

    Notes
    -----
    The file stays open as long as one of the arrays is in use.
    """
    import h5py
    import hdf5plugin  # noqa: F401 - its import registers the filters of detectors

    file = h5py.File(path, "r")
    found: list[Signal] = []

    def visit(name: str, item: Any) -> int | None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "iufb" and item.ndim >= 2 and item.size:
            found.append(Signal(name, _lazy(item), _plain_axes(item.shape)))
        return None if len(found) < _MOST_DATASETS else len(found)

    file.visititems(visit)
    first = largest_dataset(file)[0]
    return sorted(found, key=lambda signal: signal.name != first)


def left_out(path: Path) -> str:
    """Which files are missing that this one leads to, in words; empty if none is. HDF5 itself says nothing."""
    missing = [name for name in probe(path).outside if not (path.parent / name).is_file()]
    if not missing:
        return ""
    named = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
    return f"missing beside the file, which leads to them: {named}; zeros stand in place of patterns that are in them"


def read_arina(path: Path, scan_shape: tuple[int, int] | None) -> tuple[list[Signal], list[str]]:
    """The frames of an Arina master file, in the dtype in which they were counted.

    Parameters
    ----------
    path : pathlib.Path
        ``…_master.h5``; the data files lie beside it.
    scan_shape : tuple of int, optional
        Rows and columns; without it a square is assumed where the number of frames is a square.

    Returns
    -------
    signals : list of Signal
    notes : list of str

    Raises
    ------
    ReadError
        A data file is missing, or their frames differ.
    """
    import dask.array as da
    import h5py
    import hdf5plugin  # noqa: F401 - its import registers the filters of detectors

    file = h5py.File(path, "r")
    group = file["entry/data"]
    parts = []
    for name in sorted(group):
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink) and not (path.parent / link.filename).is_file():
            raise FileNotFoundError(2, "missing", str(path.parent / link.filename))
        part = group[name]
        if isinstance(part, h5py.Dataset) and part.ndim == 3:
            parts.append(part)
    if len({(part.shape[1:], part.dtype) for part in parts}) != 1:
        raise ReadError(
            f"the {len(parts)} data files hold frames of different shapes or types, or none",
            where=str(path),
            fix="keep the files of one acquisition together, under the names that they were given",
        )
    frames = da.concatenate([_lazy(part) for part in parts])
    n = frames.shape[0]
    side = math.isqrt(n)
    notes: list[str] = []
    scan = scan_shape
    if scan is None and side * side == n and side > 1:
        scan = (side, side)
        notes.append(f"the file does not say how the {n} patterns lie: a square is assumed; `scan_shape` sets another")
    step = _pixel_size_angstrom(path)
    leading: tuple[Axis, ...] = (_scan_axis("", n, None),)
    if scan is not None and math.prod(scan) == n:
        frames = frames.reshape(*scan, *frames.shape[1:])
        leading = (_scan_axis("y", scan[0], step), _scan_axis("x", scan[1], step))
    return [Signal(path.stem, frames, (*leading, *_plain_axes(frames.shape[-2:])))], notes


def _scan_axis(name: str, size: int, step: float | None) -> Axis:
    return Axis(name, size, 1.0 if step is None else step, 0.0, "" if step is None else "angstrom", True)


def _pixel_size_angstrom(master: Path) -> float | None:
    """Scan step from the file that the microscope's software writes beside the detector's, in nm there."""
    import h5py

    beside = master.with_name(master.name.replace("_master.h5", ".h5"))
    if beside == master or not beside.is_file():
        return None
    try:
        with h5py.File(beside, "r") as file:
            return float(np.ravel(file["STEM Metadata"].attrs["Pixel Size"])[0]) * 10
    except (OSError, KeyError, ValueError, IndexError):
        return None


def _plain_axes(shape: tuple[int, ...]) -> tuple[Axis, ...]:
    return tuple(Axis("", int(n), 1.0, 0.0, "", i < len(shape) - 2) for i, n in enumerate(shape))


def _lazy(item: Any) -> Any:
    import dask.array as da

    # A name of its own keeps dask from reading the data to make one.
    chunks = _joined(item.shape, item.chunks, item.dtype.itemsize) if item.chunks else "auto"
    return da.from_array(item, chunks=chunks, name=False, lock=False)


def _joined(shape: tuple[int, ...], chunks: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Chunks of a few detector pixels, up to 4 MB together: a task of dask takes as long as to decode a small one."""
    joined = list(chunks)
    for axis in (-1, -2):
        most = max(1, _JOINED_BYTES // (math.prod(joined) * itemsize))
        joined[axis] = min(shape[axis], most * chunks[axis])
        if joined[axis] < shape[axis]:
            break
    return tuple(joined)

"""What a file format must offer to the writer, and how variables are cut into chunks and slabs."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.chunking import BLOCK_BYTES
from ronchi.errors import OutputError

__all__ = [
    "Groups",
    "Store",
    "StoreGroup",
    "Target",
    "plain_attrs",
    "plan_chunks",
    "slabs",
    "stored_dtype",
    "stored_values",
]

Groups = Sequence[tuple[str | None, xr.Dataset]]
"""The data set under None, and its sides under their names."""

CHUNK_BYTES = 2**20
SMALL_BYTES = 2**16


class Target(NamedTuple):
    """An array of a file that is being written.

    Parameters
    ----------
    array : object
        Slabs are assigned to it.
    unit : tuple of int or None
        Shape of a slab that is to be written at once, because anything less would be written twice.
    """

    array: Any
    unit: tuple[int, ...] | None = None


class StoreGroup(Protocol):
    """A group of a file that is being written."""

    def create(self, name: str, var: xr.Variable) -> Target:
        """Make an array for a variable."""


class Store(Protocol):
    """A file that is being written."""

    def check(self, groups: Groups) -> None:
        """Refuse, before the file is opened, what the format cannot hold; raises `OutputError`."""

    def __enter__(self) -> Self:
        """Open the file."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Flush and close it."""

    def group(self, name: str | None, ds: xr.Dataset) -> StoreGroup:
        """Make a group, or the root for None, with the attributes and dimensions of ``ds``."""


def plain_attrs(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes as text, numbers and 1-D numeric arrays; anything nested becomes JSON text.

    Raises
    ------
    OutputError
        A value is neither, nor can be put into JSON.
    """
    return {str(name): _plain(str(name), value) for name, value in attrs.items() if value is not None}


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return int(value)
    if isinstance(value, np.number) and value.dtype.kind in "iuf" and value.dtype.itemsize <= 8:
        # netCDF has no numbers of 16 bits with a fraction.
        return np.float32(value) if value.dtype == np.float16 else value
    if isinstance(value, int | float) and not isinstance(value, np.number):
        return value
    if isinstance(value, list | tuple | np.ndarray):
        array = np.asarray(value)
        if array.ndim == 1 and array.dtype.kind in "iuf" and array.dtype.itemsize <= 8 and array.size:
            return array.astype(np.float32) if array.dtype == np.float16 else array
        value = array.tolist()
    try:
        return json.dumps(value, sort_keys=True)
    except TypeError as error:
        raise OutputError(
            f"attribute {name!r} is a {type(value).__name__}, which no file format here can hold",
            fix="use text, numbers, lists or dicts of them",
        ) from error


def plan_chunks(var: xr.Variable) -> tuple[int, ...] | None:
    """Shape of a compressed chunk of about 1 MB; None for what is too small to gain from it.

    The trailing two dimensions (a pattern, an image) stay whole and consecutive ones are
    joined along the axis before. A dask block holds a whole number of chunks along that
    axis where its size has a suitable divisor, so that no chunk is written twice.
    """
    if var.dtype.kind not in "iufb" or var.nbytes < SMALL_BYTES:
        return None
    tail = 2 if var.ndim >= 3 else var.ndim - 1
    axis = var.ndim - tail - 1
    unit = math.prod(var.shape[axis + 1 :]) * var.dtype.itemsize
    most = max(1, min(var.shape[axis], CHUNK_BYTES // unit))
    run = var.chunks[axis][0] if var.chunks else var.shape[axis]
    joined = most if run <= most else max(n for n in range(1, most + 1) if run % n == 0)
    if joined * 4 < most:
        joined = most
    return (1,) * axis + (min(joined, var.shape[axis]), *var.shape[axis + 1 :])


def slabs(var: xr.Variable, unit: tuple[int, ...] | None = None) -> Iterator[tuple[slice, ...]]:
    """Cut a variable into pieces that fit in memory: of the shape ``unit``, the blocks of dask data, or about 12 MB."""
    if unit is not None:
        edges = [np.array([*range(0, size, step), size]) for size, step in zip(var.shape, unit, strict=True)]
    elif var.chunks is not None:
        edges = [np.cumsum([0, *sizes]) for sizes in var.chunks]
    else:
        edges, left = [], max(1, BLOCK_BYTES)
        for axis, size in enumerate(var.shape):
            inner = math.prod(var.shape[axis + 1 :]) * var.dtype.itemsize
            step = max(1, left // max(inner, 1))
            edges.append(np.array([*range(0, size, step), size]) if size else np.array([0, 0]))
    yield from (
        tuple(slice(int(a), int(b)) for a, b in corner)
        for corner in itertools.product(*(itertools.pairwise(edge) for edge in edges))
    )


def stored_values(var: xr.Variable) -> NDArray[Any]:
    """Values of a slab in a dtype that netCDF4 and zarr both know, in native byte order."""
    values: NDArray[Any] = np.asarray(var.data)
    if values.dtype.kind == "b":
        return values.astype(np.int8)
    if values.dtype == np.float16:
        return values.astype(np.float32)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def stored_dtype(var: xr.Variable) -> np.dtype[Any]:
    """Dtype that `stored_values` gives.

    Raises
    ------
    OutputError
        The formats have none for it.
    """
    if var.dtype.kind not in "iufbU":
        raise OutputError(f"variable of dims {var.dims} has dtype {var.dtype}", fix="use numbers, flags or text")
    dtype = stored_values(xr.Variable((), np.zeros((), var.dtype))).dtype
    # Zarr's arrays spell out this machine's order, which numpy takes for its own and netCDF4 warns of.
    return np.dtype(dtype.newbyteorder("="))

"""Data sets on disk for the cache: one ``.npy`` a variable and a JSON index, exact to the bit.

NetCDF would change dtypes on the way (bool, text) and has no fixed bytes; nothing here needs more
than dims, attributes and arrays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

__all__ = ["array_digests", "is_lazy", "lent", "load_dataset", "save_dataset"]

_PIECE_BYTES = 16 * 2**20
_MEMORY_BYTES = 64 * 2**20
"""Variables up to this size are read at once, larger ones when they are used."""


def is_lazy(var: xr.Variable | xr.DataArray) -> bool:
    """True if the values still lie in a file or in a dask graph."""
    return not (var.variable if isinstance(var, xr.DataArray) else var)._in_memory


def save_dataset(ds: xr.Dataset, folder: Path) -> None:
    """Write every variable, large ones piece by piece, and an index."""
    folder.mkdir()
    index: dict[str, Any] = {"attrs": _encode(dict(ds.attrs)), "coords": sorted(map(str, ds.coords)), "variables": []}
    for i, (name, var) in enumerate(ds.variables.items()):
        _write(var, folder / f"{i}.npy")
        index["variables"].append([str(name), list(var.dims), _encode(dict(var.attrs))])
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")


def load_dataset(folder: Path) -> xr.Dataset:
    """Read what `save_dataset` wrote; variables above 64 MB become dask arrays."""
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    variables = {
        name: xr.Variable(dims, _read(folder / f"{i}.npy"), _decode(attrs))
        for i, (name, dims, attrs) in enumerate(index["variables"])
    }
    coords = {name: variables.pop(name) for name in list(variables) if name in index["coords"]}
    return xr.Dataset(variables, coords, _decode(index["attrs"]))


def array_digests(ds: xr.Dataset) -> dict[str, str]:
    """Sha256 of the dims, dtype, shape and bytes of every variable, sorted by name."""
    return {name: _digest(ds.variables[name]) for name in sorted(map(str, ds.variables))}


def _digest(var: xr.Variable) -> str:
    digest = hashlib.sha256(repr((var.dims, var.dtype.str, var.shape)).encode())
    for piece in _pieces(var):
        digest.update(piece.data if piece.size else b"")
    return digest.hexdigest()


def lent(data: xr.Dataset) -> xr.Dataset:
    """The same for a step that must not change it: attributes of its own, and arrays that cannot be written to.

    What one step did to its input, the next one would take for that of an earlier step, and store what it makes of it
    under the key of data that nobody has touched.
    """
    copy = data.copy()
    copy.attrs = _own(data.attrs)
    for var in copy.variables.values():
        var.attrs = _own(var.attrs)
        if isinstance(var._data, np.ndarray):
            view = var._data.view()
            view.flags.writeable = False
            var.data = view
    return copy


def _own(value: Any) -> Any:
    """Lists, mappings and arrays that are no one else's, which a copy of a data set has in common with it.

    Other objects, such as an open file that a reader has left there, may have no copy.
    """
    if isinstance(value, Mapping):
        return {key: _own(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_own(item) for item in value]
    return value.copy() if isinstance(value, np.ndarray) else value


def _pieces(var: xr.Variable) -> Iterator[NDArray[Any]]:
    """C-ordered pieces along the first axis, or the first two where rows are large."""
    if var.nbytes <= _PIECE_BYTES or var.ndim == 0:
        yield np.ascontiguousarray(var.values).reshape(-1).view(np.uint8)
    elif var.nbytes // var.shape[0] > _PIECE_BYTES and var.ndim > 1:
        for i in range(var.shape[0]):
            yield from _pieces(var[i])
    else:
        step = max(1, _PIECE_BYTES * var.shape[0] // var.nbytes)
        for start in range(0, var.shape[0], step):
            yield np.ascontiguousarray(var[start : start + step].values).reshape(-1).view(np.uint8)


def _write(var: xr.Variable, path: Path) -> None:
    if var.dtype.hasobject:
        raise TypeError(f"a variable has dtype {var.dtype}")
    header = {"descr": np.lib.format.dtype_to_descr(var.dtype), "fortran_order": False, "shape": var.shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for piece in _pieces(var):
            file.write(piece.data if piece.size else b"")


def _read(path: Path) -> Any:
    mapped: NDArray[Any] = np.load(path, mmap_mode=None, allow_pickle=False) if _small(path) else _lazy(path)
    return mapped


def _small(path: Path) -> bool:
    return path.stat().st_size <= _MEMORY_BYTES


def _lazy(path: Path) -> Any:
    import dask.array as da

    stored = _NpyFile(path)
    row_bytes = int(np.prod(stored.shape[1:])) * stored.dtype.itemsize
    if row_bytes > _PIECE_BYTES and stored.ndim > 2:
        chunks: tuple[int, ...] = (1, max(1, _PIECE_BYTES * stored.shape[1] // row_bytes), *stored.shape[2:])
    else:
        chunks = (max(1, _PIECE_BYTES // row_bytes), *stored.shape[1:])
    return da.from_array(stored, chunks=chunks, name=f"npy-{path}", asarray=False)


class _NpyFile:
    """A file that is mapped only while a part of it is copied, so that no pages stay."""

    def __init__(self, path: Path) -> None:
        self.path = path
        mapped = self._map()
        self.shape, self.dtype, self.ndim = mapped.shape, mapped.dtype, mapped.ndim

    def _map(self) -> NDArray[Any]:
        mapped: NDArray[Any] = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return mapped

    def __getitem__(self, key: Any) -> NDArray[Any]:
        return np.array(self._map()[key])


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": value.dtype.str}
    if isinstance(value, np.generic):
        return {"scalar": value.item(), "dtype": value.dtype.str}
    if isinstance(value, dict):
        return {"dict": {str(name): _encode(item) for name, item in value.items()}}
    if isinstance(value, tuple):
        return {"tuple": [_encode(item) for item in value]}
    if isinstance(value, list):
        return [_encode(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"an attribute has type {type(value).__name__}")


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return np.array(value["array"], value["dtype"])
    if "scalar" in value:
        return np.dtype(value["dtype"]).type(value["scalar"])
    if "tuple" in value:
        return tuple(_decode(item) for item in value["tuple"])
    return {name: _decode(item) for name, item in value["dict"].items()}

"""Reader of ronchi's own files: netCDF4 and zarr v3, any schema, lazily."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ronchi import schema
from ronchi.api import Result
from ronchi.builtin.hdf5_header import HDF5_MAGIC, NETCDF3_MAGIC, NETCDF4_MARK, check_complete, check_marks
from ronchi.builtin.hdf5_heaps import check_heaps
from ronchi.builtin.netcdf_survey import Survey, survey
from ronchi.builtin.params_io import NativeParams
from ronchi.builtin.zarr_chunks import COMPLETE, check_chunks
from ronchi.chunking import BLOCK_BYTES, chunks_of_stack, scan_chunks
from ronchi.errors import ReadError, RonchiError, SchemaError

__all__ = ["NativeReader", "open_native", "sniff"]

HEAD_BYTES = 65536

FILTERED_CACHE_BYTES = 2**20
"""Size of HDF5's own cache of chunks, where they lie behind a filter.

Blocks are read once and whole, so a large cache would only hold them a second time. Without any,
chunks that are stored as they are go straight from the file into the block; chunks behind a filter
would be decoded again by each read of a part.
"""


class NativeReader:
    """Opens a netCDF4 file or a zarr store that follows one of ronchi's schemas.

    Patterns and movies become dask blocks; everything else is read on first use. The
    groups of the file (``truth``, …) are the side outputs.
    """

    def __init__(self, params: NativeParams) -> None:
        self.params = params

    def confidence(self, path: Path) -> float:
        """0 to 1 from the first bytes (zarr: from ``zarr.json``); never raises."""
        return sniff(path)

    def open(self, path: Path) -> Result:
        """Open lazily.

        Raises
        ------
        ReadError
            The file is absent, empty, truncated, or not a netCDF or zarr file.
        SchemaError
            It does not follow the schema that it names, or names none.
        """
        return open_native(Path(path), int(self.params.block_mb * 2**20))


def sniff(path: Path) -> float:
    """How sure it is, from 0 to 1, that `open_native` can read ``path``; never raises."""
    try:
        if path.is_dir():
            text = (path / "zarr.json").read_bytes()[:HEAD_BYTES]
            return 1.0 if schema.ATTR.encode() in text else 0.3
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except (OSError, ValueError):
        return 0.0
    if head.startswith(HDF5_MAGIC):
        if schema.ATTR.encode() in head:
            return 1.0
        # netCDF-4 marks its files; other HDF5 belongs to readers that know its layout.
        return 0.5 if NETCDF4_MARK in head else 0.2
    return 0.5 if head.startswith(NETCDF3_MAGIC) else 0.0


def open_native(path: Path, block_bytes: int = BLOCK_BYTES) -> Result:
    """Open a netCDF or zarr file lazily, with its groups as sides.

    Parameters
    ----------
    path : Path
    block_bytes : int
        Size aimed at of a dask block of patterns.

    Raises
    ------
    ReadError, SchemaError
        See `NativeReader.open`.
    """
    where = str(path)
    if not path.exists():
        raise ReadError("no such file", where=where, fix="check the path; relative ones start at the pipeline file")
    with _damage(path):
        return _open(path, where, block_bytes)


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn whatever a library raises on a file that it cannot read into one `ReadError`."""
    try:
        yield
    except RonchiError:
        raise
    # Damaged files make the libraries fail in every way that there is.
    except Exception as error:
        told = " ".join(str(error).split())[:200] or type(error).__name__
        if path.is_dir():
            what, fix = f"the folder is not a readable zarr store: {told}", "give the folder that holds zarr.json"
        else:
            what, fix = f"the file is damaged or not netCDF: {told}", "copy it again from where it came"
        raise ReadError(what, where=str(path), fix=fix) from error


def _open(path: Path, where: str, block_bytes: int) -> Result:
    found = _survey(path)
    data = _open_group(path, None, found)
    if not schema.schema_of(data):
        names = [f"{name}{var.dims}" for name, var in data.data_vars.items()]
        held = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "") or "no variables"
        data.close()
        raise SchemaError(
            f"this is no ronchi data set: attribute {schema.ATTR!r} is missing (found: {held})",
            where=where,
            fix="convert it with `ronchi convert`, or name the reader of its format",
        )
    _validate(data, where)
    result = _chunk_intensity(data, block_bytes)
    if result is not data:
        result.set_close(data.close)
    sides = {name: _open_group(path, name, found) for name in found.groups}
    for name, side in sides.items():
        if schema.schema_of(side):
            _validate(side, f"{where}, group {name!r}")
    return Result(result, sides)


def _validate(data: xr.Dataset, where: str) -> None:
    try:
        schema.validate(data, where)
    except SchemaError as error:
        data.close()
        fix = error.fix or "if it was whole before, copy it again from where it came; else correct what wrote it"
        raise SchemaError(error.what, where=error.where, fix=fix) from error


def _survey(path: Path) -> Survey:
    if path.is_dir():
        return Survey(_zarr_groups(path), unfiltered=False)
    if check_complete(path) == HDF5_MAGIC:
        check_marks(path, (schema.ATTR.encode(), NETCDF4_MARK))
        check_heaps(path)
    return survey(path)


def _open_group(path: Path, group: str | None, found: Survey) -> xr.Dataset:
    # Units such as "days since" are not ronchi's; decoding them would only change dtypes.
    options: dict[str, Any] = {"group": group, "decode_times": False, "chunks": None}
    if path.is_dir():
        ds = xr.open_zarr(path, consolidated=False, **options)
    else:
        with _chunk_cache(0 if found.unfiltered else FILTERED_CACHE_BYTES):
            ds = xr.open_dataset(path, engine="netcdf4", cache=True, **options)
    ds.attrs = {str(key): _plain(value) for key, value in ds.attrs.items() if key != COMPLETE}
    _complete_attrs(ds)
    for var in ds.variables.values():
        # Where a fault lies is known only when the values are read.
        var.encoding["source"] = str(path)
    return _fixed_width_text(ds)


@contextlib.contextmanager
def _chunk_cache(nbytes: int) -> Iterator[None]:
    """Give the chunk cache of the files that are opened in the context a size of ``nbytes``."""
    import netCDF4

    size, elements, preemption = netCDF4.get_chunk_cache()
    netCDF4.set_chunk_cache(size=nbytes)
    try:
        yield
    finally:
        netCDF4.set_chunk_cache(size, elements, preemption)


def _zarr_groups(path: Path) -> tuple[str, ...]:
    try:
        import zarr
    except ImportError as error:
        raise ReadError("zarr is not installed", where=str(path), fix='pip install "ronchi[zarr]"') from error
    check_chunks(path)
    return tuple(sorted(zarr.open_group(path, mode="r").group_keys()))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list) and value and all(isinstance(item, int | float) for item in value):
        return np.asarray(value)
    return value


def _fixed_width_text(ds: xr.Dataset) -> xr.Dataset:
    # zarr gives text as variable-length strings, which the schemas do not know.
    text = {
        name: xr.Variable(var.dims, np.array(var.values.tolist(), str), var.attrs)
        for name, var in ds.variables.items()
        if var.dtype.kind in "TO"
    }
    coords = {name: var for name, var in text.items() if name in ds.coords}
    return ds.assign_coords(coords).assign({name: var for name, var in text.items() if name not in coords})


def _complete_attrs(ds: xr.Dataset) -> None:
    """Supply what needs no knowledge of the experiment: readable names, and the unit of a count."""
    for name, var in ds.variables.items():
        var.attrs.setdefault("long_name", str(name).replace("_", " "))
        if name in ds.indexes and var.dtype.kind in "iu":
            var.attrs.setdefault("units", "1")


def _chunk_intensity(ds: xr.Dataset, block_bytes: int) -> xr.Dataset:
    if "intensity" not in ds or ds["intensity"].ndim < 3:
        return ds
    intensity = ds["intensity"]
    itemsize = intensity.dtype.itemsize
    chunks: tuple[int, ...]
    if intensity.ndim == 4:
        stored = intensity.encoding.get("chunksizes") or intensity.encoding.get("chunks")
        chunks = scan_chunks(intensity.shape, itemsize, stored, block_bytes)
    else:
        chunks = chunks_of_stack(intensity.shape, itemsize, block_bytes)
    return ds.assign(intensity=intensity.chunk(dict(zip(intensity.dims, chunks, strict=True))))

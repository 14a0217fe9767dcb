"""Writer of results: netCDF4 files and zarr stores, all or nothing, block by block."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import xarray as xr

from ronchi.blocks import reading
from ronchi.builtin.store import Store, StoreGroup, plan_chunks, slabs, stored_values
from ronchi.errors import OutputError, RonchiError

__all__ = ["FORMATS", "write"]

FORMATS = (".nc", ".zarr")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def _ignore_progress(done: int, total: int) -> None:
    return None


def write(
    ds: xr.Dataset,
    path: Path | str,
    sides: Mapping[str, xr.Dataset] | None = None,
    *,
    compress: bool = True,
    overwrite: bool = True,
    progress: Callable[[int, int], None] = _ignore_progress,
) -> Path:
    """Write a data set and its sides; the format follows the extension.

    The file is built under a temporary name in the same folder, synced and renamed, so a
    reader sees the old one or the whole new one. Equal data give equal bytes. Patterns are
    read, and written, one block at a time: lazy data never lie in memory as a whole.

    Parameters
    ----------
    ds : xarray.Dataset
        Of any schema; a mapping among its attributes is stored as JSON text.
    path : Path or str
        ``.nc`` for netCDF4, ``.zarr`` for a zarr v3 store (needs ``ronchi[zarr]``).
    sides : mapping of str to xarray.Dataset, optional
        Written as groups of these names.
    compress : bool
        zlib level 1 with shuffle, in chunks of whole patterns that follow the scan: fast
        for single patterns and for one pass over all. Without it netCDF patterns lie
        contiguously, which also serves the image of one detector pixel.
    overwrite : bool
        Replace an existing file.
    progress : callable
        ``progress(done, total)`` in bytes of uncompressed data.

    Returns
    -------
    Path

    Raises
    ------
    OutputError
        The extension is unknown, the path is in use, the folder cannot be written to, or
        the disk is full; nothing is left behind, and an older file stays.
    ReadError
        Lazy data come from a file that is damaged; as above.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise OutputError(f"unknown extension {path.suffix!r}", where=str(path), fix=f"use one of {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise OutputError("the folder does not exist", where=str(path.parent), fix="make it first")
    if path.exists() and not overwrite:
        raise OutputError("the path is in use", where=str(path), fix="choose another name, or allow overwriting")
    groups: list[tuple[str | None, xr.Dataset]] = [(None, ds), *(sides or {}).items()]
    total = sum(var.nbytes for _, group in groups for var in group.variables.values())
    done = 0
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    with _all_or_nothing(path, temporary, total):
        with _open_store(temporary) as store:
            for name, group in groups:
                target = store.group(name, group)
                for written in _write_variables(group, target, compress):
                    done += written
                    progress(done, total)
        _sync(temporary)
        _replace(temporary, path)
    return path


def _open_store(path: Path) -> Store:
    if path.suffix == ".nc":
        from ronchi.builtin.store_netcdf import NetcdfStore

        return NetcdfStore(path)
    try:
        from ronchi.builtin.store_zarr import ZarrStore
    except ImportError as error:
        raise OutputError("zarr is not installed", where=str(path), fix='pip install "ronchi[zarr]"') from error
    return ZarrStore(path)


def _write_variables(ds: xr.Dataset, target: StoreGroup, compress: bool) -> Iterator[int]:
    for name, var in ds.variables.items():
        array = target.create(str(name), var, plan_chunks(var) if compress else None)
        for slab in slabs(var):
            with reading(var, str(name)):
                values = stored_values(var[slab])
            array[slab] = values
            yield values.nbytes


@contextlib.contextmanager
def _all_or_nothing(path: Path, temporary: Path, size: int) -> Iterator[None]:
    try:
        yield
    except RonchiError:
        _remove(temporary)
        raise
    except (OSError, RuntimeError) as error:
        # HDF5 hides the errno of a failed write behind "HDF error": ask the file system.
        full = isinstance(error, OSError) and error.errno in _FULL
        free = _free_bytes(path.parent)
        _remove(temporary)
        if full or (isinstance(error, RuntimeError) and "HDF" in str(error)):
            raise OutputError(
                f"the disk is full, or a quota or size limit is reached: {free} bytes are free, "
                f"up to {size} are needed ({error})",
                where=str(path),
                fix="free some space, or choose another output folder; what was there before is kept",
            ) from error
        raise OutputError(
            f"cannot be written: {getattr(error, 'strerror', None) or error}",
            where=str(path),
            fix="choose a folder that exists and that you may write to",
        ) from error
    except BaseException:
        _remove(temporary)
        raise


def _free_bytes(folder: Path) -> str:
    try:
        return str(shutil.disk_usage(folder).free)
    except OSError:
        return "an unknown number of"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _replace(temporary: Path, path: Path) -> None:
    if not path.is_dir():
        temporary.replace(path)
    else:
        # A folder cannot be renamed over a full one: move the old one aside first.
        old = path.with_name(f".{path.name}.{os.getpid()}.old")
        path.rename(old)
        try:
            temporary.rename(path)
        except OSError:
            old.rename(path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

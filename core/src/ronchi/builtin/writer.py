"""Writer of ronchi's own files: netCDF4 files and zarr stores, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import xarray as xr

from ronchi.builtin.params_io import NativeWriterParams
from ronchi.builtin.store import Store, StoreGroup, slabs, stored_values
from ronchi.errors import OutputError
from ronchi.file_faults import reading

__all__ = ["NativeWriter"]


class NativeWriter:
    """Writes a data set of any schema, with its sides as groups of their names.

    Equal data give equal bytes. Patterns are read, and written, one block at a time. A mapping among the
    attributes is stored as JSON text.
    """

    def __init__(self, params: NativeWriterParams) -> None:
        self.params = params

    def write(
        self,
        data: xr.Dataset,
        sides: Mapping[str, xr.Dataset],
        path: Path,
        *,
        progress: Callable[[int, int], None],
    ) -> None:
        """Make a netCDF4 file (``.nc``) or a zarr v3 store (``.zarr``); progress is in bytes of uncompressed data.

        Raises
        ------
        OutputError
            A name, an attribute or a dtype has no form in the format, or zarr is not installed.
        ReadError
            Lazy data come from a file that is damaged.
        """
        groups: list[tuple[str | None, xr.Dataset]] = [(None, data), *sides.items()]
        total = sum(var.nbytes for _, group in groups for var in group.variables.values())
        done = 0
        store = _open_store(path, self.params)
        try:
            store.check(groups)
            with store:
                for name, group in groups:
                    target = store.group(name, group)
                    for written in _write_variables(group, target):
                        done += written
                        progress(done, total)
        except OutputError as error:
            error.where = error.where or str(path)
            raise


def _open_store(path: Path, params: NativeWriterParams) -> Store:
    if path.suffix == ".nc":
        from ronchi.builtin.store_netcdf import NetcdfStore

        return NetcdfStore(path, compress=params.compress)
    try:
        from ronchi.builtin.store_zarr import ZarrStore
    except ImportError as error:
        raise OutputError("zarr is not installed", where=str(path), fix='pip install "ronchi[zarr]"') from error
    return ZarrStore(path, compress=params.compress, patterns_first=params.zarr_chunks == "patterns")


def _write_variables(ds: xr.Dataset, target: StoreGroup) -> Iterator[int]:
    for name, var in ds.variables.items():
        array, unit = target.create(str(name), var)
        for slab in slabs(var, unit):
            with reading(var, str(name)):
                values = stored_values(var[slab])
            array[slab] = values
            yield values.nbytes

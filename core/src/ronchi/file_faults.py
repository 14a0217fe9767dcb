"""Faults of the file in which lazy data lie, told from the faults of whatever is computed from them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import xarray as xr

from ronchi.errors import ReadError

__all__ = ["reading"]

_STORAGE_WORDS = ("NetCDF", "HDF", "decompress")
"""What the libraries of the formats write into the bare RuntimeError of a fault in a file."""

_STORAGE_MODULES = {"zarr", "numcodecs"}
"""Libraries that raise any exception on a chunk that is damaged: what passed through them was a fault in a file."""


@contextlib.contextmanager
def reading(var: xr.DataArray | xr.Variable, name: str) -> Iterator[None]:
    """Tell faults of the file in which a variable lies from all others.

    Parameters
    ----------
    var : DataArray or Variable
        ``encoding["source"]`` is its file, where that is known.
    name : str

    Raises
    ------
    ReadError
        What ran in the context failed to read from a file.
    """
    try:
        yield
    except ReadError:
        raise
    except Exception as error:
        if not _from_storage(error):
            raise
        source = var.encoding.get("source")
        raise ReadError(
            f"the data cannot be read: {error}",
            where=f"{source}, variable {name!r}" if source else f"variable {name!r}",
            fix="the input file is damaged: copy it again",
        ) from error


def _from_storage(error: Exception) -> bool:
    if isinstance(error, OSError) or (isinstance(error, RuntimeError) and any(w in str(error) for w in _STORAGE_WORDS)):
        return True
    trace = error.__traceback__
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0] in _STORAGE_MODULES:
            return True
        trace = trace.tb_next
    return False

"""Faults of the file in which lazy data lie, told from the faults of whatever is computed from them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import xarray as xr

from ronchi.errors import ReadError
from ronchi.os_faults import FaultKind, fault_kind, passed_through

__all__ = ["reading"]

_STORAGE_WORDS = ("NetCDF", "HDF", "decompress")
"""What the libraries of the formats write into the bare RuntimeError of a fault in a file."""

_STORAGE_MODULES = frozenset({"zarr", "numcodecs"})
"""Libraries that raise any exception on a chunk that is damaged: what passed through them was a fault in a file."""

_WORDS: dict[FaultKind, tuple[str, str]] = {
    "": ("", "the input file is damaged: copy it again"),
    "handles": ("too many files are open", "raise the limit, such as by `ulimit -n 4096`, or use fewer workers"),
    "rights": ("it may not be read", "see the rights of the file and of its folder"),
    "gone": ("it is no longer there", "put the file back, or open it where it is now"),
    "device": (
        "the disk, or the network to it, fails",
        "try again; if it stays so, see the disk, and copy the file to another one",
    ),
    "full": ("the disk is full, or a quota is reached", "free some space, and try again"),
    "memory": ("memory is short", "use smaller blocks or fewer workers"),
    "other": ("", "see that the file is whole, and where it lies"),
}
"""What is wrong, in addition to what the system says, and what to do, where the data cannot be read."""


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
        What ran in the context failed to read from a file: it is damaged, or the system does not hand it out.
    """
    try:
        yield
    except ReadError:
        raise
    except Exception as error:
        if not _from_storage(error):
            raise
        source = var.encoding.get("source")
        what, fix = _WORDS[fault_kind(error)]
        raise ReadError(
            f"the data cannot be read: {what}{f' ({error})' if what else error}",
            where=f"{source}, variable {name!r}" if source else f"variable {name!r}",
            fix=fix,
        ) from error


def _from_storage(error: Exception) -> bool:
    if isinstance(error, OSError) or (isinstance(error, RuntimeError) and any(w in str(error) for w in _STORAGE_WORDS)):
        return True
    return passed_through(error, _STORAGE_MODULES)

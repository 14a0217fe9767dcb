"""What an HDF5 or netCDF-3 file says of itself at its ends, checked before a library opens it.

HDF5 reports a file that was cut off as "NetCDF: HDF error"; its superblock says how long
the file should be (HDF5 File Format Specification 3.0, II.A).
"""

from __future__ import annotations

import struct
from pathlib import Path

from ronchi.errors import ReadError, SchemaError

__all__ = [
    "HDF5_MAGIC",
    "NETCDF3_MAGIC",
    "NETCDF4_MARK",
    "SEARCHED_BYTES",
    "check_complete",
    "check_marks",
    "promised_size",
    "read_ends",
]

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
NETCDF3_MAGIC = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
NETCDF4_MARK = b"_NCProperties"

SEARCHED_BYTES = 2**20
"""At the start and at the end of a file, where libraries put what is not data."""


def promised_size(head: bytes) -> int | None:
    """Length in bytes that an HDF5 superblock at the start of a file states.

    Parameters
    ----------
    head : bytes
        The first 64 bytes or more.

    Returns
    -------
    int or None
        None if the superblock is cut off, of an unknown version, or not of 8-byte offsets.
    """
    if len(head) < 64 or not head.startswith(HDF5_MAGIC):
        return None
    version = head[8]
    if version in (0, 1):
        base = 24 + 4 * version
        end, offset_size = base + 16, head[13]
    elif version in (2, 3):
        base, end, offset_size = 12, 28, head[9]
    else:
        return None
    if offset_size != 8:
        return None
    (start,), (stop,) = struct.unpack_from("<Q", head, base), struct.unpack_from("<Q", head, end)
    return int(start + stop)


def check_complete(path: Path) -> bytes:
    """Refuse a file that is empty, no netCDF file at all, or shorter than its header says.

    Returns
    -------
    bytes
        `HDF5_MAGIC`, or the one of `NETCDF3_MAGIC` that it starts with.

    Raises
    ------
    ReadError
    """
    where = str(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise ReadError(f"cannot be opened: {error.strerror}", where=where, fix="check its permissions") from error
    if size == 0:
        raise ReadError("the file is empty (0 bytes)", where=where, fix="copy it again from where it came")
    if not head.startswith((HDF5_MAGIC, *NETCDF3_MAGIC)):
        raise ReadError(
            f"not a netCDF file: it starts with {head[:8]!r}",
            where=where,
            fix="name the reader of its format; `ronchi plugins` lists them",
        )
    promised = promised_size(head)
    if head.startswith(HDF5_MAGIC) and (size < 64 or (promised is not None and size < promised)):
        told = f"its header promises {promised} bytes" if promised else "its header is cut off"
        raise ReadError(f"the file is truncated: {size} bytes, {told}", where=where, fix="copy it again")
    return HDF5_MAGIC if head.startswith(HDF5_MAGIC) else head[:4]


def read_ends(path: Path) -> list[tuple[int, bytes]]:
    """First and last megabyte of a file, each with the number of its first byte."""
    with path.open("rb") as file:
        first = file.read(SEARCHED_BYTES)
        start = max(len(first), path.stat().st_size - SEARCHED_BYTES)
        file.seek(start)
        return [(0, first), (start, file.read())]


def check_marks(path: Path, marks: tuple[bytes, ...]) -> None:
    """Refuse an HDF5 file in which none of the names is to be found that a library of netCDF, or ronchi, leaves.

    That library ends the process over some foreign files, if they are damaged.

    Raises
    ------
    SchemaError
    """
    if not any(mark in part for _, part in read_ends(path) for mark in marks):
        raise SchemaError(
            "HDF5, but neither netCDF-4 nor a ronchi data set",
            where=str(path),
            fix="name the reader of its format; `ronchi plugins` lists them",
        )

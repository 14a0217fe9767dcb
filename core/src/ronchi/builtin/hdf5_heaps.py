"""Whether the global heaps of an HDF5 file are whole, for the HDF5 library does not ask.

What has no fixed length (text among the attributes, the lists that tie the dimensions of a netCDF-4 file to its
variables) lies in global heaps. They have no checksum, and the library believes the lengths in them: a few wrong bits
make it walk through a heap for ever, inside C (seen with HDF5 2.0 and 2.2; HDF5 File Format Specification 3.0, III.E).
"""

from __future__ import annotations

import struct
from pathlib import Path

from ronchi.builtin.hdf5_header import SEARCHED_BYTES, read_ends
from ronchi.errors import ReadError

__all__ = ["check_heaps"]

_SIGNATURE = b"GCOL\x01\x00\x00\x00"
_HEADER_BYTES = 16
_ALIGNMENT = 8


def check_heaps(path: Path) -> None:
    """Refuse an HDF5 file in which a length within a global heap is wrong.

    Raises
    ------
    ReadError
    """
    for start, part in read_ends(path):
        at = part.find(_SIGNATURE)
        while at >= 0:
            if not _is_whole(part, at):
                raise ReadError(
                    f"the file is damaged: lengths within the heap at byte {start + at} do not add up",
                    where=str(path),
                    fix="copy it again from where it came",
                )
            at = part.find(_SIGNATURE, at + 1)


def _is_whole(part: bytes, start: int) -> bool:
    """Walk through a heap as the library does; one that is not in sight as a whole is taken to be well."""
    if start + _HEADER_BYTES > len(part):
        return True
    (size,) = struct.unpack_from("<Q", part, start + 8)
    end = start + size
    if end > len(part):
        # The library allocates that much; 4096 bytes are usual.
        return size <= SEARCHED_BYTES
    at = start + _HEADER_BYTES
    while at + _HEADER_BYTES <= end:
        index, _, length = struct.unpack_from("<HH4xQ", part, at)
        if index == 0:
            # Free space, up to the end.
            return bool(at + length == end)
        at += _HEADER_BYTES + -(-length // _ALIGNMENT) * _ALIGNMENT
    return at <= end

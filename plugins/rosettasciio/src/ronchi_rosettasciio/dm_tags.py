"""Whether the tags of a Gatan file (DM3, DM4) are whole: a wrong count of fields keeps RosettaSciIO busy for minutes.

It adds each field that it reads to a tuple, in a time that grows with the square of their number.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

__all__ = ["check_tags"]

MOST_FIELDS = 10_000
_STRING, _STRUCT, _ARRAY = 18, 15, 20
_BYTES = {2: 2, 3: 4, 4: 2, 5: 4, 6: 4, 7: 8, 8: 1, 9: 1, 10: 1, 11: 8, 12: 8}
_GROUP, _DATA = 20, 21


def check_tags(path: Path) -> None:
    """Walk through all tags of a file, over the data in them.

    Raises
    ------
    ValueError, EOFError, struct.error
        A tag is of no known type, has more fields than a file can mean, or does not end within the file.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        _Walk(data).file()


class _Walk:
    def __init__(self, data: mmap.mmap) -> None:
        self._data, self._at = data, 0
        self._long = ">Q" if struct.unpack_from(">I", data)[0] == 4 else ">I"

    def file(self) -> None:
        self._at = 16 if self._long == ">Q" else 12
        self._group()

    def _next(self, form: str) -> int:
        (value,) = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return int(value)

    def _skip(self, count: int) -> None:
        self._at += count

    def _group(self) -> None:
        self._skip(2)
        for _ in range(self._next(self._long)):
            kind = self._next(">B")
            self._skip(self._next(">H"))
            if self._long == ">Q":
                self._skip(8)
            if kind == _GROUP:
                self._group()
            elif kind == _DATA:
                self._tag()
            else:
                raise ValueError(f"a tag of the unknown kind {kind} at byte {self._at}")

    def _tag(self) -> None:
        self._skip(4)
        self._next(self._long)
        self._skip(self._size(self._next(self._long)))
        if self._at > len(self._data):
            raise EOFError("the file ends within its tags")

    def _size(self, kind: int) -> int:
        """Bytes of a value, whose type goes on from here."""
        if kind == _STRUCT:
            self._next(self._long)
            return sum(self._size(field) for field in self._fields())
        if kind == _ARRAY:
            each = self._size(self._next(self._long))
            return each * self._next(self._long)
        if kind == _STRING:
            return self._next(self._long)
        if kind not in _BYTES:
            raise ValueError(f"a value of the unknown type {kind} at byte {self._at}")
        return _BYTES[kind]

    def _fields(self) -> list[int]:
        count = self._next(self._long)
        if count > MOST_FIELDS:
            raise ValueError(f"a tag of {count} fields at byte {self._at}")
        fields = []
        for _ in range(count):
            self._next(self._long)
            fields.append(self._next(self._long))
        return fields

"""Tags of Gatan files are walked through before RosettaSciIO reads them."""

from __future__ import annotations

import struct

import pytest

from ronchi_rosettasciio.dm_tags import check_tags


def tag(name: bytes, *info: int, data: bytes) -> bytes:
    """A tag of DM3 with its type and value."""
    head = struct.pack(">BH", 21, len(name)) + name
    return head + b"%%%%" + struct.pack(f">{len(info) + 1}I", len(info), *info) + data


def dm3(*tags: bytes) -> bytes:
    """A file with these tags in a group of its root."""
    group = struct.pack(">BH4sBBI", 20, 4, b"main", 0, 0, len(tags)) + b"".join(tags)
    return struct.pack(">IIIBBI", 3, 0, 1, 0, 0, 1) + group + bytes(8)


FLOAT = tag(b"scale", 6, data=bytes(4))
TEXT = tag(b"units", 20, 4, 5, data=bytes(10))
PAIR = tag(b"range", 15, 0, 2, 0, 3, 0, 7, data=bytes(12))
PAIRS = tag(b"ranges", 20, 15, 0, 2, 0, 3, 0, 7, 4, data=bytes(48))


def test_every_kind_of_value_is_passed_over(tmp_path):
    path = tmp_path / "a.dm3"
    path.write_bytes(dm3(FLOAT, TEXT, PAIR, PAIRS, FLOAT))
    check_tags(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (dm3(tag(b"range", 15, 0, 2**24 + 2, 0, 3, 0, 7, data=bytes(12))), "16777218 fields"),
        (dm3(tag(b"scale", 66, data=bytes(4))), "unknown type 66"),
        (dm3(tag(b"units", 20, 4, 5000, data=bytes(10))), "ends within"),
        (dm3(FLOAT + b"\x07", FLOAT), "unknown kind 7"),
    ],
)
def test_a_wrong_count_or_type_is_refused(tmp_path, content, says):
    path = tmp_path / "a.dm3"
    path.write_bytes(content)
    with pytest.raises((ValueError, EOFError), match=says):
        check_tags(path)


def test_real_files_are_whole(real_data):
    paths = sorted(real_data.rglob("*.dm[34]"))
    assert {path.suffix for path in paths} == {".dm3", ".dm4"}
    for path in paths:
        check_tags(path)

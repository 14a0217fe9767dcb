"""What a file is, from its first bytes and, for HDF5, from the names and attributes inside. Never from its name."""

from __future__ import annotations

import os
import re
import struct
import zipfile
from pathlib import Path

from ronchi_rosettasciio.formats import FORMATS, Format
from ronchi_rosettasciio.probe import probe

__all__ = ["HDF5_MAGIC", "confidence", "fault", "identify"]

HEAD_BYTES = 8192
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"

_ZSPY = re.compile(rb'"file_format":\s*"ZSpy"')
_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_MRC_BYTES = {0: 1, 1: 2, 2: 4, 4: 8, 6: 2, 12: 2}


def confidence(path: Path) -> float:
    """How sure it is, from 0 to 1, that the reader can open ``path``; never raises."""
    found = identify(path)
    return 0.0 if found is None else found.confidence


def identify(path: Path) -> Format | None:
    """Format of a file or folder by its content, None if it is not one of `FORMATS`; never raises."""
    try:
        name = _zarr(path) if path.is_dir() else _file(path)
    except Exception:  # noqa: BLE001 - a damaged header may make any library raise anything
        return None
    return FORMATS.get(name)


def fault(path: Path) -> str:
    """What is known to be wrong with a file that `identify` does not know; empty if nothing is."""
    with path.open("rb") as file:
        head = file.read(len(HDF5_MAGIC))
    return probe(path).fault if head == HDF5_MAGIC else ""


def _zarr(folder: Path) -> str:
    attributes = [folder / name for name in (".zattrs", "zarr.json")]
    heads = [_head(file) for file in attributes if file.is_file()]
    return "zspy" if any(map(_ZSPY.search, heads)) else ""


def _head(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(HEAD_BYTES)


def _file(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        size = os.fstat(file.fileno()).st_size
    if head.startswith(HDF5_MAGIC):
        return probe(path).layout
    for name, magic in (("mib", b"MQ1,"), ("blo", b"IMGBLO"), ("emi", b"JK\x00\x02"), ("npy", b"\x93NUMPY")):
        if head.startswith(magic):
            return name
    if head.startswith(_TIFF):
        return "tiff"
    if head.startswith((b"II\x97\x01", b"MM\x01\x97")):
        return "ser"
    if head.startswith(b"PK\x03\x04"):
        return _zip(path, head)
    if _is_dm(head):
        return "dm"
    if _is_tvips(head):
        return "tvips"
    if _is_mrc(head, size):
        return "mrc"
    if head.lstrip()[:1] == b"<" and b"raw_file" in head and re.search(rb"<root|<empad|EMPAD|empad", head):
        return "empad"
    return ""


def _zip(path: Path, head: bytes) -> str:
    # The list of its members is at the end of a file, which one that is cut off has not.
    first = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if not zipfile.is_zipfile(path):
        return "prz" if first in (b"data.npy", b"meta_data.npy", b"data_model.npy") else ""
    with zipfile.ZipFile(path) as archive:
        members = {each.filename: each for each in archive.infolist()}
        if ".zattrs" in members:
            return "zspy" if _ZSPY.search(archive.read(".zattrs")) else ""
        if "data.npy" not in members or not {"meta_data.npy", "data_model.npy"} & set(members):
            return ""
        with archive.open("data.npy") as file:
            by_columns = b"'fortran_order': True" in file.read(512)
    plain = members["data.npy"].compress_type == zipfile.ZIP_STORED and not by_columns
    return "prz" if plain else "prz-packed"


def _is_dm(head: bytes) -> bool:
    if len(head) < 16:
        return False
    (version,) = struct.unpack_from(">I", head)
    at = {3: 8, 4: 12}.get(version)
    return at is not None and struct.unpack_from(">I", head, at)[0] in (0, 1)


def _is_tvips(head: bytes) -> bool:
    if len(head) < 256:
        return False
    size, version, width, height, bits = struct.unpack_from("<5I", head)
    return size == 256 and version in (1, 2) and 0 < width < 2**16 and 0 < height < 2**16 and bits in (8, 16, 32)


def _is_mrc(head: bytes, size: int) -> bool:
    if len(head) < 1024:
        return head[208:211] == b"MAP"  # cut off
    nx, ny, nz, mode = struct.unpack_from("<4I", head)
    (extended,) = struct.unpack_from("<I", head, 92)
    if mode not in _MRC_BYTES or not nx * ny * nz:
        return False
    # Some cameras leave the stamp out; then the length of the file must be what the header says.
    return head[208:211] == b"MAP" or size == 1024 + extended + nx * ny * nz * _MRC_BYTES[mode]

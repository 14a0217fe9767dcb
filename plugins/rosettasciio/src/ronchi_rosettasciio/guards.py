"""Nothing is read on a header's word alone: what it promises is compared with the length of the file first."""

from __future__ import annotations

import contextlib
import math
import os
import struct
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ronchi.api import ReadError, RonchiError
from ronchi_rosettasciio.companions import companions
from ronchi_rosettasciio.dm_tags import check_tags
from ronchi_rosettasciio.formats import Format
from ronchi_rosettasciio.probe import probe

__all__ = ["COPY", "check_header", "check_memory", "check_promise", "damage", "npy_header"]

EXPANSION = 5000
"""Most bytes of data that a compressed file is believed to hold a byte: counting detectors at low dose come to 1000."""

SMALL_BYTES = 64 * 2**20
COPY = "copy it again from where it came"


@contextlib.contextmanager
def damage(path: Path, form: Format) -> Iterator[None]:
    """Turn whatever a library raises on a file that it cannot read into one `ReadError`.

    Raises
    ------
    ReadError
    """
    try:
        yield
    except RonchiError:
        raise
    except FileNotFoundError as error:
        missing = error.filename or error
        raise ReadError(
            f"a file that belongs to this {form.label} is missing: {missing}",
            where=str(path),
            fix="keep the files of one acquisition together, under the names that they were given",
        ) from error
    except ImportError as error:
        raise ReadError(
            f"{form.label} needs a package that is not installed: {error}", where=str(path), fix="install it with pip"
        ) from error
    except MemoryError as error:
        raise ReadError(
            f"{form.label}: more memory is asked for than there is",
            where=str(path),
            fix=f"if the file is small: {COPY}",
        ) from error
    except (struct.error, EOFError) as error:
        raise ReadError(
            f"the file is cut off or its header is damaged: its {path.stat().st_size} bytes end too early ({error})",
            where=str(path),
            fix=COPY,
        ) from error
    # Damaged files make the libraries fail in every way that there is: struct.error, KeyError, RecursionError, …
    except Exception as error:
        told = " ".join(str(error).split())[:200] or "no reason given"
        raise ReadError(
            f"not a readable {form.label} file ({type(error).__name__}: {told})",
            where=str(path),
            fix=f"{COPY}; if other programs open it, name its `format`",
        ) from error


def check_header(path: Path, form: Format) -> None:
    """Compare the lengths that a header states with that of the file, before a library acts on them.

    Raises
    ------
    ReadError
        The file is too short for them.
    """
    check = _CHECKS.get(form.name)
    if check is None:
        return
    with damage(path, form):
        check(path, path.stat().st_size)


def check_promise(data: Any, path: Path, form: Format) -> None:
    """Refuse data that are larger than the file, or the files that belong to it, can hold.

    Raises
    ------
    ReadError
    """
    size = _total_bytes(path, form)
    promised = math.prod(map(int, data.shape)) * data.dtype.itemsize
    _need(path, promised, size if form.raw else EXPANSION * size + SMALL_BYTES)


def check_memory(path: Path, form: Format) -> None:
    """Refuse a file that can only be read as a whole and does not fit.

    Raises
    ------
    ReadError
    """
    size, free = _total_bytes(path, form), _available_bytes()
    if 2 * size > free:
        raise ReadError(
            f"{form.label} can only be read as a whole: {size / 1e9:.1f} GB, with {free / 1e9:.1f} GB of memory free",
            where=str(path),
            fix="convert it, e.g. with the microscope's software, to a format that is read piece by piece",
        )


def _available_bytes() -> int:
    """Memory that is free or can be freed; all of it where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError, AttributeError):
        return 2**63


def _total_bytes(path: Path, form: Format) -> int:
    """Length of a file with those that are read with it, or of a folder."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return sum(file.stat().st_size for file in (path, *companions(path, form)))


def _too_short(path: Path, promised: int, size: int) -> ReadError:
    return ReadError(
        f"the file is cut off or its header is damaged: {size} bytes, the header promises {promised}",
        where=str(path),
        fix=COPY,
    )


def _need(path: Path, promised: int, size: int) -> None:
    if promised > size:
        raise _too_short(path, promised, size)


def _mib(path: Path, size: int) -> None:
    with path.open("rb") as file:
        fields = file.read(384).decode("ascii", "replace").split(",")
    header, width, height = (int(fields[i]) for i in (2, 4, 5))
    kind = fields[6]
    if kind == "R64":
        raise ReadError(
            "a Merlin file of raw mode (R64), in which pixels lie scrambled",
            where=str(path),
            fix="save it in the mode of processed frames (U08, U16, U32)",
        )
    _need(path, header + width * height * {"U08": 1, "U16": 2, "U32": 4}[kind], size)


def _blo(path: Path, size: int) -> None:
    with path.open("rb") as file:
        head = file.read(64)
    notes, frames = struct.unpack_from("<II", head, 8)
    (side,) = struct.unpack_from("<H", head, 20)
    columns, rows = struct.unpack_from("<HH", head, 24)
    _need(path, notes, size)
    _need(path, frames + rows * columns * (side * side + 6), size)


def _tvips(path: Path, size: int) -> None:
    with path.open("rb") as file:
        head = file.read(256)
    start, version, width, height, bits = struct.unpack_from("<5I", head)
    (per_frame,) = struct.unpack_from("<I", head, 48)
    _need(path, start + (12 if version == 1 else per_frame) + width * height * bits // 8, size)


def _ser(path: Path, size: int) -> None:
    with path.open("rb") as file:
        head = file.read(34)
        (version,) = struct.unpack_from("<H", head, 4)
        (axes,) = struct.unpack_from("<I", head, 30 if version > 528 else 26)
        if axes > 8:
            raise _too_short(path, axes * 32, size)
        _, count = struct.unpack_from("<II", head, 14)
        (at,) = struct.unpack_from("<Q" if version > 528 else "<I", head, 22)
        width = 8 if version > 528 else 4
        _need(path, at + count * width, size)
        file.seek(at)
        (first,) = struct.unpack_from("<Q" if version > 528 else "<I", file.read(width))
        _need(path, first + 50, size)
        (kind,) = struct.unpack_from("<I", head, 6)
        file.seek(first + (40 if kind == 0x4122 else 20))
        code, *shape = struct.unpack("<HII" if kind == 0x4122 else "<HI", file.read(10 if kind == 0x4122 else 6))
        frame = file.tell() - first + math.prod(shape) * {1: 1, 4: 1, 2: 2, 5: 2, 8: 8, 9: 8, 10: 16}.get(code, 4)
        _need(path, first + count * frame, size)


def _mrc(path: Path, size: int) -> None:
    with path.open("rb") as file:
        head = file.read(1024)
    nx, ny, nz, mode = struct.unpack_from("<4I", head)
    (extended,) = struct.unpack_from("<I", head, 92)
    _need(path, 1024 + extended + nx * ny * nz * {0: 1, 1: 2, 2: 4, 4: 8, 6: 2, 12: 2}[mode], size)


def _empad(path: Path, size: int) -> None:
    if size > SMALL_BYTES:
        raise ReadError(f"an XML file of {size} bytes is none of EMPAD's", where=str(path), fix="give the .xml file")
    root = ET.parse(path).getroot()
    raw = root.find("raw_file")
    name = "" if raw is None else raw.get("filename", "")
    file = path.parent / name
    if not name or not file.is_file():
        raise FileNotFoundError(2, "missing", str(file))
    lengths = [root.findtext("pix_y"), root.findtext("pix_x")]
    if None in lengths:
        found = [part[1:] for part in Path(name).stem.split("_") if part[:1] in "xy" and part[1:].isdigit()]
        series = root.findtext("scan_parameters/series_count")
        lengths = [series] if series else list(found)
    _need(file, math.prod(int(n) for n in lengths if n) * 130 * 128 * 4, file.stat().st_size)


def _npy(path: Path, size: int) -> None:
    shape, _, dtype, offset = npy_header(path)
    if dtype.hasobject:
        raise ReadError("an array of Python objects", where=str(path), fix="save numbers")
    _need(path, offset + math.prod(shape) * dtype.itemsize, size)


def npy_header(path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether columns were stored first, dtype, and byte of the first value of a ``.npy``."""
    from numpy.lib import format as npy

    with path.open("rb") as file:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        return (*read(file, max_header_size=10_000), file.tell())


def _zip(path: Path, size: int) -> None:
    if not zipfile.is_zipfile(path):
        what = f"the file is cut off: after {size} bytes it has not the list of its parts that is at the end"
        raise ReadError(what, where=str(path), fix=COPY)
    with zipfile.ZipFile(path) as archive:
        _need(path, sum(each.file_size for each in archive.infolist()), EXPANSION * size + SMALL_BYTES)


def _hdf5(path: Path, size: int) -> None:
    found = probe(path)
    if found.fault:
        raise ReadError(found.fault, where=str(path), fix=COPY)
    others = (path.parent / name for name in found.outside)
    size += sum(file.stat().st_size for file in others if file.is_file())
    _need(path, found.promised_bytes, EXPANSION * size + SMALL_BYTES)


_CHECKS = {
    "dm": lambda path, _: check_tags(path),
    "mib": _mib,
    "blo": _blo,
    "tvips": _tvips,
    "ser": _ser,
    "mrc": _mrc,
    "empad": _empad,
    "npy": _npy,
    "prz": _zip,
    "prz-packed": _zip,
    **dict.fromkeys(("hspy", "velox", "emd", "py4dstem", "nexus", "topspin", "arina", "hdf5"), _hdf5),
}

"""Wrong bits in an HDF5 heap, over which the library itself would loop or end the process."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ronchi.builtin.hdf5_header import SEARCHED_BYTES
from ronchi.builtin.hdf5_heaps import check_heaps
from ronchi.errors import ReadError
from ronchi.schema import fourd
from ronchi.writing import write

OPEN = """
import sys
from pathlib import Path
from ronchi.builtin.native import open_native
from ronchi.errors import RonchiError
try:
    open_native(Path(sys.argv[1]))
except RonchiError as error:
    print(type(error).__name__, bool(error.fix))
"""


@pytest.fixture
def scan_file(tmp_path: Path) -> Path:
    """A scan with a title that is not ASCII, which netCDF keeps in a heap."""
    scan = fourd.make(np.ones((2, 3, 8, 8), "u2"), scan_step=(1.0, 1.0), q_step=(0.1, 0.1), title="αβγ, a scan")
    return write(scan, tmp_path / "scan.nc")


def change(path: Path, offset: int, form: str, value: int) -> None:
    """Overwrite a number ``offset`` bytes into the first heap."""
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, data.index(b"GCOL") + offset, value)
    path.write_bytes(data)


def test_heaps_of_whole_files_are_well(scan_file: Path, shared_data: Path) -> None:
    for path in (scan_file, *sorted((shared_data / "sim").glob("*.nc"))):
        assert b"GCOL" in path.read_bytes()
        check_heaps(path)


@pytest.mark.parametrize(
    ("offset", "value"),
    # Length of the heap; lengths of its first object: beyond the heap, and such that the next one is the same again.
    [(8, 2**40), (24, 2**20), (24, 2**64 - 16), (24, 2**64 - 1)],
)
def test_a_length_that_does_not_add_up_is_refused(scan_file: Path, offset: int, value: int) -> None:
    change(scan_file, offset, "<Q", value)
    with pytest.raises(ReadError, match=r"the heap at byte \d+ do not add up"):
        check_heaps(scan_file)


def test_a_heap_at_the_end_of_a_large_file_is_found(tmp_path: Path, scan_file: Path) -> None:
    whole = scan_file.read_bytes()
    path = tmp_path / "late.nc"
    path.write_bytes(bytes(2 * SEARCHED_BYTES) + whole)
    check_heaps(path)
    change(path, 24, "<Q", 2**64 - 16)
    with pytest.raises(ReadError, match="heap"):
        check_heaps(path)


def test_data_that_look_like_a_heap_in_part_are_data(tmp_path: Path) -> None:
    path = tmp_path / "text.bin"
    path.write_bytes(b"GCOL, and GCOL\x01 once more; at the end GCOL\x01\x00\x00\x00\x00")
    check_heaps(path)


@pytest.mark.parametrize(
    ("offset", "form", "value"),
    [(0, "<B", 0), (16, "<H", 7), (24, "<Q", 0x11), (24, "<Q", 2**64 - 16)],
    ids=["signature", "number of an object", "length within its place", "length without end"],
)
def test_a_damaged_heap_neither_ends_nor_holds_the_process(scan_file: Path, offset: int, form: str, value: int) -> None:
    change(scan_file, offset, form, value)
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(scan_file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "ReadError True\n"

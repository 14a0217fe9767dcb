"""Files that are not what they should be are named, and what is wrong with them."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

from ronchi import blocks
from ronchi.apply import apply
from ronchi.builtin.hdf5_header import promised_size
from ronchi.builtin.native import open_native, sniff
from ronchi.errors import ReadError, SchemaError
from ronchi.pipeline.tiles import cut, read_tile
from ronchi.schema import fourd
from ronchi.writing import write


@pytest.mark.parametrize("keep", [8, 40, 3000, -1])
def test_a_truncated_file_is_named_with_both_sizes(tmp_path: Path, keep: int, scan, read) -> None:
    path = write(scan(), tmp_path / "scan.nc")
    whole = path.read_bytes()
    assert promised_size(whole[:64]) == len(whole)
    path.write_bytes(whole[:keep])
    with pytest.raises(ReadError, match=r"truncated: \d+ bytes, its header") as caught:
        read(path).open(path)
    assert str(path) in str(caught.value)
    if keep >= 64 or keep < 0:
        assert f"promises {len(whole)} bytes" in str(caught.value)


def test_a_corrupt_file_is_an_error_and_not_a_crash(tmp_path: Path, scan, read) -> None:
    path = write(scan(), tmp_path / "scan.nc")
    whole = bytearray(path.read_bytes())
    whole[48:200] = b"\x00" * 152
    path.write_bytes(whole)
    with pytest.raises(ReadError, match="damaged"):
        read(path).open(path)


def damaged(folder: Path, suffix: str) -> Path:
    """A file of the right length, whose header is whole, and whose patterns are zeros in the middle."""
    noise = np.random.default_rng(0).integers(0, 60000, (8, 8, 64, 64)).astype("u2")
    path = write(fourd.make(noise), folder / f"damaged{suffix}")
    file = path if path.is_file() else max(path.rglob("c/*/*/*/*"), key=lambda chunk: chunk.stat().st_size)
    content = bytearray(file.read_bytes())
    first = len(content) // 3 if path.is_file() else 0
    content[first : first + 5000] = bytes(5000)
    file.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_a_damaged_input_is_not_taken_for_a_full_disk(tmp_path: Path, suffix: str) -> None:
    path = damaged(tmp_path, suffix)
    with pytest.raises(
        ReadError, match=r"the data cannot be read: .*\n.*input file is damaged: copy it again"
    ) as caught:
        write(open_native(path).data, tmp_path / "copy.nc")
    assert f"{path}, variable 'intensity'" in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_every_way_to_read_blocks_names_the_damaged_file(tmp_path: Path, suffix: str) -> None:
    path = damaged(tmp_path, suffix)
    lazy = open_native(path).data["intensity"]
    ways = [
        lambda: blocks.read_block(lazy, 0, 64),
        lambda: blocks.read_region(lazy, blocks.Region(slice(0, 8), slice(0, 8))),
        lambda: list(blocks.iter_regions(lazy)),
        lambda: [read_tile(lazy, tile) for tile in cut(lazy, 8)],
        lambda: apply("descriptor_learner", "com", {}, {"data": open_native(path).data}),
    ]
    for way in ways:
        with pytest.raises(ReadError, match="the data cannot be read") as caught:
            way()
        assert f"{path}, variable 'intensity'" in str(caught.value)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_bits_that_have_changed_are_no_other_counts(tmp_path: Path, suffix: str) -> None:
    """What a decompressor can make something of all the same: few counts, of which it copies many."""
    few = np.random.default_rng(1).poisson(0.5, (8, 8, 96, 96)).astype("u2")
    path = write(fourd.make(few), tmp_path / f"a{suffix}")
    file = path if path.is_file() else max(path.rglob("c/*/*/*/*"), key=lambda chunk: chunk.stat().st_size)
    whole, told = file.read_bytes(), 0
    for at in np.linspace(0.2, 0.9, 12):
        content = bytearray(whole)
        content[int(at * len(whole))] ^= 1
        file.write_bytes(content)
        try:
            found = blocks.read_block(open_native(path).data["intensity"], 0, 64)
        except ReadError:
            told += 1
        else:
            # Some bits say nothing.
            np.testing.assert_array_equal(found, few.reshape(64, 96, 96))
    assert told > 8


@pytest.mark.parametrize(
    ("name", "compress"), [("probe/c/0/0", True), ("qx/c/0", True), ("intensity/c/0/0/0/0", False)]
)
def test_parts_of_a_store_that_are_not_compressed_have_a_checksum_too(
    tmp_path: Path, name: str, compress: bool
) -> None:
    scan = fourd.make(np.arange(4096.0).reshape(2, 2, 32, 32), probe=np.ones((32, 32)))
    path = write(scan, tmp_path / "a.zarr", params={"compress": compress})
    content = bytearray((path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (path / name).write_bytes(content)
    with pytest.raises((ReadError, ValueError), match="checksum"):
        open_native(path).data.load()


def test_faults_of_a_computation_are_not_blamed_on_the_file(tmp_path: Path, scan) -> None:
    def fail(block: np.ndarray) -> np.ndarray:
        raise RuntimeError("does not converge")

    data = open_native(write(scan(), tmp_path / "scan.nc")).data
    lazy = data["intensity"].copy(data=data["intensity"].data.map_blocks(fail, dtype="u2", meta=np.empty((0,) * 4)))
    with pytest.raises(RuntimeError, match="does not converge"):
        blocks.read_block(lazy, 0, 15)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "too many files are open .*\n.*ulimit -n"),
        (OSError(errno.ENFILE, "Too many open files in system"), "too many files are open .*\n.*ulimit -n"),
        (PermissionError(errno.EACCES, "Permission denied"), "it may not be read .*\n.*rights of the file"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "it is no longer there .*\n.*put the file back"),
        (OSError(errno.EIO, "Input/output error"), "the disk, or the network to it, fails .*\n.*try again"),
        (TimeoutError("the share does not answer"), "the disk, or the network to it, fails .*\n.*try again"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full.*\n.*free some space"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory is short.*\n.*smaller blocks"),
        (OSError(-101, "NetCDF: HDF error"), "HDF error\n.*the input file is damaged"),
        (OSError("Can't read data (inflate() failed)"), "inflate.*\n.*the input file is damaged"),
        (OSError("Can't read data (file read failed: errno = 5, …)"), "the disk, or the network to it, fails"),
    ],
)
def test_only_a_damaged_file_is_called_one(tmp_path: Path, scan, error: OSError, says: str) -> None:
    def fail(block: np.ndarray) -> np.ndarray:
        raise error

    path = write(scan(), tmp_path / "scan.nc")
    data = open_native(path).data
    lazy = data["intensity"].copy(data=data["intensity"].data.map_blocks(fail, dtype="u2", meta=np.empty((0,) * 4)))
    with pytest.raises(ReadError, match=f"the data cannot be read: .*{says}") as caught:
        blocks.read_block(lazy, 0, 15)
    assert ("damaged" in caught.value.fix) == ("damaged" in says)


@pytest.mark.parametrize("harm", ["remove", "empty"])
def test_a_chunk_that_is_missing_is_not_taken_for_zeros(tmp_path: Path, harm: str, zarr_scan) -> None:
    path, files = zarr_scan
    assert len(files) > 1
    files[-1].unlink() if harm == "remove" else files[-1].write_bytes(b"")
    with pytest.raises(ReadError, match=rf"1 of {len(files)} chunk files are missing or empty: intensity/c/") as caught:
        open_native(path)
    assert f"{path}, variable 'intensity'" in str(caught.value)


@pytest.mark.parametrize("lost", ["probe", "scan_y/zarr.json", "truth", "truth/zarr.json", "truth/e_xx"])
def test_a_part_of_a_store_that_is_missing_is_missed(tmp_path: Path, scan, lost: str) -> None:
    """Without its mask or its origins a scan would be another one, and nobody would know."""
    side = xr.Dataset({"e_xx": (("scan_y", "scan_x"), np.ones((3, 5)), {"units": "1", "long_name": "true e_xx"})})
    path = write(scan(), tmp_path / "scan.zarr", {"truth": side})
    assert list(open_native(path).sides) == ["truth"]
    gone = path / lost
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    name = lost.removesuffix("/zarr.json")
    with pytest.raises(
        ReadError, match=rf"of 8 variables and groups are missing: {name}.*\n.*the whole folder"
    ) as caught:
        open_native(path)
    assert str(path) in str(caught.value)


def test_a_store_of_another_program_may_have_any_parts(tmp_path: Path, scan) -> None:
    path = write(scan(), tmp_path / "scan.zarr")
    about = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
    assert about["attributes"].pop("ronchi_complete") == ["intensity", "probe", "scan_y", "scan_x", "qy", "qx"]
    (path / "zarr.json").write_text(json.dumps(about), encoding="utf-8")
    shutil.rmtree(path / "probe")
    assert "probe" not in open_native(path).data


@pytest.mark.parametrize("keep", [1, 1000, -1])
@pytest.mark.parametrize("compress", [True, False])
def test_a_chunk_that_was_cut_off_is_named(tmp_path: Path, keep: int, compress: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 60000, (8, 8, 96, 200)).astype("u2")
    path = write(fourd.make(noise), tmp_path / "scan.zarr", params={"compress": compress})
    file = next(path.glob("intensity/c/*/*/*/*"))
    file.write_bytes(file.read_bytes()[:keep])
    data = open_native(path).data
    for way in (lambda: list(blocks.iter_regions(data["intensity"])), lambda: write(data, tmp_path / "copy.nc")):
        with pytest.raises(ReadError, match="the data cannot be read") as caught:
            way()
        assert f"{path}, variable 'intensity'" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"), [(None, "no such file"), (b"", "empty"), (b"scan_y,scan_x\n1,2\n" * 9, "not a netCDF file")]
)
def test_absent_empty_and_foreign_files(tmp_path: Path, content: bytes | None, says: str, read) -> None:
    path = tmp_path / "scan.nc"
    if content is not None:
        path.write_bytes(content)
    assert sniff(path) == 0.0
    with pytest.raises(ReadError, match=says):
        read(path).open(path)


def test_a_folder_that_is_no_zarr_store(tmp_path: Path, read) -> None:
    assert sniff(tmp_path) == 0.0
    with pytest.raises(ReadError, match="zarr"):
        read(tmp_path).open(tmp_path)


def plain_netcdf(path: Path, dims: tuple[str, ...], *, units: str | None, attrs: dict[str, str]) -> Path:
    with netCDF4.Dataset(path, "w") as file:
        file.setncatts(attrs)
        for n, dim in enumerate(dims):
            file.createDimension(dim, n + 2)
            coordinate = file.createVariable(dim, "f8", (dim,))
            coordinate[:] = np.arange(n + 2)
            if units:
                coordinate.units = units
        intensity = file.createVariable("intensity", "u2", dims)
        intensity.units = "counts"
        intensity[:] = 1
    return path


def test_a_bare_file_of_the_right_layout_is_enough(tmp_path: Path) -> None:
    path = plain_netcdf(tmp_path / "a.nc", fourd.DIMS, units="pixel", attrs={"ronchi_schema": "fourd/1"})
    assert open_native(path).data["intensity"].sum().compute() == 2 * 3 * 4 * 5


@pytest.mark.parametrize(
    ("dims", "units", "attrs", "says"),
    [
        (fourd.DIMS[1:], "pixel", {"ronchi_schema": "fourd/1"}, r"'intensity' has dims .* expected"),
        (fourd.DIMS, None, {"ronchi_schema": "fourd/1"}, "units"),
        (fourd.DIMS, "furlong", {"ronchi_schema": "fourd/1"}, "furlong"),
        (fourd.DIMS, "pixel", {"ronchi_schema": "fourd/9"}, "unknown schema 'fourd/9'"),
        (fourd.DIMS, "pixel", {}, "no ronchi data set"),
    ],
)
def test_wrong_layouts_are_refused_by_name(
    tmp_path: Path, dims: tuple[str, ...], units: str | None, attrs: dict[str, str], says: str
) -> None:
    path = plain_netcdf(tmp_path / "a.nc", dims, units=units, attrs=attrs)
    with pytest.raises(SchemaError, match=says) as caught:
        open_native(path)
    assert "a.nc" in str(caught.value)

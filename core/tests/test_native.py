"""The native reader and writer: lazy, whole or not at all, and clear about damaged files."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from ronchi import blocks
from ronchi.builtin.chunking import scan_chunks
from ronchi.builtin.hdf5_header import promised_size
from ronchi.builtin.native import NativeReader, open_native, sniff
from ronchi.builtin.npy import NpyReader
from ronchi.builtin.params_io import NativeParams, NpyParams
from ronchi.builtin.zarr_layout import SHARD_BYTES, balanced
from ronchi.errors import OutputError, ReadError, SchemaError
from ronchi.schema import descriptors, fourd, peaks
from ronchi.writing import write


def scan(shape: tuple[int, ...] = (3, 5, 16, 12), dtype: str = "u2") -> xr.Dataset:
    """Counts that differ at every pixel, on anisotropic calibrated axes."""
    intensity = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    return fourd.make(
        intensity, scan_step=(2.0, 3.0), q_step=(0.02, 0.03), probe=np.ones(shape[2:], "f4"), beam_energy_eV=200e3
    )


def truth() -> xr.Dataset:
    return xr.Dataset({"e_xx": (("scan_y", "scan_x"), np.ones((3, 5)), {"units": "1", "long_name": "true e_xx"})})


def read(path: Path) -> NativeReader:
    return NativeReader(NativeParams(path=str(path)))


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4", ">u2"])
def test_round_trip_keeps_values_units_attributes_and_groups(
    tmp_path: Path, suffix: str, compress: bool, dtype: str
) -> None:
    data = scan(dtype=dtype)
    path = write(data, tmp_path / f"scan{suffix}", {"truth": truth()}, params={"compress": compress})
    assert sniff(path) == 1.0
    result = read(path).open(path)
    xr.testing.assert_identical(result.data.load(), data)
    assert result.data["intensity"].dtype == np.dtype(dtype).newbyteorder("=")
    xr.testing.assert_identical(result.sides["truth"].load(), truth())


@pytest.mark.parametrize("first", [".nc", ".zarr"])
@pytest.mark.parametrize("second", [".nc", ".zarr"])
def test_what_was_read_is_written_again_without_a_warning(tmp_path: Path, first: str, second: str) -> None:
    ds = scan(dtype=">f4")
    once = write(ds, tmp_path / f"once{first}")
    again = write(read(once).open(once).data, tmp_path / f"again{second}")
    xr.testing.assert_equal(read(again).open(again).data.load(), ds)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_text_flags_empty_and_nested_attributes_survive(tmp_path: Path, suffix: str) -> None:
    ds = descriptors.make(
        np.zeros((4, 2)), dims=("sample",), component=["one", "four"], attrs={"made": {"b": [1], "a": 2}}
    )
    ds["flag"] = ("sample", np.array([True, False, True, True]), {"units": "1", "long_name": "flag"})
    back = open_native(write(ds, tmp_path / f"d{suffix}")).data
    assert back["component"].values.tolist() == ["one", "four"]
    assert back["component"].dtype.kind == "U"
    assert back["flag"].values.tolist() == [1, 0, 1, 1]
    assert back.attrs["made"] == '{"a": 2, "b": [1]}'
    none = peaks.make(counts=np.zeros(6, int), qy=[], qx=[], scan_shape=(2, 3))
    assert open_native(write(none, tmp_path / f"none{suffix}")).data.sizes["peak"] == 0


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_equal_data_give_equal_bytes(tmp_path: Path, suffix: str) -> None:
    def contents(path: Path) -> dict[str, bytes]:
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        return {str(file.relative_to(path)): file.read_bytes() for file in files}

    whole = write(scan(), tmp_path / f"whole{suffix}", {"truth": truth()})
    lazy = scan().chunk(scan_y=1, scan_x=5)
    assert contents(write(lazy, tmp_path / f"lazy{suffix}", {"truth": truth()})) == contents(whole)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_patterns_stay_lazy_and_the_lazy_data_can_be_sent_to_a_process(tmp_path: Path, suffix: str) -> None:
    path = write(scan(), tmp_path / f"scan{suffix}")
    data = read(path).open(path).data
    assert data["intensity"].chunks is not None
    clone = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(clone["intensity"].values, scan()["intensity"].values)


def test_reading_while_the_same_file_is_rewritten(tmp_path: Path) -> None:
    path = write(scan(), tmp_path / "scan.nc")
    old = open_native(path).data
    write(old.isel(scan_y=slice(0, 2)), path)
    assert open_native(path).data.sizes["scan_y"] == 2
    old.close()


@pytest.mark.parametrize("stored", [None, (1, 1, 256, 256), (8, 8, 256, 256), (64, 64, 256, 256)])
def test_blocks_are_a_few_megabytes_of_whole_patterns_whatever_the_file_says(stored: tuple[int, ...] | None) -> None:
    chunks = scan_chunks((128, 128, 256, 256), 2, stored)
    size = np.prod(chunks) * 2
    assert chunks[2:] == (256, 256)
    assert 4e6 < size <= 128 * 2**20
    if stored == (8, 8, 256, 256):
        assert chunks[0] % 8 == chunks[1] % 8 == 0
        assert size <= 2 * 12 * 2**20, "tall chunks make blocks narrower, not larger"


def test_a_pattern_larger_than_a_block_is_a_block() -> None:
    assert scan_chunks((3, 4, 4096, 4096), 4) == (1, 1, 4096, 4096)


def test_shared_files_open_with_their_truth(shared_data: Path) -> None:
    for path in sorted((shared_data / "sim").glob("*.nc")):
        if path.name == "bragg_single.nc":  # its own layout
            with pytest.raises(SchemaError, match=r"counts.*pattern"):
                open_native(path)
            continue
        result = read(path).open(path)
        assert read(path).confidence(path) == 1.0
        assert result.sides["truth"].attrs["is_truth"] == 1
        result.data.close()
        result.sides["truth"].close()


# --- files that are not what they should be -------------------------------------------------


@pytest.mark.parametrize("keep", [8, 40, 3000, -1])
def test_a_truncated_file_is_named_with_both_sizes(tmp_path: Path, keep: int) -> None:
    path = write(scan(), tmp_path / "scan.nc")
    whole = path.read_bytes()
    assert promised_size(whole[:64]) == len(whole)
    path.write_bytes(whole[:keep])
    with pytest.raises(ReadError, match=r"truncated: \d+ bytes, its header") as caught:
        read(path).open(path)
    assert str(path) in str(caught.value)
    if keep >= 64 or keep < 0:
        assert f"promises {len(whole)} bytes" in str(caught.value)


def test_a_corrupt_file_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
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
    ]
    for way in ways:
        with pytest.raises(ReadError, match="the data cannot be read") as caught:
            way()
        assert f"{path}, variable 'intensity'" in str(caught.value)


def test_faults_of_a_computation_are_not_blamed_on_the_file(tmp_path: Path) -> None:
    def fail(block: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        raise RuntimeError("does not converge")

    data = open_native(write(scan(), tmp_path / "scan.nc")).data
    lazy = data["intensity"].copy(data=data["intensity"].data.map_blocks(fail, dtype="u2", meta=np.empty((0,) * 4)))
    with pytest.raises(RuntimeError, match="does not converge"):
        blocks.read_block(lazy, 0, 15)


def zarr_scan(folder: Path) -> tuple[Path, list[Path]]:
    """A store of noise with shards of 4 rows of patterns, and the files of the patterns."""
    noise = np.random.default_rng(0).integers(0, 60000, (16, 8, 96, 200)).astype("u2")
    path = write(fourd.make(noise), folder / "scan.zarr")
    return path, sorted(path.glob("intensity/c/*/*/*/*"))


@pytest.mark.parametrize("harm", ["remove", "empty"])
def test_a_chunk_that_is_missing_is_not_taken_for_zeros(tmp_path: Path, harm: str) -> None:
    path, files = zarr_scan(tmp_path)
    assert len(files) > 1
    files[-1].unlink() if harm == "remove" else files[-1].write_bytes(b"")
    with pytest.raises(ReadError, match=rf"1 of {len(files)} chunk files are missing or empty: intensity/c/") as caught:
        open_native(path)
    assert f"{path}, variable 'intensity'" in str(caught.value)


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


def test_chunks_of_a_zarr_store_serve_patterns_and_images(tmp_path: Path) -> None:
    import zarr

    path, files = zarr_scan(tmp_path)
    array = zarr.open_group(path)["intensity"]
    assert array.chunks == (8, 8, 48, 67)
    assert array.shards[:2] == (8, 8)
    assert len(files) == 2
    plain = write(open_native(path).data, tmp_path / "plain.zarr", params={"zarr_chunks": "patterns"})
    assert zarr.open_group(plain)["intensity"].chunks[2:] == (96, 200)
    for store in (path, plain):
        back = open_native(store).data
        np.testing.assert_array_equal(back["intensity"].values, array[:])
        assert "ronchi_complete" not in back.attrs


@given(
    shape=st.tuples(*[st.integers(1, 300)] * 2, *[st.integers(1, 600)] * 2),
    itemsize=st.sampled_from([1, 2, 4, 8]),
    read=st.integers(1, 300),
)
def test_layouts_are_whole_and_bounded(shape: tuple[int, int, int, int], itemsize: int, read: int) -> None:
    chunks, shards = balanced(shape, itemsize, read)
    assert shards is not None
    assert all(shard % chunk == 0 for chunk, shard in zip(chunks, shards, strict=True))
    assert all(shard >= min(size, chunk) for size, chunk, shard in zip(shape, chunks, shards, strict=True))
    assert np.prod(shards) * itemsize <= max(SHARD_BYTES, 2 * np.prod(shards[2:]) * itemsize)
    assert chunks[0] * chunks[1] <= 64
    assert shards[2] >= shape[2]
    assert shards[2] < shape[2] + chunks[2]


@pytest.mark.parametrize(
    ("content", "says"), [(None, "no such file"), (b"", "empty"), (b"scan_y,scan_x\n1,2\n" * 9, "not a netCDF file")]
)
def test_absent_empty_and_foreign_files(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "scan.nc"
    if content is not None:
        path.write_bytes(content)
    assert sniff(path) == 0.0
    with pytest.raises(ReadError, match=says):
        read(path).open(path)


def test_a_folder_that_is_no_zarr_store(tmp_path: Path) -> None:
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


# --- writing that cannot succeed ------------------------------------------------------------


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """A limit on the file size stands for the full disk: the write fails in the middle."""
    code = """
        import resource, signal, sys
        import numpy as np
        from ronchi.writing import write
        from ronchi.errors import OutputError
        from ronchi.schema import fourd
        path = sys.argv[1]
        write(fourd.make(np.zeros((2, 2, 8, 8), "u2")), path)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        noise = np.random.default_rng(0).integers(0, 60000, (16, 16, 64, 64)).astype("u2")
        for compress in (True, False):
            try:
                write(fourd.make(noise), path, params={"compress": compress})
            except OutputError as error:
                print(error)
    """
    for name in ("scan.nc", "scan.zarr"):
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(code), str(tmp_path / name)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        assert run.stdout.count("the disk is full, or a quota or size limit is reached") == 2, run.stdout
        assert run.stderr == ""
        assert open_native(tmp_path / name).data.sizes["scan_y"] == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scan.nc", "scan.zarr"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = write(scan(), tmp_path / "scan.nc")

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(scan().isel(scan_y=[0]), path, progress=interrupt)
    assert open_native(path).data.sizes["scan_y"] == 3
    assert [p.name for p in tmp_path.iterdir()] == ["scan.nc"]


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_a_read_only_folder(suffix: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        root = os.geteuid() == 0
        if root:  # permissions do not bind root: become somebody else for the write
            os.seteuid(65534)
        try:
            with pytest.raises(OutputError, match="cannot be written") as caught:
                write(scan(), folder / f"scan{suffix}")
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)
        assert "may write to" in str(caught.value)
        assert not list(folder.iterdir())


def test_unknown_extension_missing_folder_used_path_and_strange_attributes(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"'\.xyz'.*\n.*\.nc, \.zarr"):
        write(scan(), tmp_path / "scan.xyz")
    with pytest.raises(OutputError, match="does not exist"):
        write(scan(), tmp_path / "no" / "scan.nc")
    path = write(scan(), tmp_path / "scan.nc")
    with pytest.raises(OutputError, match="in use"):
        write(scan(), path, overwrite=False)
    with pytest.raises(OutputError, match="'made'"):
        write(scan().assign_attrs(made=object()), tmp_path / "other.nc")
    assert [p.name for p in tmp_path.iterdir()] == ["scan.nc"]


def test_progress_counts_bytes_to_the_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write(scan().chunk(scan_y=1), tmp_path / "scan.nc", progress=lambda done, total: seen.append((done, total)))
    done, total = zip(*seen, strict=True)
    assert list(done) == sorted(done)
    assert done[-1] == total[0]


# --- .npy -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["u2", ">u4", "f4"])
def test_npy_is_mapped_calibrated_and_travels_by_path(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "scan.npy"
    array = np.arange(2 * 3 * 64 * 64).reshape(2, 3, 64, 64).astype(dtype)
    np.save(path, array)
    params = NpyParams(
        path=str(path),
        scan_step_angstrom=(4, 5),
        q_step_inv_angstrom=(0.1, 0.2),
        centre_px=(30.5, 31),
        beam_energy_eV=3e5,
    )
    reader = NpyReader(params)
    assert reader.confidence(path) == 1.0
    ds = reader.open(path)
    assert len(pickle.dumps(ds)) < array.nbytes / 8
    assert fourd.centre_px(ds) == pytest.approx((30.5, 31))
    assert fourd.q_step(ds) == pytest.approx((0.1, 0.2))
    assert ds.attrs["beam_energy_eV"] == 3e5
    assert ds["intensity"].dtype.isnative
    np.testing.assert_array_equal(ds["intensity"].isel(scan_y=1, scan_x=slice(1, 3)).values, array[1, 1:3])


def test_npy_stack_takes_its_scan_shape(tmp_path: Path) -> None:
    path = tmp_path / "stack.npy"
    np.save(path, np.arange(6 * 4 * 4).reshape(6, 4, 4))
    ds = NpyReader(NpyParams(path=str(path), scan_shape=(2, 3))).open(path)
    assert ds["intensity"].values[1, 0, 0, 0] == 3 * 16
    with pytest.raises(SchemaError, match=r"not 4-D.*\(6, 4, 4\)"):
        NpyReader(NpyParams(path=str(path))).open(path)
    with pytest.raises(SchemaError, match="must be 6"):
        NpyReader(NpyParams(path=str(path), scan_shape=(2, 2))).open(path)


def test_npy_damaged_absent_and_foreign(tmp_path: Path) -> None:
    path = tmp_path / "scan.npy"
    reader = NpyReader(NpyParams(path=str(path)))
    assert reader.confidence(path) == 0.0
    with pytest.raises(ReadError, match="no such file"):
        reader.open(path)
    path.write_bytes(b"")
    with pytest.raises(ReadError, match="empty"):
        reader.open(path)
    np.save(path, np.zeros((2, 2, 8, 8)))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ReadError, match="not a complete"):
        reader.open(path)
    np.save(path, np.array([{}], dtype=object))
    with pytest.raises(ReadError, match="object"):
        reader.open(path)


def test_text_may_be_read_while_the_files_are_open_elsewhere(tmp_path: Path) -> None:
    names = np.array(["graphene", "Å", ""])
    paths = [tmp_path / f"{i}.nc" for i in range(3)]
    for path in paths:
        sides = {"one": xr.Dataset({"name": ("n", names)}), "two": xr.Dataset({"word": ((), np.array("strain"))})}
        write(scan(), path, sides)
    kept = []
    # Strings of any length in netCDF files broke the third or fourth opening.
    for _ in range(4):
        for path in paths:
            kept.append(open_native(path).data)
            sides = dict(open_native(path).sides)
            np.testing.assert_array_equal(sides["one"]["name"].values, names)
            assert sides["two"]["word"].item() == "strain"

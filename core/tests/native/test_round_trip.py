"""What is written comes back: lazily, with its groups, and in the same bytes for the same data."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ronchi.builtin.native import open_native, sniff
from ronchi.errors import SchemaError
from ronchi.schema import descriptors, peaks
from ronchi.writing import write


def truth() -> xr.Dataset:
    return xr.Dataset({"e_xx": (("scan_y", "scan_x"), np.ones((3, 5)), {"units": "1", "long_name": "true e_xx"})})


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4", ">u2"])
def test_round_trip_keeps_values_units_attributes_and_groups(
    tmp_path: Path, suffix: str, compress: bool, dtype: str, scan, read
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
def test_what_was_read_is_written_again_without_a_warning(tmp_path: Path, first: str, second: str, scan, read) -> None:
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
def test_equal_data_give_equal_bytes(tmp_path: Path, suffix: str, scan) -> None:
    def contents(path: Path) -> dict[str, bytes]:
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        return {str(file.relative_to(path)): file.read_bytes() for file in files}

    whole = write(scan(), tmp_path / f"whole{suffix}", {"truth": truth()})
    lazy = scan().chunk(scan_y=1, scan_x=5)
    assert contents(write(lazy, tmp_path / f"lazy{suffix}", {"truth": truth()})) == contents(whole)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_patterns_stay_lazy_and_the_lazy_data_can_be_sent_to_a_process(tmp_path: Path, suffix: str, scan, read) -> None:
    path = write(scan(), tmp_path / f"scan{suffix}")
    data = read(path).open(path).data
    assert data["intensity"].chunks is not None
    clone = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(clone["intensity"].values, scan()["intensity"].values)


def test_reading_while_the_same_file_is_rewritten(tmp_path: Path, scan) -> None:
    path = write(scan(), tmp_path / "scan.nc")
    old = open_native(path).data
    write(old.isel(scan_y=slice(0, 2)), path)
    assert open_native(path).data.sizes["scan_y"] == 2
    old.close()


def test_shared_files_open_with_their_truth(shared_data: Path, read) -> None:
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


def test_text_may_be_read_while_the_files_are_open_elsewhere(tmp_path: Path, scan) -> None:
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


def test_what_was_read_whole_can_be_closed(tmp_path: Path) -> None:
    data = descriptors.make(np.zeros((4, 2)), dims=("sample",))
    opened = open_native(write(data, tmp_path / "d.nc")).data
    loaded = opened.load()
    opened.close()
    assert loaded["z"].shape == (4, 2)

"""The counts themselves: types, orders, further axes, modes and headers of detectors."""

from __future__ import annotations

import re
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from xarray.core.indexing import BasicIndexer

from ronchi.errors import ReadError
from ronchi.schema import fourd
from ronchi_rosettasciio.formats import FORMATS
from ronchi_rosettasciio.lazy import LazySignal

MERLIN = "rsciio/merlin/001_4x2_6bit.mib"


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("rsciio/merlin/003_merlin_test_roi_sig256x64_nav4x2_hot_pixel_52x_39y.mib", "u2"),
        ("pixstem/fpd_file_test.hdf5", "u2"),
        ("atomap/test_ABF_cropped.hdf5", "f4"),
        ("nordtem/SPED_Ag_labels.hspy", "u1"),
    ],
)
def test_values_are_in_this_machines_order(name: str, dtype: str, real_data, open_file):
    intensity = open_file(real_data / name)["intensity"]
    assert intensity.dtype == np.dtype(dtype)
    assert intensity.values.dtype.isnative


@pytest.mark.parametrize(("name", "rows"), [("002", 128), ("003", 64)])
def test_merlin_rows_are_stored_from_the_bottom(name: str, rows: int, real_data, open_file):
    """Big-endian counts and the order of rows at once: the file's name tells where its hot pixel is."""
    path = real_data / f"rsciio/merlin/{name}_merlin_test_roi_sig256x{rows}_nav4x2_hot_pixel_52x_39y.mib"
    mean = open_file(path)["intensity"].values.mean(axis=(0, 1))
    assert np.unravel_index(mean.argmax(), mean.shape) == (rows - 1 - 39, 52)


def test_the_beam_of_big_endian_patterns_is_where_it_was_measured(real_data, open_file):
    frames = open_file(real_data / "pixstem/fpd_file_test.hdf5")["intensity"].values.astype(float)
    frames[frames < 0.1 * frames.max(axis=(2, 3), keepdims=True)] = 0
    y, x = np.indices(frames.shape[2:])
    total = frames.sum(axis=(2, 3))
    # (125, 129) within 2 px, for the threshold; the positions agree among themselves.
    np.testing.assert_allclose((frames * x).sum(axis=(2, 3)) / total, 128.7, atol=2)
    np.testing.assert_allclose((frames * y).sum(axis=(2, 3)) / total, 125.1, atol=2)


def test_negative_counts_stay_negative(real_data, open_file):
    ds = open_file(real_data / "hyperspy17/tia/16x16-diffraction_imagel_5x5x256x256_EDS.emi")
    assert int(ds["intensity"].min()) == -846


def test_colours_are_refused(tmp_path, open_file):
    import tifffile

    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8, 3), np.uint8), photometric="rgb")
    with pytest.raises(ReadError, match="no images or patterns"):
        open_file(tmp_path / "a.tif")


def test_signed_bytes_of_gatan_are_counts():
    stored = np.array([[0, 100, -128, -1]], np.int8)
    data = {name: LazySignal(Path("a"), FORMATS[name], lambda: stored, (1, 4), stored.dtype) for name in ("dm", "hspy")}
    everything = BasicIndexer((slice(None), slice(None)))
    np.testing.assert_array_equal(data["dm"][everything], [[0, 100, 128, 255]])
    np.testing.assert_array_equal(data["hspy"][everything], stored)


def test_a_single_colour_axis_goes(real_data, open_file):
    ds = open_file(real_data / "pixstem/fpd_file_test.hdf5")
    with h5py.File(real_data / "pixstem/fpd_file_test.hdf5") as file:
        np.testing.assert_array_equal(ds["intensity"].values, file["fpd_expt/fpd_data/data"][:, :, 0])


def test_a_depth_axis_is_picked_from(real_data, open_file):
    path = real_data / "rsciio/emd/Si100_4D.emd"
    first, second = open_file(path), open_file(path, extra_index=(1,))
    assert "CBED_array_depth" in first.attrs["notes"]
    assert "notes" not in second.attrs
    with h5py.File(path) as file:
        stored = file["4DSTEM_simulation/data/datacubes/CBED_array_depth0001/datacube"][()]
    # Stored with x before y, as the names of its axes say.
    np.testing.assert_array_equal(second["intensity"].values, stored.transpose(1, 0, 3, 2))
    with pytest.raises(ReadError, match="beyond the axis"):
        open_file(path, extra_index=(2,))
    with pytest.raises(ReadError, match="extra_index has 2 values"):
        open_file(path, extra_index=(0, 0))


def test_compressed_prz_is_not_read_as_it_lies(cube, tmp_path, open_file, write):
    path = write("pantarhei", tmp_path / "a.prz", cube, ("nm", "1/nm"), (2.0, 0.1))
    ds = open_file(path)
    assert not ds.attrs["is_lazy"]
    np.testing.assert_array_equal(ds["intensity"].values, cube)


@pytest.mark.parametrize("shape", [(5, 7), (3, 5, 7), (2, 3, 5, 7)])
@pytest.mark.parametrize("dtype", [">u2", "f4", "longdouble"])
def test_an_array_saved_by_columns_keeps_its_rows(shape, dtype, tmp_path, open_file):
    """As `numpy.save` writes a transposed array; of an image of equal sides nothing else would show it."""
    stored = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    np.save(tmp_path / "a.npy", np.asfortranarray(stored))
    intensity = open_file(tmp_path / "a.npy")["intensity"]
    np.testing.assert_array_equal(intensity.values.reshape(shape), stored)
    assert intensity.dtype == {">u2": "u2", "f4": "f4", "longdouble": "f8"}[dtype]


def test_prz_by_columns_keeps_its_rows(tmp_path, open_file, real_data):
    path, source = tmp_path / "a.prz", real_data / "rsciio/pantarhei/panta_rhei_sample.prz"
    stored = np.arange(256, dtype="u2").reshape(16, 16)
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(path, "w") as copy:
        for name in archive.namelist():
            with copy.open(name, "w") as file:
                if name == "data.npy":
                    np.save(file, np.asfortranarray(stored))
                else:
                    file.write(archive.read(name))
    np.testing.assert_array_equal(open_file(path)["intensity"].values[0], stored)


@pytest.mark.parametrize(("module", "ending"), [("nexus", ".nxs"), ("emd", ".emd"), ("hspy", ".hspy")])
def test_what_the_library_writes_comes_back(module: str, ending: str, cube, tmp_path, open_file, write):
    ds = open_file(write(module, tmp_path / f"a{ending}", cube, ("nm", "1/nm"), (2.0, 0.25)))
    np.testing.assert_array_equal(ds["intensity"].values, cube)
    np.testing.assert_allclose(fourd.q_step(ds), 0.025, rtol=1e-9)
    assert float(ds["scan_y"][1]) == pytest.approx(20.0)


def test_merlin_modes_and_quads(real_data, tmp_path, open_file):
    with zipfile.ZipFile(real_data / "rsciio/merlin/Merlin_Single_Quad.zip") as archive:
        archive.extractall(tmp_path)
    dtypes = {1: "u1", 6: "u1", 12: "u2", 24: "u4"}
    seen = 0
    for path in tmp_path.glob("*.mib"):
        kind, frames, depth = re.match(r"(\w+?)_(\d)_Frame_CounterDepth_(\d+)_Rows_256", path.name).groups()
        if "RAW" in path.name:
            with pytest.raises(ReadError, match="raw mode"):
                open_file(path)
            continue
        side = 512 if kind == "Quad" else 256
        intensity = open_file(path)["intensity"]
        assert (intensity.shape, intensity.dtype) == ((1, int(frames), side, side), np.dtype(dtypes[int(depth)]))
        values = intensity.values
        head = 768 if kind == "Quad" else 384
        stored = np.fromfile(path, np.uint8).reshape(int(frames), -1)[:, head:].copy()
        stored = stored.view(np.dtype(dtypes[int(depth)]).newbyteorder(">")).reshape(values.shape)
        np.testing.assert_array_equal(values, stored[:, :, ::-1])
        seen += 1
    assert seen == 16


def test_a_header_of_raw_mode_is_explained(real_data, tmp_path, open_file):
    head = (real_data / MERLIN).read_bytes()[:384].replace(b",U08,", b",R64,")
    (tmp_path / "a.mib").write_bytes(head + bytes(256 * 256))
    with pytest.raises(ReadError, match="raw mode"):
        open_file(tmp_path / "a.mib")


def test_a_header_that_promises_more_than_the_file_holds(real_data, tmp_path, open_file):
    whole = bytearray((real_data / "rsciio/blockfile/test1.blo").read_bytes())
    struct.pack_into("<HH", whole, 24, 60000, 60000)
    (tmp_path / "a.blo").write_bytes(whole)
    with pytest.raises(ReadError, match="promises"):
        open_file(tmp_path / "a.blo")

"""What goes wrong with vendor files elsewhere, one test each."""

from __future__ import annotations

import logging
import re
import shutil
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from xarray.core.indexing import BasicIndexer

from ronchi.errors import ReadError
from ronchi.manager import get_manager
from ronchi.pipeline.reader_choice import choose_reader
from ronchi.schema import fourd
from ronchi_rosettasciio import sniff
from ronchi_rosettasciio.formats import FORMATS
from ronchi_rosettasciio.lazy import LazySignal

TIA = "hyperspy17/tia/16x16-diffraction_imagel_5x5x256x256_EDS"
MERLIN = "rsciio/merlin/001_4x2_6bit"


def signal(data: np.ndarray, units: tuple[str, str], scales: tuple[float, float]) -> dict[str, Any]:
    """As RosettaSciIO's writers take it: rows and columns of scan and pattern have the same unit and scale."""
    names = ("y", "x", "ky", "kx")[4 - data.ndim :]
    axes = [
        {
            "name": name,
            "size": size,
            "scale": scales[name.startswith("k")],
            "offset": 0.0,
            "units": units[name.startswith("k")],
            "navigate": not name.startswith("k"),
            "index_in_array": i,
            "_type": "UniformDataAxis",
            "is_binned": False,
        }
        for i, (name, size) in enumerate(zip(names, data.shape, strict=True))
    ]
    return {
        "data": data,
        "axes": axes,
        "metadata": {"General": {"title": "made"}, "Signal": {"signal_type": ""}},
        "original_metadata": {},
        "attributes": {"_lazy": False},
        "learning_results": {},
        "models": {},
        "tmp_parameters": {},
        "package_info": {"package": "made", "package_version": "1"},
        "package": "made",
        "package_version": "1",
    }


def write(module: str, path: Path, made: dict[str, Any], **options: Any) -> Path:
    import importlib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module(f"rsciio.{module}").file_writer(str(path), made, **options)
    return path


@pytest.fixture
def cube() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, (3, 4, 16, 16)).astype(np.uint8)


# 1: several readers claim .h5, .hdf5 and .xml
@pytest.mark.parametrize(
    ("name", "reader", "form"),
    [
        ("mac4dstem/real_py4dstem.h5", "py4dstem", "py4dstem"),
        ("pixstem/fpd_file_test.hdf5", "rosettasciio", "emd"),
        ("kikuchipy/patterns.h5", "rosettasciio", "hdf5"),
        ("atomap/test_ABF_cropped.hdf5", "rosettasciio", "hspy"),
        ("rsciio/empad/map4x4.xml", "rosettasciio", "empad"),
    ],
)
def test_one_reader_for_an_extension_of_many(name: str, reader: str, form: str, real_data):
    found = sniff.identify(real_data / name)
    assert found is not None
    assert found.name == form
    assert choose_reader(real_data / name, get_manager(), []) == reader


@pytest.mark.parametrize(
    "name",
    [
        "rsciio/blockfile/test1.blo",
        f"{MERLIN}.mib",
        "rsciio/dm/test_STEM_image.dm3",
        "pyxem-demos/moo3_20cm.tif",
        "rsciio/pantarhei/panta_rhei_sample.prz",
        "hyperspy17/tia/16x16-diffraction_imagel_5x5x256x256_EDS_2.ser",
        "rsciio/mrc_de/Custom_movie.mrc",
        "rsciio/emd/fei_emd_image.emd",
    ],
)
@pytest.mark.parametrize("ending", ["", ".h5", ".xml", ".dm3", ".txt"])
def test_the_name_of_a_file_says_nothing(name: str, ending: str, real_data, tmp_path, open_file):
    renamed = tmp_path / f"scan{ending}"
    shutil.copy(real_data / name, renamed)
    found, wanted = open_file(renamed), open_file(real_data / name)
    assert found.attrs["source_format"] == wanted.attrs["source_format"]
    np.testing.assert_array_equal(found["intensity"].values, wanted["intensity"].values)


@pytest.mark.parametrize(
    ("first", "second"), [("a [1].emi", "a [1]_2.ser"), ("B.EMI", "B_2.SER"), ("c*.x", "c*_2.ser")]
)
def test_an_emi_finds_its_ser_whatever_they_are_called(first: str, second: str, real_data, tmp_path, open_file):
    for ending, name in ((".emi", first), ("_2.ser", second)):
        shutil.copy(real_data / f"hyperspy17/tia/16x16-diffraction_imagel_5x5x256x256_EDS{ending}", tmp_path / name)
    ds = open_file(tmp_path / first)
    assert ds["intensity"].shape == (5, 5, 256, 256)
    assert ds["qy"].attrs["units"] == "1/angstrom", "which only the .emi knows"
    assert ds.attrs["title"] == Path(first).stem


# 2: the .blo writer keeps the number and calls it cm
def test_a_relabelled_unit_is_not_believed(cube, tmp_path, open_file, caplog):
    path = write("blockfile", tmp_path / "a.blo", signal(cube, ("nm", "1/angstrom"), (2.0, 0.01261)))
    ds = open_file(path)
    assert fourd.q_units(ds) == "pixel"
    assert "0.0126" in ds.attrs["calibration_refused"]
    assert "cm" in caplog.text
    np.testing.assert_array_equal(ds["intensity"].values, cube)


# 3: A is the angstrom
def test_one_over_a_is_one_over_angstrom(cube, tmp_path, open_file):
    path = write("emd", tmp_path / "a.emd", signal(cube, ("nm", "$A^{-1}$"), (2.0, 0.01261)))
    with h5py.File(path) as file:
        units = {str(item.attrs["units"]) for name, item in _all(file) if "units" in item.attrs}
    assert any("A" in unit for unit in units), f"the writer no longer spells it so: {units}"
    ds = open_file(path)
    np.testing.assert_allclose(fourd.q_step(ds), 0.01261, rtol=1e-6)
    np.testing.assert_array_equal(ds["intensity"].values, cube)


def _all(file: h5py.File) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    file.visititems(lambda name, item: found.append((name, item)))
    return found


# 4: implausible, unknown and negative sizes
def test_an_impossible_pixel_is_named_and_left_out(real_data, open_file, caplog):
    ds = open_file(real_data / "pyxem-demos/Amorphous.hspy")
    assert fourd.q_units(ds) == "pixel"
    assert "7.84314e-20 1 / nm" in caplog.text
    assert "Amorphous.hspy" in caplog.text


def test_minus_one_stands_for_unknown(real_data, open_file):
    ds = open_file(real_data / "rsciio/mrc_de/Custom_movie.mrc")
    assert ds["x"].attrs["units"] == "pixel"
    assert "-1 nm" in ds.attrs["calibration_refused"]


def test_rows_that_run_down_have_a_positive_step(real_data, open_file):
    ds = open_file(real_data / f"{TIA}.emi")
    assert ds.attrs.get("calibration_refused") is None
    assert float(ds["scan_y"][1]) == pytest.approx(float(ds["scan_x"][1]), rel=1e-9)


def test_a_one_that_the_library_fills_in_is_no_size(real_data, tmp_path, open_file):
    source = real_data / "rsciio/mrc_de"
    for name in ("20241021_00405_movie.mrc", "20241021_00405_info.txt"):
        shutil.copy(source / name, tmp_path / name)
    info = tmp_path / "20241021_00405_info.txt"
    lines = info.read_text(encoding="utf-8").splitlines()
    info.write_text("\n".join(line for line in lines if "Pixel Size" not in line), encoding="utf-8")
    ds = open_file(tmp_path / "20241021_00405_movie.mrc")
    assert (fourd.scan_units(ds), fourd.q_units(ds)) == ("pixel", "pixel")


# 5: a .ser without its .emi
def test_a_ser_alone_has_no_diffraction_pixel(real_data, tmp_path, open_file):
    shutil.copy(real_data / f"{TIA}_2.ser", tmp_path / "alone.ser")
    ds = open_file(tmp_path / "alone.ser")
    assert fourd.q_units(ds) == "pixel"
    assert "e+17 nm" in ds.attrs["calibration_refused"]
    np.testing.assert_allclose(fourd.q_step(open_file(real_data / f"{TIA}.emi")), 0.0174353, rtol=1e-5)


def test_a_tension_is_found_under_the_name_that_tia_gives_it(real_data, open_file):
    ds = open_file(real_data / "hyperspy17/tia/16x16-diffraction_imagel_5x5x256x256_EDS.emi")
    assert ds.attrs["beam_energy_eV"] == 200e3
    assert ds.attrs["camera_length_m"] == pytest.approx(0.26)
    assert "200 kV" in ds.attrs["instrument"]


def test_an_emi_without_its_ser_says_so(real_data, tmp_path, open_file):
    shutil.copy(real_data / f"{TIA}.emi", tmp_path / "alone.emi")
    with pytest.raises(ReadError):
        open_file(tmp_path / "alone.emi")


# 6: Arina
def arina(folder: Path, frames: np.ndarray, pixel_nm: float | None = None) -> Path:
    """A master file with two data files beside it, as the detector writes them."""
    half = len(frames) // 2
    with h5py.File(folder / "s_master.h5", "w") as master:
        group = master.create_group("entry/data")
        for i, part in enumerate((frames[:half], frames[half:]), 1):
            name = f"data_{i:06d}"
            with h5py.File(folder / f"s_{name}.h5", "w") as file:
                file.create_dataset("entry/data/data", data=part, chunks=(1, *part.shape[1:]), compression="gzip")
            group[name] = h5py.ExternalLink(f"s_{name}.h5", "/entry/data/data")
    if pixel_nm is not None:
        with h5py.File(folder / "s.h5", "w") as file:
            file.create_group("STEM Metadata").attrs["Pixel Size"] = [pixel_nm]
    return folder / "s_master.h5"


@pytest.fixture
def many_counts() -> np.ndarray:
    frames = np.random.default_rng(1).integers(0, 2**20, (12, 6, 8)).astype(np.uint32)
    frames[0, 0, 0] = 2**32 - 1
    return frames


def test_arina_counts_do_not_overflow(many_counts, tmp_path, open_file):
    ds = open_file(arina(tmp_path, many_counts), scan_shape=(3, 4))
    assert ds["intensity"].dtype == np.uint32
    assert ds.attrs["is_lazy"]
    np.testing.assert_array_equal(ds["intensity"].values, many_counts.reshape(3, 4, 6, 8))


def test_arina_scan_is_a_square_only_where_it_can_be(many_counts, tmp_path, open_file):
    ds = open_file(arina(tmp_path, many_counts))
    assert ds["intensity"].shape == (1, 12, 6, 8)
    assert "`scan_shape`" in ds.attrs["notes"]
    square = tmp_path / "square"
    square.mkdir()
    ds = open_file(arina(square, many_counts[:4], pixel_nm=0.5))
    assert ds["intensity"].shape == (2, 2, 6, 8)
    assert "a square is assumed" in ds.attrs["notes"]
    assert float(ds["scan_x"][1]) == pytest.approx(5.0)


def test_arina_without_its_data_files_says_which(many_counts, tmp_path, open_file):
    path = arina(tmp_path, many_counts)
    (tmp_path / "s_data_000002.h5").unlink()
    with pytest.raises(ReadError, match=r"missing.*s_data_000002\.h5"):
        open_file(path)


# 7: types
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
    assert int(open_file(real_data / f"{TIA}.emi")["intensity"].min()) == -846


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


# 8: axes beyond four
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


# 9: shapes of scans
def test_a_merlin_scan_has_the_shape_of_its_header(real_data, open_file, tmp_path):
    ds = open_file(real_data / f"{MERLIN}.mib")
    assert ds["intensity"].shape == (2, 4, 256, 256)
    given = open_file(real_data / f"{MERLIN}.mib", scan_shape=(4, 2))
    np.testing.assert_array_equal(
        given["intensity"].values.reshape(8, 256, 256), ds["intensity"].values.reshape(8, 256, 256)
    )
    with pytest.raises(ReadError, match=r"does not fit 8 patterns"):
        open_file(real_data / f"{MERLIN}.mib", scan_shape=(3, 3))


def test_an_interrupted_merlin_scan_keeps_its_whole_rows(real_data, open_file, tmp_path):
    name = "003_merlin_test_roi_sig256x64_nav4x2_hot_pixel_52x_39y"
    shutil.copy(real_data / f"rsciio/merlin/{name}.hdr", tmp_path / "a.hdr")
    frame = 384 + 64 * 256 * 2
    (tmp_path / "a.mib").write_bytes((real_data / f"rsciio/merlin/{name}.mib").read_bytes()[: 7 * frame + 100])
    ds = open_file(tmp_path / "a.mib")
    assert ds["intensity"].shape == (1, 4, 64, 256)
    assert "1 of 2 rows" in ds.attrs["notes"]


def test_pauses_are_rows_only_where_they_come_evenly(real_data, open_file, tmp_path):
    assert "by the pauses" in open_file(real_data / f"{MERLIN}.mib").attrs["notes"]
    frame = 384 + 256 * 256
    (tmp_path / "a.mib").write_bytes((real_data / f"{MERLIN}.mib").read_bytes()[: 7 * frame])
    ds = open_file(tmp_path / "a.mib")
    assert ds["intensity"].shape == (1, 7, 256, 256)
    assert "`scan_shape`" in ds.attrs["notes"]


def test_a_movie_becomes_a_scan_where_it_is_told(real_data, open_file):
    path = real_data / "rsciio/mrc_de/ROI_Random_Scan_movie.mrc"
    movie, scan = open_file(path), open_file(path, scan_shape=(29, 12))
    assert (movie["intensity"].shape, scan["intensity"].shape) == ((348, 16, 16), (29, 12, 16, 16))
    np.testing.assert_array_equal(scan["intensity"].values.reshape(348, 16, 16), movie["intensity"].values)
    assert open_file(path, content="patterns")["intensity"].shape == (1, 348, 16, 16)


def test_empad_rows_of_the_readout_are_cut_off(real_data, open_file):
    path = real_data / "rsciio/empad/map4x4.xml"
    raw = np.fromfile(real_data / "rsciio/empad/scan_x4_y4.raw", "<f4").reshape(4, 4, 130, 128)
    np.testing.assert_array_equal(open_file(path)["intensity"].values, raw[:, :, :128])


# 10: what the plugins need
def test_what_the_plugins_of_the_library_need_is_a_dependency():
    from importlib.metadata import requires

    names = {text.split(">")[0] for text in requires("ronchi-rosettasciio") or ()}
    assert {"scikit-image", "hdf5plugin", "h5py", "dask"} <= names


# Others
def test_compressed_prz_is_not_read_as_it_lies(cube, tmp_path, open_file):
    path = write("pantarhei", tmp_path / "a.prz", signal(cube, ("nm", "1/nm"), (2.0, 0.1)))
    ds = open_file(path)
    assert not ds.attrs["is_lazy"]
    np.testing.assert_array_equal(ds["intensity"].values, cube)


def test_tvips_whole_numbers_are_no_calibration(cube, tmp_path, open_file):
    made = signal(cube, ("nm", "1/nm"), (2.0, 1.0))
    path = write("tvips", tmp_path / "a_000.tvips", made, mode=2)
    ds = open_file(path, scan_shape=(3, 4))
    assert (fourd.scan_units(ds), fourd.q_units(ds)) == ("pixel", "pixel")
    np.testing.assert_array_equal(ds["intensity"].values, cube)


@pytest.mark.parametrize(("module", "ending"), [("nexus", ".nxs"), ("emd", ".emd"), ("hspy", ".hspy")])
def test_what_the_library_writes_comes_back(module: str, ending: str, cube, tmp_path, open_file):
    made = signal(cube, ("nm", "1/nm"), (2.0, 0.25))
    ds = open_file(write(module, tmp_path / f"a{ending}", made))
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
    head = (real_data / f"{MERLIN}.mib").read_bytes()[:384].replace(b",U08,", b",R64,")
    (tmp_path / "a.mib").write_bytes(head + bytes(256 * 256))
    with pytest.raises(ReadError, match="raw mode"):
        open_file(tmp_path / "a.mib")


def test_a_header_that_promises_more_than_the_file_holds(real_data, tmp_path, open_file):
    whole = bytearray((real_data / "rsciio/blockfile/test1.blo").read_bytes())
    struct.pack_into("<HH", whole, 24, 60000, 60000)
    (tmp_path / "a.blo").write_bytes(whole)
    with pytest.raises(ReadError, match="promises"):
        open_file(tmp_path / "a.blo")


def test_the_library_says_nothing_on_its_own(real_data, tmp_path, open_file, caplog, capsys):
    shutil.copy(real_data / f"{MERLIN}.mib", tmp_path / "no-hdr.mib")
    with caplog.at_level(logging.DEBUG):
        ds = open_file(tmp_path / "no-hdr.mib")
    assert ds["intensity"].sizes["qy"] == 256
    assert not [record for record in caplog.records if record.name.startswith("rsciio")]
    assert capsys.readouterr() == ("", "")

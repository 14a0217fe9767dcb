"""Every real file: what it is taken for, how it is read, and which calibration is believed."""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass

import numpy as np
import pytest

from ronchi import schema
from ronchi.errors import ReadError
from ronchi.schema import fourd
from ronchi_rosettasciio.formats import FORMATS

Pair = tuple[float, float] | None


@dataclass(frozen=True)
class Patterns:
    format: str
    shape: tuple[int, ...]
    dtype: str
    scan_angstrom: Pair = None
    q_inv_angstrom: Pair = None
    refused: str = ""
    lazy: bool = True


@dataclass(frozen=True)
class Images:
    format: str
    shape: tuple[int, ...]
    dtype: str
    step_angstrom: Pair = None
    refused: str = ""
    lazy: bool = True


@dataclass(frozen=True)
class Refused:
    words: str


def both(value: float) -> tuple[float, float]:
    return value, value


NOT_KNOWN = Refused("of no format that is known here")
TIA = "hyperspy17/tia/16x16-diffraction_imagel_5x5x256x256_EDS"
ROI = "merlin_test_roi_sig256x{}_nav4x2_hot_pixel_52x_39y"
# Steps are those of the files, in angstrom: 0.01606 cm at 0.2 m and 200 kV are 0.0320 1/angstrom.
TABLE: dict[str, Patterns | Images | Refused] = {
    "aicrystallographer/G-GrainBoundary-4nm.hdf5": Images("hdf5", (1, 512, 512), "f4"),
    "aicrystallographer/G-GrainBoundary-6nm.hdf5": Images("hdf5", (1, 512, 512), "f8"),
    "aicrystallographer/G-Si-2nm.hdf5": Images("hdf5", (1, 256, 256), "f8"),
    "aicrystallographer/G-dimSi.hdf5": Images("hdf5", (1, 512, 512), "f4"),
    "aicrystallographer/LibraryNet_test-1.hdf5": Images("hdf5", (1, 256, 256), "f8"),
    "aicrystallographer/LibraryNet_test-2.hdf5": Images("hdf5", (1, 256, 256), "f4"),
    "atomap/example_detector_image.hspy": Images("hspy", (1, 512, 512), "u2", both(310.365)),
    "atomap/test_ABF_cropped.hdf5": Images("hspy", (1, 400, 380), "f4", refused="0.00932627"),
    "atomap/test_ADF_cropped.hdf5": Images("hspy", (1, 400, 380), "f4", refused="0.00932627"),
    "hyperspy-demos/stem_abf_data.hspy": Images("hspy", (1, 512, 512), "u2", refused="0.00932627"),
    "hyperspy-demos/stem_abf_data_imagestack.hspy": Images("hspy", (5, 512, 512), "u2", both(0.0920240)),
    f"{TIA}.emi": Patterns("emi", (5, 5, 256, 256), "i4", both(18.7390), both(0.0174353), lazy=False),
    f"{TIA}_1.ser": Refused("no images or patterns (found: 0: unnamed 5x5x4000 uint32)"),
    f"{TIA}_2.ser": Patterns("ser", (5, 5, 256, 256), "i4", both(18.7390), refused="1.74353e+17 nm", lazy=False),
    "jacobjma/test_data_1.npz": NOT_KNOWN,
    "jacobjma/test_data_2.npz": NOT_KNOWN,
    "kikuchipy/Pattern.dat": NOT_KNOWN,
    "kikuchipy/Setting.txt": NOT_KNOWN,
    "kikuchipy/bruker_patterns_1MB.h5": Images("hdf5", (9, 60, 60), "u1"),
    "kikuchipy/patterns.h5": Images("hdf5", (9, 60, 60), "u1"),
    "mac4dstem/real_py4dstem.h5": Patterns("py4dstem", (2, 2, 4, 4), "f4", both(2.5), both(0.0125)),
    "mac4dstem/real_py4dstem_origin_maps.h5": Patterns("py4dstem", (2, 3, 4, 5), "f4", both(2.5), both(0.0125)),
    "nordtem/SPED_Ag_labels.hspy": Images("hspy", (5, 64, 208), "u1", both(203.72)),
    "nordtem/SPED_Ag_labels_sum_signal.hspy": Patterns("hspy", (1, 5, 112, 112), "u4", None, both(0.0267283)),
    "pixstem/fpd_file_test.hdf5": Patterns("emd", (2, 2, 256, 256), "u2", refused="1 ?/m"),
    "py4dstem/LCO.cif": NOT_KNOWN,
    "py4dstem/Li2MnO3.cif": NOT_KNOWN,
    "py4dstem/LiMn2O4.cif": NOT_KNOWN,
    "py4dstem/braggdisks_cali.h5": NOT_KNOWN,
    "pyxem-demos/Amorphous.hspy": Patterns("hspy", (1, 1, 512, 512), "i8", refused="7.84314e-20 1 / nm"),
    "pyxem-demos/au_xgrating_100kX.hspy": Patterns("hspy", (1, 1, 254, 254), "f4"),
    "pyxem-demos/au_xgrating_20cm.tif": Images("tiff", (1, 256, 256), "f4", lazy=False),
    "pyxem-demos/moo3_100kX.tif": Images("tiff", (1, 254, 254), "f4", lazy=False),
    "pyxem-demos/moo3_20cm.tif": Images("tiff", (1, 256, 256), "f4", lazy=False),
    "pyxem/stem_diffraction_pattern.hspy": Images("hspy", (1, 167, 167), "u1", refused="1.35714"),
    "rsciio/blockfile/test1.blo": Patterns("blo", (3, 2, 144, 144), "u1", both(128.0), both(0.0320222)),
    "rsciio/blockfile/test2.blo": Patterns("blo", (2, 3, 5, 5), "u1", both(640.0), both(0.0320222)),
    "rsciio/dm/dmTest_3D_int16_64,65,66.dm4": Images("dm", (66, 65, 64), "i2", (30.0, 0.02)),
    "rsciio/dm/test_STEM_image.dm3": Images("dm", (1, 68, 68), "u4", both(2.48538)),
    "rsciio/dm/test_diffraction_pattern.dm3": Patterns("dm", (1, 1, 87, 87), "i4", None, both(0.0174433)),
    "rsciio/emd/Si100_4D.emd": Patterns("emd", (11, 11, 8, 8), "f4", both(5.0), both(0.0184162)),
    "rsciio/emd/fei_emd_image.emd": Images("velox", (1, 512, 512), "u2", both(53.0241)),
    "rsciio/emd/fei_example_dpc_titles.emd": Images("velox", (1, 2, 2), "f4", both(0.996199)),
    "rsciio/emd/fei_example_tem_stack.emd": Images("velox", (2, 3, 3), "i2", both(0.0817288)),
    "rsciio/emd/py4DSTEM_size2x3x4x5.h5": Patterns("py4dstem", (2, 3, 4, 5), "f4", both(1.26797), both(0.0442516)),
    "rsciio/empad/EMPAD_v1.2.2_x32_y64_size0.8.xml": Refused("scan_x32_y64.raw"),
    "rsciio/empad/map4x4.xml": Patterns("empad", (4, 4, 128, 128), "f4", both(11415.9), both(0.0182654)),
    "rsciio/empad/scan_x4_y4.raw": NOT_KNOWN,
    "rsciio/merlin/001_4x2_6bit.hdr": NOT_KNOWN,
    "rsciio/merlin/001_4x2_6bit.mib": Patterns("mib", (2, 4, 256, 256), "u1"),
    "rsciio/merlin/002_4x2_6bit_roi128.hdr": NOT_KNOWN,
    "rsciio/merlin/002_4x2_6bit_roi128.mib": Patterns("mib", (2, 4, 128, 256), "u1"),
    f"rsciio/merlin/002_{ROI.format(128)}.hdr": NOT_KNOWN,
    f"rsciio/merlin/002_{ROI.format(128)}.mib": Patterns("mib", (2, 4, 128, 256), "u2"),
    f"rsciio/merlin/003_{ROI.format(64)}.hdr": NOT_KNOWN,
    f"rsciio/merlin/003_{ROI.format(64)}.mib": Patterns("mib", (2, 4, 64, 256), "u2"),
    "rsciio/merlin/Merlin_Single_Quad.zip": NOT_KNOWN,
    "rsciio/mrc_de/20241021_00405_info.txt": NOT_KNOWN,
    "rsciio/mrc_de/20241021_00405_movie.mrc": Patterns("mrc", (4, 8, 4, 8), "u2", (2.0, 1.0), both(0.01)),
    "rsciio/mrc_de/Custom_info.txt": NOT_KNOWN,
    "rsciio/mrc_de/Custom_movie.mrc": Images("mrc", (30, 16, 16), "u2", refused="-1 nm"),
    "rsciio/mrc_de/Custom_scan_coordinates.csv": NOT_KNOWN,
    "rsciio/mrc_de/ROI_Random_Scan_Sum.mrc": Images("mrc", (1, 29, 12), "f4", refused="-1 nm"),
    "rsciio/mrc_de/ROI_Random_Scan_info.txt": NOT_KNOWN,
    "rsciio/mrc_de/ROI_Random_Scan_movie.mrc": Images("mrc", (348, 16, 16), "u2", refused="-1 nm"),
    "rsciio/mrc_de/ROI_Random_Scan_scan_coordinates.csv": NOT_KNOWN,
    "rsciio/pantarhei/panta_rhei_sample.prz": Images("prz", (1, 16, 16), "u2", both(77.9583)),
    "scilink/MoS2_stem_Exp-000-2.json": NOT_KNOWN,
    "scilink/MoS2_stem_Exp-000-2.npy": Images("npy", (1, 512, 512), "f8"),
    "scilink/MoS2_stem_Exp-001-5.json": NOT_KNOWN,
    "scilink/MoS2_stem_Exp-001-5.npy": Images("npy", (1, 512, 512), "f8"),
    "temul/example_Au_nanoparticle.emd": Images("velox", (1, 2048, 2048), "u2", both(0.0749840)),
    "temul/example_Se_implanted_MoS2.dm3": Images("dm", (1, 1024, 1024), "u4", both(0.126953)),
}


def steps_of(ds, dims: tuple[str, str]) -> Pair:
    if any(ds[dim].attrs["units"] == "pixel" for dim in dims):
        return None
    # One position has no step.
    return tuple(float(ds[dim][1] - ds[dim][0]) if ds.sizes[dim] > 1 else np.nan for dim in dims)


def check_steps(found: Pair, expected: Pair) -> None:
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("name", TABLE)
def test_file(name: str, real_data, open_file, caplog):
    path, row = real_data / name, TABLE[name]
    assert path.is_file(), f"{path} is missing from the folder of real files"
    if isinstance(row, Refused):
        with pytest.raises(ReadError) as fault:
            open_file(path)
        assert row.words in fault.value.what
        assert fault.value.where.endswith(path.name)
        assert fault.value.fix
        return
    with caplog.at_level("WARNING", logger="ronchi"):
        ds = schema.validate(open_file(path))
    assert (ds.attrs["source_format"], bool(ds.attrs["is_lazy"])) == (row.format, row.lazy)
    assert (ds["intensity"].shape, ds["intensity"].dtype) == (row.shape, np.dtype(row.dtype))
    assert (ds["intensity"].chunks is not None) == row.lazy
    if isinstance(row, Patterns):
        assert ds.attrs["ronchi_schema"] == "fourd/1"
        check_steps(steps_of(ds, ("scan_y", "scan_x")), row.scan_angstrom)
        check_steps(steps_of(ds, ("qy", "qx")), row.q_inv_angstrom)
        np.testing.assert_allclose(fourd.centre_px(ds), (row.shape[2] // 2, row.shape[3] // 2), atol=1e-5)
    else:
        assert ds.attrs["ronchi_schema"] == "images/1"
        check_steps(steps_of(ds, ("y", "x")), row.step_angstrom)
    assert row.refused in ds.attrs.get("calibration_refused", "")
    assert bool(row.refused) == bool(ds.attrs.get("calibration_refused"))
    assert row.refused in caplog.text
    values = ds["intensity"].values
    assert values.shape == row.shape
    # The 6-bit Merlin files and some images are dark, but none of the frames is a constant by a wrong offset.
    assert np.isfinite(values).all()


def test_the_table_is_complete(real_data):
    files = {str(path.relative_to(real_data)) for path in real_data.rglob("*") if path.is_file()} - {"INDEX.md"}
    assert files == set(TABLE), "give every file of the folder a row"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("rsciio/blockfile/test1.blo", {"beam_energy_eV": 200e3, "camera_length_m": 0.2}),
        ("rsciio/empad/map4x4.xml", {"beam_energy_eV": 300e3, "camera_length_m": 0.7225}),
        ("pyxem-demos/Amorphous.hspy", {"beam_energy_eV": 200e3, "camera_length_m": 0.51}),
        ("rsciio/mrc_de/20241021_00405_movie.mrc", {"beam_energy_eV": 300e3}),
        ("temul/example_Se_implanted_MoS2.dm3", {"beam_energy_eV": 60e3}),
        ("rsciio/pantarhei/panta_rhei_sample.prz", {"beam_energy_eV": 200e3, "camera_length_m": 0.02}),
        ("rsciio/emd/fei_emd_image.emd", {"beam_energy_eV": 200e3, "camera_length_m": 0.098, "instrument": "Talos"}),
        (f"{TIA}.emi", {"camera_length_m": 0.26, "instrument": "TalosF200X 200 kV D6308 XTwin"}),
    ],
)
def test_beam_and_instrument(name: str, known: dict, real_data, open_file):
    attrs = open_file(real_data / name).attrs
    for key, value in known.items():
        assert attrs[key] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-9))


BY_THE_LIBRARY = [name for name, row in TABLE.items() if not isinstance(row, Refused) and FORMATS[row.format].module]


@pytest.mark.parametrize("name", BY_THE_LIBRARY)
def test_the_library_reads_the_same_values(name: str, real_data, open_file):
    """Read eagerly by RosettaSciIO, in whatever order."""
    ds = open_file(real_data / name)
    module = importlib.import_module(f"rsciio.{FORMATS[ds.attrs['source_format']].module}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = np.asarray(module.file_reader(str(real_data / name))[ds.attrs["dataset"]]["data"])
    if ds.attrs.get("notes", "").startswith("of the axis"):
        theirs = theirs[0]
    np.testing.assert_array_equal(np.sort(ds["intensity"].values, axis=None), np.sort(theirs, axis=None))

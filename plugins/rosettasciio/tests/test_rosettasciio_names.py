"""Which reader and which format a file is, whatever it is called, and what it needs beside it."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from ronchi.errors import PluginError, ReadError
from ronchi.manager import get_manager
from ronchi.pipeline.reader_choice import choose_reader
from ronchi_rosettasciio import sniff

MERLIN = "rsciio/merlin/001_4x2_6bit.mib"


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
        MERLIN,
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


def test_frames_lead_to_the_header_beside_them(real_data):
    with pytest.raises(PluginError) as caught:
        choose_reader(real_data / "rsciio/empad/scan_x4_y4.raw", get_manager(), [])
    assert caught.value.fix.startswith("open map4x4.xml beside it")


def test_an_emi_without_its_ser_says_so(real_data, tmp_path, open_file):
    shutil.copy(real_data / "hyperspy17/tia/16x16-diffraction_imagel_5x5x256x256_EDS.emi", tmp_path / "alone.emi")
    with pytest.raises(ReadError):
        open_file(tmp_path / "alone.emi")


def test_what_the_plugins_of_the_library_need_is_a_dependency():
    from importlib.metadata import requires

    names = {text.split(">")[0] for text in requires("ronchi-rosettasciio") or ()}
    assert {"scikit-image", "hdf5plugin", "h5py", "dask"} <= names


def test_the_library_says_nothing_on_its_own(real_data, tmp_path, open_file, caplog, capsys):
    shutil.copy(real_data / MERLIN, tmp_path / "no-hdr.mib")
    with caplog.at_level(logging.DEBUG):
        ds = open_file(tmp_path / "no-hdr.mib")
    assert ds["intensity"].sizes["qy"] == 256
    assert not [record for record in caplog.records if record.name.startswith("rsciio")]
    assert capsys.readouterr() == ("", "")

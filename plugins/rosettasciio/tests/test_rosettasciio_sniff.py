"""Recognition by content, and its place among the readers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ronchi
from ronchi.builtin.npy import NpyReader
from ronchi.builtin.params_io import NpyParams
from ronchi.manager import get_manager
from ronchi.pipeline.reader_choice import choose_reader
from ronchi.schema import fourd, images
from ronchi_rosettasciio import probe as probe_module
from ronchi_rosettasciio import sniff
from ronchi_rosettasciio.formats import FORMATS
from ronchi_rosettasciio.params import RosettaParams
from ronchi_rosettasciio.probe import examine, probe


def test_advertising_imports_nothing_heavy():
    code = (
        "import sys, ronchi_rosettasciio.plugin;"
        "print(sorted({'numpy', 'h5py', 'dask', 'xarray', 'rsciio', 'zarr'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_manager_finds_the_reader():
    assert "rosettasciio" in ronchi.algorithms("reader")
    assert get_manager().spec("reader", "rosettasciio").output == "fourd/1|images/1|peaks/1|strain/1"


def test_every_parameter_is_described():
    assert all(field.description for field in RosettaParams.model_fields.values())


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_ronchis_own_files_are_left_to_its_own_reader(suffix: str, tmp_path):
    path = tmp_path / f"own{suffix}"
    ronchi.write(fourd.make(np.zeros((2, 3, 4, 4), np.float32)), path)
    assert sniff.confidence(path) == 0
    assert choose_reader(path, get_manager(), []) == "native"


def test_a_netcdf_file_with_its_schema_far_behind_is_still_ronchis(tmp_path):
    path = tmp_path / "own.nc"
    ronchi.write(images.make(np.zeros((2, 200, 200))), path)
    with h5py.File(path, "a") as file:
        file.attrs["a_long_text"] = "x" * 30_000
    assert sniff.confidence(path) == 0


def test_4d_numpy_arrays_are_left_to_the_reader_of_arrays(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((2, 2, 3, 3)))
    assert 0 < sniff.confidence(path) < NpyReader(NpyParams(path=str(path))).confidence(path)
    assert choose_reader(path, get_manager(), []) == "npy"


def test_what_cannot_be_read_is_not_claimed(real_data):
    for name in ("py4dstem/braggdisks_cali.h5", "jacobjma/test_data_1.npz", "rsciio/merlin/Merlin_Single_Quad.zip"):
        assert sniff.confidence(real_data / name) == 0, name


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    data=st.binary(max_size=600),
    magic=st.sampled_from([b"", b"II*\x00", b"MQ1,", b"IMGBLO", b"PK\x03\x04", b"\0\0\0\3"]),
)
def test_any_bytes_are_taken(data: bytes, magic: bytes, tmp_path):
    path = tmp_path / "any"
    path.write_bytes(magic + data)
    assert 0 <= sniff.confidence(path) <= 1


def test_what_is_not_there_is_not_claimed(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    for name in ("absent", "empty", "folder"):
        assert sniff.confidence(tmp_path / name) == 0


def test_every_layout_of_hdf5_has_a_format(real_data):
    layouts = {examine(path).layout for path in real_data.rglob("*.h*5")}
    assert {"hspy", "emd", "py4dstem", "hdf5"} <= layouts - {""} <= set(FORMATS)


def test_topspin_and_arina_are_told_by_their_groups(tmp_path):
    with h5py.File(tmp_path / "t", "w") as file:
        file.create_group("18d9446f-22bf-4fb1-8d13-338174e75d20")
        file["Metadata"] = b"<xml/>"
    with h5py.File(tmp_path / "a", "w") as file:
        file["entry/data/data_000001"] = np.zeros((4, 2, 2))
    assert (sniff.identify(tmp_path / "t"), sniff.identify(tmp_path / "a")) == (FORMATS["topspin"], FORMATS["arina"])


@pytest.fixture
def hdf5_file(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((5, 4, 4))
    return path


def test_the_examiner_outlives_what_hangs(hdf5_file, monkeypatch):
    """A file that the library never finishes costs the time limit, and the next one is examined again."""
    first, slow = hdf5_file.with_name("first.h5"), hdf5_file.with_name("slow.h5")
    for copy in (first, slow):
        copy.write_bytes(hdf5_file.read_bytes())
    assert probe(first).layout == "hdf5"
    process = probe_module._examiner._process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    monkeypatch.setattr(probe_module, "LIMIT_S", 0.2)
    assert "takes more than 0.2 s: its structure is damaged" in probe(slow).fault
    assert process.poll() is not None
    monkeypatch.setattr(probe_module, "LIMIT_S", 60.0)
    found = probe(hdf5_file)
    assert (found.layout, found.fault) == ("hdf5", "")
    assert found.promised_bytes == 5 * 4 * 4 * 8


def test_the_examiner_is_replaced_when_it_dies(hdf5_file):
    assert probe(hdf5_file).layout == "hdf5"
    process = probe_module._examiner._process
    assert process is not None
    process.kill()
    process.wait()
    again = hdf5_file.with_name("again.h5")
    again.write_bytes(hdf5_file.read_bytes())
    assert probe(again).layout == "hdf5"


def test_a_file_that_changes_is_examined_again(hdf5_file):
    assert probe(hdf5_file).layout == "hdf5"
    with h5py.File(hdf5_file, "a") as file:
        file.attrs["file_format"] = "HyperSpy"
        file.create_group("Experiments")
    assert probe(hdf5_file).layout == "hspy"

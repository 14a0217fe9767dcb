"""Laziness: what is read when, in which process, and what a fault then says."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import ronchi
from ronchi.blocks import iter_regions
from ronchi.errors import ReadError
from ronchi_rosettasciio.formats import FORMATS
from ronchi_rosettasciio.hdf5 import read_datasets

MERLIN = "rsciio/merlin/001_4x2_6bit.mib"


@pytest.mark.parametrize("name", [MERLIN, "nordtem/SPED_Ag_labels_sum_signal.hspy", "rsciio/emd/Si100_4D.emd"])
def test_lazy_data_travel_as_a_file_name(name: str, real_data, open_file):
    ds = open_file(real_data / name)
    packed = pickle.dumps(ds)
    assert len(packed) < 100_000
    np.testing.assert_array_equal(pickle.loads(packed)["intensity"].values, ds["intensity"].values)


def test_a_fault_at_reading_time_names_the_file(real_data, tmp_path, open_file):
    path = tmp_path / "a.mib"
    path.write_bytes((real_data / MERLIN).read_bytes())
    ds = open_file(path, scan_shape=(2, 4))
    with path.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(ReadError) as fault:
        for _ in iter_regions(ds["intensity"]):
            pass
    assert "a.mib" in fault.value.where
    assert fault.value.fix


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("rsciio/pantarhei/panta_rhei_sample.prz", 100),
        ("rsciio/pantarhei/panta_rhei_sample.prz", 15_487),
        ("rsciio/mrc_de/20241021_00405_movie.mrc", 300),
        ("rsciio/mrc_de/20241021_00405_movie.mrc", 3071),
        ("rsciio/dm/test_diffraction_pattern.dm3", 60),
        ("rsciio/dm/test_diffraction_pattern.dm3", 100_000),
    ],
)
def test_a_file_that_is_cut_off_is_told_so(name: str, size: int, real_data, tmp_path):
    path = tmp_path / Path(name).name
    path.write_bytes((real_data / name).read_bytes()[:size])
    with pytest.raises(ReadError, match=f"the file is cut off.*{size} bytes"):
        ronchi.read(path)


def test_a_chunk_that_cannot_be_decompressed_names_the_file(tmp_path, open_file):
    path = tmp_path / "a.h5"
    data = np.random.default_rng(0).integers(0, 9, (64, 64, 64)).astype(np.uint16)
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=data, chunks=(8, 64, 64), compression="gzip")
        offset = file["data"].id.get_chunk_info(3).byte_offset
    ds = open_file(path)
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(200))
    with pytest.raises(ReadError) as fault:
        _ = ds["intensity"].values
    assert "a.h5" in fault.value.where


@pytest.mark.parametrize(("chunks", "most"), [((40, 30, 1, 1), 4), ((1, 1, 24, 20), 1200), ((8, 6, 3, 4), 25)])
def test_chunks_of_single_detector_pixels_are_read_many_at_a_time(chunks: tuple, most: int, tmp_path):
    """Each task of dask takes 0.7 ms; those of whole patterns stay apart, so that any scan can be made of them."""
    values = np.arange(40 * 30 * 24 * 20, dtype="u4").reshape(40, 30, 24, 20)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("d", data=values, chunks=chunks)
    (signal,) = read_datasets(tmp_path / "a.h5")
    assert signal.data.npartitions <= most
    assert signal.data.chunksize[:2] == chunks[:2]
    np.testing.assert_array_equal(signal.data[3:9], values[3:9])


@pytest.mark.parametrize("block_mb", [0.05, 0.5, 12])
def test_blocks_hold_whole_patterns(block_mb: float, real_data, open_file):
    ds = open_file(real_data / MERLIN, block_mb=block_mb)
    rows, columns, qy, qx = ds["intensity"].chunks
    assert (qy, qx) == ((256,), (256,))
    most = max(rows) * max(columns) * 256 * 256
    assert most <= max(block_mb * 2**20, 256 * 256)


def test_patterns_go_through_a_pipeline_in_other_processes(real_data, tmp_path):
    """The whole way: the reader is chosen by the file's content, and workers read it by themselves."""
    pipeline = {
        "schema": "ronchi.pipeline/1",
        "name": "sed",
        "run": {"executor": "process", "workers": 2, "block": 2},
        "steps": {
            "load": {"reader": "auto", "params": {"path": str(real_data / "rsciio/blockfile/test1.blo")}},
            "disks": {"disk_detector": "crosscorr", "data": "load", "params": {"probe_radius_px": 3.0}},
        },
        "outputs": {"peaks": {"from": "disks", "path": "peaks.nc"}},
    }
    result = ronchi.run(pipeline, out=tmp_path)
    assert result.ok, result
    peaks = ronchi.read(tmp_path / "peaks.nc")
    assert peaks["n_peaks"].size == 6


def sparse(kind: str, folder: Path, size: int, real_data: Path) -> tuple[Path, dict]:
    """A file of ``size`` bytes with a true header, of which next to nothing is on the disk."""
    if kind == "mib":
        path, head = folder / "a.mib", (real_data / MERLIN).read_bytes()[:384]
        frames = size // (384 + 256 * 256)
        path.write_bytes(head)
        os.truncate(path, frames * (384 + 256 * 256))
        return path, {"scan_shape": [1, frames]}
    if kind == "npy":
        path = folder / "a.npy"
        frames = size // (256 * 256 * 2)
        np.lib.format.open_memmap(path, "w+", np.uint16, (frames // 256, 256, 256, 256)).flush()
        return path, {}
    if kind == "hspy":
        path = folder / "a.hspy"
        with h5py.File(path, "w") as file:
            file.attrs.update({"file_format": "HyperSpy", "file_format_version": "3.3"})
            group = file.create_group("Experiments/scan")
            shape = (size // (256 * 256 * 256 * 2), 256, 256, 256)
            group.create_dataset("data", shape, "u2", chunks=(1, 8, 256, 256))
            group["data"][-1, -1] = 1
            for i, n in enumerate(shape):
                axis = {"name": "yx"[i % 2], "size": n, "scale": 1.0, "offset": 0.0, "units": "nm" if i < 2 else "1/nm"}
                group.create_group(f"axis-{i}").attrs.update({**axis, "navigate": i < 2, "_type": "UniformDataAxis"})
            for name in ("metadata/Signal", "original_metadata", "learning_results"):
                group.create_group(name)
            group["metadata/Signal"].attrs["signal_type"] = "electron_diffraction"
        os.truncate(path, size)
        return path, {}
    header = np.zeros(1, [("head", "V20"), ("side", "<u2"), ("r", "<u2"), ("columns", "<u2"), ("rows", "<u2")])
    raw = bytearray(0x1000)
    raw[:6], raw[8:16] = b"IMGBLO", np.array([0x1000, 0x20000], "<u4").tobytes()
    assert header.itemsize == 28
    columns, rows = 600, size // (600 * (144 * 144 + 6))
    raw[20:22], raw[24:28] = np.array([144], "<u2").tobytes(), np.array([columns, rows], "<u2").tobytes()
    path = folder / "a.blo"
    path.write_bytes(raw)
    os.truncate(path, 0x20000 + columns * rows * (144 * 144 + 6))
    return path, {}


MEASURE = """
import json, sys, time
from ronchi.pipeline.resources import peak_rss_mb
from ronchi_rosettasciio.params import RosettaParams
from ronchi_rosettasciio.reader import RosettaReader
def open_and_read(path, **params):
    start = time.perf_counter()
    intensity = RosettaReader(RosettaParams(path=path, **params)).open(path)["intensity"]
    opened = time.perf_counter() - start
    intensity[(-1,) * (intensity.ndim - 2)].values
    return opened, intensity.nbytes
small, path, params = sys.argv[1:]
open_and_read(small)
imports_mb = peak_rss_mb()
seconds, nbytes = open_and_read(path, **json.loads(params))
print(json.dumps([seconds, peak_rss_mb(), peak_rss_mb() - imports_mb, nbytes]))
"""
"""A small file of the format first: what is imported and started then is not the cost of a large one."""

SMALL = {
    "mib": MERLIN,
    "npy": "scilink/MoS2_stem_Exp-000-2.npy",
    "hspy": "nordtem/SPED_Ag_labels_sum_signal.hspy",
    "blo": "rsciio/blockfile/test2.blo",
}


@pytest.mark.alone
@pytest.mark.parametrize("kind", SMALL)
def test_20_gb_open_at_once(kind: str, tmp_path, real_data):
    """Under 1 s and 200 MB, with the last pattern read."""
    path, params = sparse(kind, tmp_path, 20 * 10**9, real_data)
    assert path.stat().st_size > 19 * 10**9
    command = [sys.executable, "-c", MEASURE, str(real_data / SMALL[kind]), str(path), json.dumps(params)]
    seconds = peak_mb = more_mb = np.inf
    # The best of three: others may be using the machine.
    for _ in range(3):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        seconds, peak_mb, more_mb, nbytes = json.loads(done.stdout)
        assert nbytes > 19 * 10**9
        if seconds < 1 and peak_mb < 200:
            break
    print(f"{kind}: {seconds:.2f} s, {peak_mb:.0f} MB in all, {more_mb:.0f} MB more than a small file")
    assert seconds < 1
    assert peak_mb < 200


def test_a_file_that_must_be_read_as_a_whole_and_does_not_fit_is_refused(real_data, open_file, monkeypatch):
    from ronchi_rosettasciio import guards

    assert not FORMATS["tiff"].lazy
    monkeypatch.setattr(guards, "_available_bytes", lambda: 1000)
    with pytest.raises(ReadError, match="only be read as a whole"):
        open_file(real_data / "pyxem-demos/moo3_20cm.tif")

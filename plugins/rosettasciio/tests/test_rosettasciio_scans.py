"""The shape of the scan: from headers, pauses, whole rows, or the user."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from ronchi.errors import ReadError

MERLIN = "rsciio/merlin/001_4x2_6bit.mib"


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


def test_a_merlin_scan_has_the_shape_of_its_header(real_data, open_file, tmp_path):
    ds = open_file(real_data / MERLIN)
    assert ds["intensity"].shape == (2, 4, 256, 256)
    given = open_file(real_data / MERLIN, scan_shape=(4, 2))
    np.testing.assert_array_equal(
        given["intensity"].values.reshape(8, 256, 256), ds["intensity"].values.reshape(8, 256, 256)
    )
    with pytest.raises(ReadError, match=r"does not fit 8 patterns"):
        open_file(real_data / MERLIN, scan_shape=(3, 3))


def test_an_interrupted_merlin_scan_keeps_its_whole_rows(real_data, open_file, tmp_path):
    name = "003_merlin_test_roi_sig256x64_nav4x2_hot_pixel_52x_39y"
    shutil.copy(real_data / f"rsciio/merlin/{name}.hdr", tmp_path / "a.hdr")
    frame = 384 + 64 * 256 * 2
    (tmp_path / "a.mib").write_bytes((real_data / f"rsciio/merlin/{name}.mib").read_bytes()[: 7 * frame + 100])
    ds = open_file(tmp_path / "a.mib")
    assert ds["intensity"].shape == (1, 4, 64, 256)
    assert "1 of 2 rows" in ds.attrs["notes"]


@pytest.mark.parametrize(
    ("changes", "shape", "told"),
    [
        # Each pattern has a trigger of its own.
        ({"Frames per Trigger (Number):\t4": "Frames per Trigger (Number):\t1"}, (2, 4), "2 rows of 4 patterns"),
        # The trigger says how the camera was read, the scan how the beam went.
        ({"ScanX:\t4": "ScanX:\t2", "ScanY:\t2": "ScanY:\t4"}, (4, 2), "4 rows of 2 patterns, by ScanY and ScanX"),
        ({"ScanX:\t4": "ScanX:\t3"}, (2, 4), "ScanX 3 and ScanY 2 of the header are not those of 8 patterns"),
        ({"ScanX:\t4": "ScanX:\t0"}, (2, 4), None),
        # What the trigger says too is nothing to be told.
        ({}, (2, 4), None),
    ],
)
def test_the_scan_of_newer_headers_counts_where_it_fits(real_data, open_file, tmp_path, changes, shape, told):
    name = "003_merlin_test_roi_sig256x64_nav4x2_hot_pixel_52x_39y"
    shutil.copy(real_data / f"rsciio/merlin/{name}.mib", tmp_path / "a.mib")
    header = (real_data / f"rsciio/merlin/{name}.hdr").read_text()
    for old, new in changes.items():
        assert old in header
        header = header.replace(old, new)
    (tmp_path / "a.hdr").write_text(header)
    ds = open_file(tmp_path / "a.mib")
    assert ds["intensity"].shape == (*shape, 64, 256)
    assert (told or "") in ds.attrs.get("notes", "")
    assert ("Scan" in ds.attrs.get("notes", "")) == (told is not None)


@pytest.fixture
def warned(caplog):
    """Warnings so far."""
    return lambda: [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_merlin_file_that_is_cut_off_is_read_as_far_as_it_goes_with_a_warning(real_data, open_file, tmp_path, warned):
    """In a pattern, between patterns, and without a header that tells how many there should be."""
    path = tmp_path / "t.mib"
    frame = 384 + 256 * 256
    shutil.copy((real_data / MERLIN).with_suffix(".hdr"), tmp_path / "t.hdr")
    path.write_bytes((real_data / MERLIN).read_bytes()[:300_000])
    ds = open_file(path)
    # The stamps of four patterns are 102 ms apart, but for 10 ns by which they are rounded: no pause among them.
    assert ds["intensity"].shape == (1, 4, 256, 256)
    assert "pauses" not in ds.attrs["notes"]
    both = f"4 patterns are there, t.hdr promises 8; {300_000 - 4 * frame} of the {frame} bytes of a further one"
    assert ds.attrs["notes"].startswith(both)
    (warning,) = warned()
    assert warning.startswith(f"t.mib: {both}")
    assert "copy the file again" in warning
    path.write_bytes(path.read_bytes()[: 4 * frame])
    assert open_file(path).attrs["notes"].startswith("4 patterns are there, t.hdr promises 8; copy")
    path.write_bytes(path.read_bytes() + bytes(10))
    (tmp_path / "t.hdr").unlink()
    assert open_file(path, scan_shape=(2, 2)).attrs["notes"].startswith(f"10 of the {frame} bytes")
    assert len(warned()) == 3


def test_a_whole_merlin_file_is_not_warned_of(real_data, open_file, warned):
    for path in (real_data / "rsciio/merlin").glob("*.mib"):
        open_file(path)
    assert warned() == []


def test_patterns_behind_the_scan_are_said_to_be_left_out(real_data, open_file, tmp_path, warned):
    name = "003_merlin_test_roi_sig256x64_nav4x2_hot_pixel_52x_39y"
    shutil.copy(real_data / f"rsciio/merlin/{name}.hdr", tmp_path / "a.hdr")
    whole = (real_data / f"rsciio/merlin/{name}.mib").read_bytes()
    (tmp_path / "a.mib").write_bytes(whole + whole[: 384 + 64 * 256 * 2])
    ds = open_file(tmp_path / "a.mib")
    assert ds["intensity"].shape == (2, 4, 64, 256)
    assert "of 9 patterns only the first 8" in ds.attrs["notes"]
    assert warned() == ["a.mib: 9 patterns are there, a.hdr promises 8"]


def test_pauses_are_rows_only_where_they_come_evenly(real_data, open_file, tmp_path):
    assert "by the pauses" in open_file(real_data / MERLIN).attrs["notes"]
    frame = 384 + 256 * 256
    (tmp_path / "a.mib").write_bytes((real_data / MERLIN).read_bytes()[: 7 * frame])
    ds = open_file(tmp_path / "a.mib")
    assert ds["intensity"].shape == (1, 7, 256, 256)
    assert "`scan_shape`" in ds.attrs["notes"]


def merlin(path: Path, waits_us: np.ndarray) -> Path:
    """A Merlin file of 2 x 2 pixels whose patterns are so many microseconds apart."""
    head = "MQ1,{:06d},00384,01,0002,0002,U08,   1x1,01,,0.001,0,0,0,{}Z,1000000ns,0,"
    times = np.datetime64("2026-01-01T00:00:00.000000000") + np.round(np.cumsum([0, *waits_us]) * 1e3).astype("m8[ns]")
    path.write_bytes(b"".join(head.format(i, time).ljust(384).encode() + bytes(4) for i, time in enumerate(times)))
    return path


@pytest.mark.parametrize(("columns", "pause_us"), [(2, 50), (6, 50), (6, 5_000_000), (24, 50)])
def test_pauses_that_stand_out_of_the_scatter_are_rows(columns, pause_us, tmp_path, open_file):
    # Waits of 1 ms that scatter by 2 us; seed 0.
    waits = np.random.default_rng(0).normal(1000, 2, 10 * columns - 1)
    waits[columns - 1 :: columns] += pause_us
    assert open_file(merlin(tmp_path / "a.mib", waits))["intensity"].shape == (10, columns, 2, 2)


@pytest.mark.parametrize(("n", "shape"), [(41, (3, 12)), (25, (2, 12)), (23, (1, 23)), (13, (1, 13))])
def test_rows_by_pauses_of_a_scan_that_was_stopped_within_one(n, shape, tmp_path, open_file):
    """One pause, which is no sign of rows by itself, or more than one."""
    waits = np.random.default_rng(0).normal(1000, 2, n - 1)
    waits[11::12] += 50
    ds = open_file(merlin(tmp_path / "a.mib", waits))
    assert ds["intensity"].shape[:2] == shape
    assert (f"of {n} patterns only the first {shape[0] * shape[1]}" in ds.attrs["notes"]) == (shape[0] > 1)


@pytest.mark.parametrize("scatter_us", [0.004, 2.0, 100.0])
def test_waits_that_only_scatter_are_no_pauses(scatter_us, tmp_path, open_file):
    """However few they are: among three waits one is always the longest."""
    rng = np.random.default_rng(0)  # seed 0; one file in a thousand may look like two rows
    for n in (2, 4, 6, 8) * 25:
        waits = 1000 + scatter_us * rng.uniform(-1, 1, n - 1)
        assert open_file(merlin(tmp_path / "a.mib", waits))["intensity"].shape == (1, n, 2, 2), waits


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

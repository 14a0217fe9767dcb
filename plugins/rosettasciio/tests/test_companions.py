"""The other files of an acquisition: found, counted, and a change of one is a change of the data."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import ronchi
from ronchi.api import ReadError
from ronchi_rosettasciio.companions import companions
from ronchi_rosettasciio.formats import FORMATS
from ronchi_rosettasciio.params import RosettaParams
from ronchi_rosettasciio.reader import RosettaReader

MERLIN = "rsciio/merlin/002_merlin_test_roi_sig256x128_nav4x2_hot_pixel_52x_39y"
TIA = "hyperspy17/tia/16x16-diffraction_imagel_5x5x256x256_EDS"
MOVIE = "rsciio/mrc_de/20241021_00405_movie"


def of(path: Path) -> list[str]:
    return [file.name for file in RosettaReader(RosettaParams(path=str(path))).companions(path)]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (f"{MERLIN}.mib", [f"{MERLIN}.hdr"]),
        (f"{TIA}.emi", [f"{TIA}_1.ser", f"{TIA}_2.ser"]),
        (f"{TIA}_2.ser", []),
        (f"{MOVIE}.mrc", ["rsciio/mrc_de/20241021_00405_info.txt"]),
        ("rsciio/empad/map4x4.xml", ["rsciio/empad/scan_x4_y4.raw"]),
        ("rsciio/blockfile/test1.blo", []),
        ("nordtem/SPED_Ag_labels.hspy", []),
    ],
)
def test_files_of_one_acquisition(name: str, wanted: list[str], real_data: Path) -> None:
    assert of(real_data / name) == [Path(each).name for each in wanted]


def test_series_of_numbered_files_and_links(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    for name in ("a_000.tvips", "a_001.tvips", "a_002.tvips", "b_001.tvips", "a_1.tvips"):
        (tmp_path / name).write_bytes(b"")
    first = companions(tmp_path / "a_000.tvips", FORMATS["tvips"])
    assert [file.name for file in first] == ["a_001.tvips", "a_002.tvips"]
    with h5py.File(tmp_path / "s_master.h5", "w") as file:
        for number in (1, 2):
            file[f"entry/data/data_{number}"] = h5py.ExternalLink(f"s_data_{number}.h5", "/entry/data/data")
    for name in ("s.h5", "s_data_1.h5", "s_data_9.h5"):
        (tmp_path / name).write_bytes(b"")
    assert [file.name for file in companions(tmp_path / "s_master.h5", FORMATS["arina"])] == ["s.h5", "s_data_1.h5"]


@pytest.mark.parametrize("name", [f"{MERLIN}.mib", f"{TIA}.emi", f"{MOVIE}.mrc", "rsciio/empad/map4x4.xml"])
def test_a_link_is_read_with_the_files_that_lie_beside_what_it_leads_to(
    name: str, real_data: Path, tmp_path: Path, open_file
) -> None:
    link = tmp_path / f"link{Path(name).suffix}"
    link.symlink_to(real_data / name)
    whole = open_file(real_data / name)
    assert open_file(link).attrs == whole.attrs
    assert open_file(link).sizes == whole.sizes
    assert of(link) == of(real_data / name)
    # A data manager's links lie together, and what they lead to does not.
    store = tmp_path / "store"
    store.mkdir()
    for number, file in enumerate([real_data / name, *companions(real_data / name, FORMATS[whole.source_format])]):
        (tmp_path / file.name).symlink_to(shutil.copyfile(file, store / f"{number}{file.suffix}"))
    assert open_file(tmp_path / Path(name).name).sizes == whole.sizes


def virtual_scan(folder: Path, shape: tuple[int, ...]) -> Path:
    """Rows of a scan in a file each, and one that joins them, as synchrotrons' detectors write."""
    h5py = pytest.importorskip("h5py")
    layout = h5py.VirtualLayout(shape, "u1")
    for row in range(shape[0]):
        with h5py.File(folder / f"row{row}.h5", "w") as file:
            file.create_dataset("data", shape[1:], "u1")[-1, -1] = row + 1
        layout[row] = h5py.VirtualSource(f"row{row}.h5", "data", shape[1:])
    with h5py.File(folder / "scan.h5", "w") as file:
        file.create_virtual_dataset("scan/frames", layout)
    return folder / "scan.h5"


def test_a_virtual_data_set_is_as_long_as_its_files(tmp_path: Path, open_file) -> None:
    """512 MB in sparse files, joined by one of some kB, which would be taken for one that is cut off."""
    path = virtual_scan(tmp_path, (2, 256, 1024, 1024))
    assert of(path) == ["row0.h5", "row1.h5"]
    back = open_file(path)
    assert back.attrs["is_lazy"] == 1
    assert back["intensity"].shape == (2, 256, 1024, 1024)
    np.testing.assert_array_equal(back["intensity"][:, -1, -1, -1], [1, 2])
    # Files of a few kB cannot hold that.
    for row in range(2):
        (tmp_path / f"row{row}.h5").write_bytes(b"")
    with pytest.raises(ReadError, match="cut off"):
        open_file(path)


def test_files_of_a_virtual_data_set_that_are_missing_are_named(tmp_path: Path, open_file, caplog) -> None:
    path = virtual_scan(tmp_path, (3, 2, 8, 8))
    open_file(path)
    assert not caplog.records
    (tmp_path / "row1.h5").unlink()
    back = open_file(path)
    assert "missing beside the file, which leads to them: row1.h5; zeros stand" in caplog.text
    assert "row1.h5" in back.attrs["notes"]
    assert of(path) == ["row0.h5", "row2.h5"]


@pytest.mark.parametrize("content", [b"", b"<root><raw_file", b"MQ1,", b"JK\x00\x02"])
def test_damaged_files_have_none_and_raise_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(content)
    assert of(tmp_path / "a.xml") == []
    assert of(tmp_path / "absent") == []


def test_a_neighbour_of_like_name_does_not_make_a_file_longer(real_data: Path, tmp_path: Path, open_file) -> None:
    """What a header promises is compared with the files that are read, not with all that begin alike."""
    content = (real_data / "rsciio/blockfile/test1.blo").read_bytes()
    (tmp_path / "a.blo").write_bytes(content[:100_000])
    (tmp_path / "a-copy.blo").write_bytes(content)
    with pytest.raises(ReadError, match="cut off"):
        open_file(tmp_path / "a.blo")


def test_frames_beside_a_header_make_results_again(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EMPAD: the .xml stays as it is, the .raw that it names changes."""
    monkeypatch.chdir(tmp_path)  # a cache of its own: an earlier run of this test left equal data in the usual one
    for name in ("map4x4.xml", "scan_x4_y4.raw"):
        shutil.copyfile(real_data / "rsciio/empad" / name, tmp_path / name)
    config = {
        "schema": "ronchi.pipeline/1",
        "steps": {
            "load": {"reader": "auto", "params": {"path": str(tmp_path / "map4x4.xml")}},
            "maps": {"transform": "virtual-image", "data": "load", "params": {"radius": 9}},
        },
        "outputs": {"maps": {"from": "maps", "path": "maps.nc"}},
    }
    options = {"out": tmp_path / "out", "progress": False}
    ronchi.run(config, **options)
    raw = np.fromfile(tmp_path / "scan_x4_y4.raw", "<f4")
    (raw + 1).tofile(tmp_path / "scan_x4_y4.raw")
    second = ronchi.run(config, **options)
    assert second.steps["maps"].status == "done"
    assert second.steps["maps"].reason == "the input 'data' changed"
    assert ronchi.run(config, **options).steps["maps"].status == "cached"

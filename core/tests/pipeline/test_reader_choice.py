"""A file that no reader knows: what is said leads to data."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from ronchi.cli.main import main
from ronchi.errors import ConfigError, PluginError
from ronchi.manager import Manager, get_manager
from ronchi.pipeline.reader_choice import choose_reader
from ronchi.pipeline.run import check_pipeline


@pytest.fixture
def frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of 4 x 6 bare frames of 8 x 5 pixels, in the current folder."""
    monkeypatch.chdir(tmp_path)
    np.arange(4 * 6 * 8 * 5, dtype="<u2").tofile("my scan.raw")
    return Path("my scan.raw")


def test_the_command_for_bare_frames_is_one_that_works(frames: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", str(frames)]) == 1
    said = capsys.readouterr().err
    assert "no reader knows the file 'my scan.raw' of 1920 bytes (asked:" in said
    command = re.search(r"`ronchi (read .*?)`", said)
    assert command is not None
    filled = command[1].replace("[ROWS, COLUMNS]", "[4, 6]", 1).replace("[ROWS, COLUMNS]", "[8, 5]")
    assert main(shlex.split(filled)) == 0
    shown = capsys.readouterr()
    assert "qx: 5" in shown.out
    assert shown.err == ""


def test_what_the_reader_of_bare_frames_needs_is_named(frames: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", str(frames), "--reader", "raw"]) == 2
    said = capsys.readouterr().err
    for name in ("scan_shape", "frame_shape", "dtype"):
        assert f"reader raw: {name}: is missing" in said
    assert "got" not in said
    load = {"reader": "raw", "params": {"path": str(frames), "dtype": "uint16", "frame_shape": [8, 5]}}
    with pytest.raises(ConfigError, match=r"load\.params\.scan_shape: is missing\n  -> Rows and columns of the scan"):
        check_pipeline({"schema": "ronchi.pipeline/1", "steps": {"load": load}}, manager=get_manager())


@pytest.mark.parametrize(("name", "says"), [("it.npz", "numpy.load(FILE)[NAME]"), ("it.zip", "unpack it")])
def test_an_archive_is_not_taken_for_frames(tmp_path: Path, name: str, says: str) -> None:
    with (tmp_path / name).open("wb") as file:
        np.savez(file, scan=np.ones((4, 8)))
    with pytest.raises(PluginError) as caught:
        choose_reader(tmp_path / name, get_manager(), [])
    assert says in caught.value.fix
    assert "raw" not in caught.value.fix


def test_text_is_not_taken_for_frames(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("sample 3\n")
    with pytest.raises(PluginError) as caught:
        choose_reader(tmp_path / "notes.txt", get_manager(), [])
    assert "--reader raw" not in caught.value.fix


@pytest.mark.parametrize(
    ("text", "sure", "found"),
    [
        ('<raw_file filename="scan.raw"/>', 0.9, True),
        ('<raw_file filename="other.raw"/>', 0.9, False),
        ('<raw_file filename="scan.raw"/>', 0.0, False),
    ],
)
def test_a_header_beside_that_names_the_file_is_to_be_opened(
    text: str, sure: float, found: bool, toys: Manager, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a reader knows it: any program may write XML."""
    import toydist

    def confidence(self: object, path: Path) -> float:
        return sure if path.suffix == ".XML" else 0.0

    monkeypatch.setattr(toydist.Reader, "confidence", confidence)
    monkeypatch.setattr(toydist.OtherReader, "confidence", confidence)
    (folder / "scan.raw").write_bytes(bytes(64))
    (folder / "b.XML").write_text(text)
    with pytest.raises(PluginError) as caught:
        choose_reader(folder / "scan.raw", toys, [])
    assert ("open b.XML beside it" in caught.value.fix) == found


def test_a_header_leads_to_the_data_of_its_name(tmp_path: Path) -> None:
    header = tmp_path / "scan [1].hdr"
    header.write_text("HDR,\nFrames in Acquisition (Number):\t24\nEnd\t\n")
    (tmp_path / "scan [1].txt").write_text("notes")
    np.save(tmp_path / "other.npy", np.zeros((2, 3, 8, 8), np.uint16))
    with pytest.raises(PluginError) as caught:
        choose_reader(header, get_manager(), [])
    assert "beside it" not in caught.value.fix
    np.save(tmp_path / "scan [1].npy", np.zeros((2, 3, 8, 8), np.uint16))
    with pytest.raises(PluginError) as caught:
        choose_reader(header, get_manager(), [])
    assert caught.value.fix.startswith("open scan [1].npy beside it")

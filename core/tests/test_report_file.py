"""The report of a file by itself, as `ronchi report FILE` makes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import ronchi
from ronchi.cli.main import main
from ronchi.schema import images
from ronchi.testing.data import strain_map


@pytest.fixture
def report_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Text of the page that the command makes of a data set; the path is what it prints."""

    def make(data: xr.Dataset, *options: str) -> str:
        path = ronchi.write(data, tmp_path / "mine.nc")
        assert main(["report", str(path), *options]) == 0
        page = Path(capsys.readouterr().out.strip())
        assert page == tmp_path / "mine-report.html"
        return page.read_text(encoding="utf-8")

    return make


def figures(text: str) -> int:
    assert 'class="error"' not in text
    return len(re.findall("data:image/png", text))


def test_a_scan_shows_its_calibrations_and_what_is_missing_and_a_first_look(report_of: Callable[..., str]) -> None:
    scan = ronchi.simulate("disks", scan_shape=(2, 3), pattern_shape=(32, 32), radius_px=3).data
    del scan.attrs["scan_rotation_deg"]
    text = report_of(scan)
    assert figures(text) == 1
    missing = "rotation between scan and detector is not known"
    for told in ("fourd/1: 2 scan_y × 3 scan_x", "read by native", "beam energy", "virtual detectors", missing):
        assert told in text
    assert "Steps" not in text, "nothing was run"


def test_results_are_drawn_as_in_the_report_of_their_run(report_of: Callable[..., str]) -> None:
    text = report_of(strain_map())
    assert figures(text) >= 3
    assert "median standard error" in text
    assert "+0.0000" in text
    assert "-0.0000" not in text, "zero has no sign"


def test_figures_of_other_files_beside_it_stay(
    report_of: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    movie = images.make(np.ones((1, 8, 8), "f4"))
    report_of(movie, "--figures")
    kept = tmp_path / "figures" / "mine-frames.png"
    assert kept.exists()
    other = ronchi.write(movie, tmp_path / "other.nc")
    assert main(["report", str(other)]) == 0
    assert kept.exists()
    assert main(["report", str(other), "--figures"]) == 0
    assert {file.name for file in kept.parent.iterdir()} == {"mine-frames.png", "other-frames.png"}
    capsys.readouterr()
    report_of(movie)
    assert not kept.exists(), "its page has no such figures any more"


def test_of_a_movie_some_frames_are_drawn_and_read(report_of: Callable[..., str]) -> None:
    frames = np.random.default_rng(0).poisson(9, (20, 16, 24)).astype("f4")
    text = report_of(images.make(frames, step=(0.1, 0.1)), "--figures")
    assert figures(text) == 1
    assert "At most 6 frames" in text


def test_options_go_with_what_they_are_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    np.zeros((2, 3, 16, 16), "<u2").tofile("scan.raw")
    shape = ["--param", "scan_shape=[2, 3]", "--param", "frame_shape=[16, 16]", "--param", "dtype=uint16"]
    assert main(["report", "scan.raw", "--reader", "raw", *shape, "--path", "it.html"]) == 0
    assert "2 scan_y × 3 scan_x" in Path("it.html").read_text(encoding="utf-8")
    assert main(["report", "scan.raw", "--set", "load.params.path=x"]) == 2
    Path("it.yaml").write_text("schema: ronchi.pipeline/1\n")
    capsys.readouterr()
    assert main(["report", "it.yaml", "--reader", "raw"]) == 2
    assert "these are for data" in capsys.readouterr().err

"""Commands that read and write data: `read`, `convert`, `demo`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from ronchi.schema import images
from ronchi.writing import write

Run = Callable[..., tuple[int, str, str]]


def test_read(ronchi: Run, read_json: Callable[..., Any], folder: Path) -> None:
    code, out, _ = ronchi("read", "scan.nc")
    assert code == 0
    for line in ("schema: fourd/1", "scan_x: 6, step 10 angstrom", "beam energy [eV]: 200000\n", "not calibrated:"):
        assert line in out
    described = read_json("read", "scan.nc")
    assert described["schema"] == "fourd/1"
    assert set(described["side outputs"]) == {"truth", "truth_peaks", "truth_maps"}


def test_read_says_what_is_missing(ronchi: Run, folder: Path) -> None:
    code, _, err = ronchi("read", "none.nc")
    assert code == 1
    assert err.startswith("ronchi: ")
    assert "none.nc" in err
    assert "Traceback" not in err


def test_read_says_what_is_known_of_an_image(ronchi: Run, tmp_path: Path) -> None:
    image = images.make(np.ones((1, 4, 4)), step=(0.1, 0.1), beam_energy_eV=300e3)
    _, out, _ = ronchi("read", str(write(image, tmp_path / "image.nc")))
    assert "beam energy [eV]: 300000\n" in out
    assert "frame: 1\n" in out
    assert "not calibrated" not in out


def test_read_shows_numbers_without_the_rounding_errors_of_binary_ones(ronchi: Run, tmp_path: Path) -> None:
    movie = images.make(np.ones((3, 4, 4)), step=(0.1, 0.1), camera_length_m=0.1 + 0.2)
    _, out, _ = ronchi("read", str(write(movie, tmp_path / "movie.nc")))
    assert "camera length [m]: 0.3\n" in out
    assert "frame: 3, step 1, 0 to 2\n" in out, "a number of frames has no unit"


def test_read_names_the_reader_that_failed_in_an_unforeseen_way(
    ronchi: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise IndexError("list index out of range")

    monkeypatch.setattr("ronchi.builtin.native.open_native", broken)
    code, _, err = ronchi("read", "scan.nc")
    assert code == 1
    assert "IndexError: list index out of range, in the reader 'native' of ronchi " in err
    assert "scan.nc -> " in err


def test_read_of_the_current_folder_names_it(ronchi: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"'{tmp_path.name}' is a folder" in ronchi("read", ".")[2]


def test_read_of_a_pipeline_names_the_command_for_it(ronchi: Run, folder: Path) -> None:
    for command in ("read", "info"):
        code, _, err = ronchi(command, "small.yaml")
        assert code == 2
        assert "`ronchi validate small.yaml`" in err


def test_read_says_where_axes_begin_and_end_and_the_title(ronchi: Run, folder: Path) -> None:
    with xr.open_dataset("scan.nc") as ds:
        last = float(ds["scan_x"][-1])
        copy = ds.load().assign_attrs(title="a crystal", operator="R. Hooke")
    write(copy, Path("titled.nc"))
    out = ronchi("read", "titled.nc")[1]
    assert f", 0 to {last:g}\n" in out
    assert "title: a crystal" in out
    assert "operator: R. Hooke" in out


def test_convert(ronchi: Run, folder: Path) -> None:
    assert ronchi("convert", "scan.nc", "copy.nc")[:2] == (0, "copy.nc\n")
    code, _, err = ronchi("convert", "scan.nc", "copy.nc")
    assert code == 1
    assert "--overwrite" in err
    assert "convert" in ronchi("convert", "scan.nc", "copy.nc", "--overwrite")[2]
    assert ronchi("convert", "scan.nc", "copy.nc", "--overwrite", "--quiet") == (0, "copy.nc\n", "")
    assert ronchi("convert", "scan.nc", "x.nc", "--param", "block_mb")[0] == 2
    assert ronchi("convert", "scan.nc", "x.nc", "--param", "block_mbb=3")[0] == 2


def test_reader_parameters_are_parsed_as_in_a_pipeline(ronchi: Run, folder: Path) -> None:
    code, _, err = ronchi("convert", "scan.nc", "out.nc", "--param", "x=[1")
    assert code == 2
    assert err.startswith("ronchi: --param x=[1:")
    assert "not valid YAML" in err


def test_demo(ronchi: Run, folder: Path) -> None:
    assert ronchi("demo", "--save-data", "demo.nc")[:2] == (0, "demo.nc\n")
    assert xr.open_dataset("demo.nc").attrs["ronchi_schema"] == "fourd/1"
    assert ronchi("demo", "--save-data", "none/demo.nc")[0] == 1


def test_demo_leaves_the_data_of_others_alone(ronchi: Run, folder: Path) -> None:
    own = (folder / "scan.nc").read_bytes()
    assert ronchi("demo", "--save-data", "scan.nc") == (
        1, "", "ronchi: scan.nc: another file is there\n  -> choose another name, or remove it\n",
    )  # fmt: skip
    assert (folder / "scan.nc").read_bytes() == own
    assert [ronchi("demo", "--save-data", "demo.nc")[0] for _ in range(2)] == [0, 0]

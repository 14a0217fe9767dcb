"""Lines, lists of patterns, scans with holes and positions off the grid go from the file to the report like any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import ronchi
from ronchi.schema import peaks
from ronchi.verbs import apply, run

pytestmark = pytest.mark.slow

SIMULATED = {"pattern_shape": (64, 64), "radius_px": 4.0, "g1_px": (0.0, 14.0), "g2_px": (14.0, 0.0), "e_xx": 0.02}


def scan(rows: int, columns: int) -> xr.Dataset:
    """Patterns of which the right half is strained."""
    return apply("simulator", "disks", {**SIMULATED, "scan_shape": (rows, columns)}, {}, seed=1).data


def pipeline(path: Path, reader: str = "auto", **params: Any) -> dict[str, Any]:
    return {
        "schema": "ronchi.pipeline/1",
        "name": "irregular",
        "steps": {
            "load": {"reader": reader, "params": {"path": str(path), **params}},
            "images": {"transform": "overview", "data": "load"},
            "disks": {"disk_detector": "crosscorr", "data": "load"},
            "strain": {"strain_solver": "lattice", "peaks": "disks"},
        },
        "outputs": {
            "maps": {"from": "images", "path": "maps.nc"},
            "peaks": {"from": "disks", "path": "peaks.nc"},
            "strain": {"from": "strain", "path": "strain.nc"},
            "report": {"path": "report.html"},
        },
    }


def finished(config: dict[str, Any]) -> xr.Dataset:
    """Run to the report; give the strain."""
    result = run(config, progress=False)
    assert result.ok, [step.error for step in result.steps.values()]
    assert "<svg" in result.outputs["report"].read_text() or "<img" in result.outputs["report"].read_text()
    return result["strain"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("shape", "suffix"), [((1, 12), ".zarr"), ((12, 1), ".nc"), ((1, 1), ".nc"), ((1, 1), ".zarr")]
)
def test_lines_and_single_patterns(tmp_path: Path, shape: tuple[int, int], suffix: str) -> None:
    path = ronchi.write(scan(*shape), tmp_path / f"line{suffix}")
    strain = finished(pipeline(path))
    assert (strain.sizes["scan_y"], strain.sizes["scan_x"]) == shape
    assert strain["valid"].values.all()


def test_a_list_of_patterns_from_a_stack(tmp_path: Path) -> None:
    line = scan(1, 12)
    np.save(tmp_path / "stack.npy", line["intensity"].values[0])
    strain = finished(pipeline(tmp_path / "stack.npy", scan_shape=[1, 12]))
    assert strain.sizes["scan_x"] == 12
    assert strain["valid"].values.all()


def test_a_region_of_interest_keeps_its_place(tmp_path: Path) -> None:
    whole = scan(4, 12)
    part = whole.isel(scan_y=slice(1, 3), scan_x=slice(4, 10))
    strain = finished(pipeline(ronchi.write(part, tmp_path / "roi.nc")))
    np.testing.assert_array_equal(strain["scan_x"], whole["scan_x"][4:10])


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_positions_that_were_not_recorded_have_no_peaks_and_no_strain(tmp_path: Path, suffix: str) -> None:
    data = scan(4, 12)
    valid = np.ones((4, 12), "i1")
    valid[1, 3:6] = valid[3] = 0
    data = data.assign(valid=(("scan_y", "scan_x"), valid, {"units": "1", "long_name": "1 where recorded"}))
    # What lies there is not to be looked at: not even a number.
    lost = data["intensity"].where(data["valid"] == 1, 65535).astype(data["intensity"].dtype)
    data = data.assign(intensity=lost.assign_attrs(data["intensity"].attrs))
    strain = finished(pipeline(ronchi.write(data, tmp_path / f"holes{suffix}")))
    np.testing.assert_array_equal(strain["valid"].values == 1, valid == 1)
    assert np.isnan(strain["e_xx"].values[valid == 0]).all()
    assert abs(float(strain["e_xx"].values[valid == 1].mean())) < 0.03


def test_positions_off_the_grid_follow_the_data(tmp_path: Path) -> None:
    """A spiral, recorded as one line: where each pattern lies stands in two more coordinates."""
    line = scan(1, 12)
    turn = np.linspace(0, 6, 12)[None]
    place = {"units": "angstrom"}
    line = line.assign_coords(
        position_y=(("scan_y", "scan_x"), 10 * turn * np.sin(turn), {**place, "long_name": "position, y"}),
        position_x=(("scan_y", "scan_x"), 10 * turn * np.cos(turn), {**place, "long_name": "position, x"}),
    )
    for suffix in (".nc", ".zarr"):
        back = ronchi.read(ronchi.write(line, tmp_path / f"spiral{suffix}"))
        assert {"position_y", "position_x"} <= set(back.coords)
    strain = finished(pipeline(tmp_path / "spiral.nc"))
    found = ronchi.read(tmp_path / "irregular-out" / "peaks.nc")
    assert peaks.at(found, 0, 5).sizes["peak"] > 0
    for result in (found, strain):
        np.testing.assert_allclose(result["position_y"].values, line["position_y"].values)
        assert result["position_x"].attrs["units"] == "angstrom"

"""The verbs of a notebook give what a pipeline gives, and remember how."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

import ronchi
from ronchi import verbs
from ronchi.errors import ConfigError, PluginError, ReadError, RunError, SchemaError
from ronchi.manager import get_manager
from ronchi.schema import fourd

REFERENCE = {"scan_x": [0, 20]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a small scan that has its truth."""
    for kind, name in (("disk_detector", "crosscorr"), ("strain_solver", "lattice")):
        if name not in get_manager().names(kind):
            pytest.skip(f"the plugin ronchi-{name} is not installed: `pip install -e plugins/{name}` to run this test")
    monkeypatch.chdir(tmp_path)
    made = verbs.apply("simulator", "disks", {"scan_shape": (2, 6), "pattern_shape": (64, 64)}, {}, seed=2)
    verbs.write(made.data, "scan.nc", sides=made.sides)
    return tmp_path


def same(a: xr.Dataset, b: xr.Dataset) -> bool:
    return bool(a.drop_attrs().equals(b.drop_attrs()))


def test_algorithms_lists_kinds_and_refuses_unknown_ones() -> None:
    assert "crop" in ronchi.algorithms("transform")
    assert "transform/crop" in ronchi.algorithms()
    with pytest.raises(ConfigError, match="unknown kind 'transforms'"):
        ronchi.algorithms("transforms")


def test_reading_gives_data_and_sides(folder: Path) -> None:
    assert ronchi.read("scan.nc")["intensity"].chunks is not None, "patterns must stay on disk"
    assert ronchi.read("scan.nc", side="truth").attrs["is_truth"] == 1
    with pytest.raises(ConfigError, match=r"no side output 'trut' \(found: .*truth"):
        ronchi.read("scan.nc", side="trut")


def test_parameters_are_checked_as_in_the_yaml(folder: Path) -> None:
    data = ronchi.read("scan.nc")
    with pytest.raises(ConfigError, match="min_snr"):
        ronchi.detect(data, min_snrr=3)
    with pytest.raises(PluginError, match="crosscor"):
        ronchi.detect(data, "crosscor")


def test_inputs_are_checked(folder: Path) -> None:
    data = ronchi.read("scan.nc")
    with pytest.raises(SchemaError, match=r"takes peaks/1 as 'peaks', got fourd/1"):
        ronchi.strain(data)
    with pytest.raises(ConfigError, match="needs the input 'data'"):
        verbs.apply("transform", "crop", {}, {})
    with pytest.raises(ConfigError, match="no input 'dat'"):
        verbs.apply("transform", "crop", {}, {"dat": data})


def test_what_was_done_runs_as_a_pipeline_with_equal_arrays(folder: Path) -> None:
    data = ronchi.transform(ronchi.read("scan.nc"), "crop", scan_x=(0, 5))
    peaks = ronchi.detect(data, min_snr=8)
    strain = ronchi.strain(peaks, reference=REFERENCE)
    text = ronchi.to_yaml(strain, "again")
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "again.yaml").write_text(text)
    run = ronchi.run("elsewhere/again.yaml", progress=False)
    assert [(step.kind, step.name) for step in run.steps.values()] == [
        ("reader", "native"), ("transform", "crop"), ("disk_detector", "crosscorr"), ("strain_solver", "lattice"),
    ]  # fmt: skip
    assert same(run["disks"], peaks)
    assert same(run["strain"], strain)
    assert yaml.safe_load(text)["steps"]["disks"]["params"] == {"min_snr": 8.0}, "only what was set is written"


def test_a_side_output_and_its_main_result_share_one_read(folder: Path) -> None:
    strain = ronchi.strain(ronchi.detect(ronchi.read("scan.nc")), reference=REFERENCE)
    scored = verbs.apply("metric", "strain-rmse", {}, {"result": strain, "truth": ronchi.read("scan.nc", side="truth")})
    steps = yaml.safe_load(ronchi.to_yaml(scored.data))["steps"]
    assert list(steps) == ["load", "disks", "strain", "strain_rmse"]
    assert steps["strain_rmse"]["truth"] == "load.truth"


def test_a_side_output_can_be_the_end_of_the_pipeline(folder: Path) -> None:
    lattice = ronchi.strain(ronchi.detect(ronchi.read("scan.nc")), side="lattice", reference=REFERENCE)
    text = ronchi.to_yaml(lattice)
    assert yaml.safe_load(text)["outputs"]["strain"]["from"] == "strain.lattice"
    (folder / "side.yaml").write_text(text)
    run = ronchi.run("side.yaml", progress=False)
    assert same(xr.open_dataset(run.outputs["strain"]), lattice)


def test_random_numbers_are_those_of_the_pipeline(folder: Path) -> None:
    params = {"scan_shape": [1, 2], "pattern_shape": [32, 32], "radius_px": 3}
    made = verbs.apply("simulator", "disks", params, {}, seed=9).data
    config = yaml.safe_load(ronchi.to_yaml(made))
    assert config["seed"] == 9
    assert same(ronchi.run(config, progress=False)["simulate"], made)
    assert not same(verbs.apply("simulator", "disks", params, {}, seed=8).data, made)


def test_steps_with_different_seeds_are_no_pipeline(folder: Path) -> None:
    made = verbs.apply("simulator", "disks", {"scan_shape": [1, 2], "pattern_shape": [32, 32]}, {}, seed=9).data
    with pytest.raises(ConfigError, match=r"seeds \[0, 9\]"):
        ronchi.to_yaml(ronchi.transform(made, "crop", scan_x=(0, 1)))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.isel(scan_x=slice(0, 3)),
        lambda data: data.assign_attrs(scan_rotation_deg=12.0),
        lambda data: data.assign_coords(qx=data["qx"] * 2),
        lambda data: data.assign(intensity=data["intensity"] - data["intensity"].min()),
    ],
    ids=["part", "attribute", "coordinate", "values"],
)
def test_what_was_changed_outside_has_no_history(folder: Path, change) -> None:
    data = change(ronchi.read("scan.nc"))
    with pytest.raises(ConfigError, match="changed outside of ronchi"):
        ronchi.to_yaml(data)
    with pytest.raises(ConfigError, match="unknown"):
        ronchi.to_yaml(ronchi.transform(data, "crop", scan_x=(0, 2)))


def test_loading_into_memory_keeps_the_history(folder: Path) -> None:
    data = ronchi.read("scan.nc").load()
    assert "crop" in ronchi.to_yaml(ronchi.transform(data, "crop", scan_x=(0, 2)))


def test_data_in_memory_have_no_history(folder: Path) -> None:
    from ronchi.schema import fourd

    with pytest.raises(ConfigError, match="does not begin with a file"):
        ronchi.to_yaml(fourd.make(np.zeros((1, 1, 4, 4), "u2")))


def test_workers_change_nothing(folder: Path) -> None:
    data = ronchi.read("scan.nc")
    assert same(ronchi.detect(data, workers=2), ronchi.detect(data))


def test_first_look(folder: Path) -> None:
    data = ronchi.read("scan.nc")
    counts = data["intensity"].values.astype(float)
    # Sums of integers below 2**53 are exact in any order; the mean is one division of them.
    np.testing.assert_allclose(ronchi.mean_pattern(data), counts.mean((0, 1)), rtol=1e-12)
    np.testing.assert_array_equal(ronchi.overview(data)["sum"], counts.sum((2, 3)))
    everything = ronchi.virtual_image(data, "disk", radius=1000, units="px")
    np.testing.assert_array_equal(everything["virtual"], counts.sum((2, 3)))


def test_score_gives_plain_figures(folder: Path) -> None:
    truth = ronchi.read("scan.nc", side="truth_peaks")
    figures = ronchi.score(truth, truth, "peak-f1")
    assert figures["f1"] == 1
    assert all(type(value) is float for value in figures.values())


def test_convert_keeps_sides_and_drops_history(folder: Path) -> None:
    ronchi.convert("scan.nc", "copy.nc")
    assert same(ronchi.read("copy.nc", side="truth"), ronchi.read("scan.nc", side="truth"))
    stored = xr.open_dataset("copy.nc")
    assert "ronchi_history" not in stored.attrs
    np.testing.assert_array_equal(stored["intensity"], ronchi.read("scan.nc")["intensity"])


def test_public_names_are_sorted_and_all_there() -> None:
    assert list(ronchi.__all__) == sorted(ronchi.__all__)
    assert all(getattr(ronchi, name) is not None for name in ronchi.__all__)
    with pytest.raises(AttributeError, match="detekt"):
        _ = ronchi.detekt


def test_the_calls_in_the_docstrings_work(folder: Path) -> None:
    calls = [call for verb in vars(verbs).values() if inspect.isfunction(verb)
             for call in re.findall(r"e\.g\. ``(\w+\([^`]*\))``", verb.__doc__ or "")]  # fmt: skip
    assert 'transform(data, "bin", detector=2)' in calls
    for call in calls:
        eval(call, {**vars(verbs), "data": ronchi.read("scan.nc")})


def test_a_failed_run_raises_unless_told_otherwise(folder: Path) -> None:
    steps = {
        "load": {"reader": "native", "params": {"path": "scan.nc"}},
        "part": {"transform": "crop", "data": "load", "params": {"scan_x": [90, 99]}},
    }
    config = {"schema": "ronchi.pipeline/1", "steps": steps}
    with pytest.raises(RunError, match=r"the step 'part' failed: .*holds nothing"):
        ronchi.run(config, progress=False)
    failed = ronchi.run(config, progress=False, check=False)
    assert not failed.ok
    assert failed.steps["part"].status == "failed"


def test_a_path_in_place_of_data_is_told_how_to_be_opened(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"takes a data set as 'data', got the path 'scan.nc'\n  -> .*ronchi.read\("):
        ronchi.detect("scan.nc")
    with pytest.raises(ConfigError, match="got a DataArray\n  -> pass the whole"):
        ronchi.overview(ronchi.read("scan.nc")["intensity"])
    with pytest.raises(ReadError, match=r"no such file\n  -> .*relative ones start at /") as caught:
        ronchi.read("absent.nc")
    assert "pipeline" not in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_a_file_whose_name_is_no_text_is_to_be_renamed(folder: Path) -> None:
    (folder / "scan.nc").rename(folder / "sc\udce9n.nc")
    with pytest.raises(ReadError, match=r"no UTF-8: .*sc\?n\.nc\n  -> rename it"):
        ronchi.read("sc\udce9n.nc")


def test_what_is_passed_in_the_wrong_order_or_form_is_told_how_to_be_passed(folder: Path) -> None:
    data = fourd.make(np.ones((4, 5, 8, 8), np.uint16))
    with pytest.raises(ConfigError, match=r"name of a transform, got a Dataset(?s:.*)the data come first"):
        ronchi.transform("crop", data)  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match=r"dims(?s:.*)with the index in brackets: isel\(scan_x=\[3\]\)"):
        ronchi.transform(data.isel(scan_x=3), "bin")
    with pytest.raises(SchemaError, match=r"takes peaks/1(?s:.*)first make peaks/1, by .*disk_detector .*crosscorr"):
        ronchi.strain(data)


def test_what_could_not_be_read_again_is_not_written(folder: Path) -> None:
    scan = ronchi.read("scan.nc")
    with pytest.raises(SchemaError, match=r"part\.nc.*'intensity'"):
        ronchi.write(scan.drop_vars("intensity"), "part.nc")
    with pytest.raises(SchemaError, match="names no schema"):
        ronchi.write(xr.Dataset({"a": 1}), "part.nc")
    assert not Path("part.nc").exists()

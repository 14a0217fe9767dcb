"""What is written for py4DSTEM comes back the same; that py4DSTEM reads it is tested with py4DSTEM itself."""

from __future__ import annotations

import logging
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import ronchi
from ronchi.api import OutputError, SchemaError
from ronchi.schema import fourd, maps, peaks, strain
from ronchi.schema.common import variable
from ronchi.verbs import read_result
from ronchi.writing import write


def turned(ratio: float, angle: float) -> np.ndarray:
    """Distortion of determinant 1."""
    along = np.array([np.sin(angle), np.cos(angle)])
    return (np.eye(2) * np.sqrt(ratio) + (1 / np.sqrt(ratio) - np.sqrt(ratio)) * np.outer(along, along)).ravel()


@pytest.fixture
def cube() -> xr.Dataset:
    rng = np.random.default_rng(0)
    return fourd.make(
        rng.poisson(3, (5, 4, 10, 12)).astype("u2"), scan_step=(5.0, 5.0), q_step=(0.02, 0.02), centre_px=(4.7, 6.2),
        beam_energy_eV=200e3, semiangle_mrad=2.0, scan_rotation_deg=-17.0, camera_length_m=0.3,
        q_distortion=turned(1.02, 0.3), q_distortion_source="given by the user",
    )  # fmt: skip


@pytest.fixture
def found(cube) -> xr.Dataset:
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 5, 20)
    n = counts.sum()
    return peaks.make(
        counts=counts, qy=rng.normal(size=n), qx=rng.normal(size=n), intensity=rng.random(n), score=rng.random(n),
        var_yy=rng.random(n) + 1, var_yx=rng.random(n), var_xx=rng.random(n) + 2, flags=rng.integers(0, 9, n),
        disk_counts=np.where(rng.random(n) < 0.2, np.nan, 1e3),
        scan_shape=(5, 4), q_step=(0.02, 0.02), q_origin_px=(4.7, 6.2), q_shape=(10, 12), q_units="1/angstrom",
        scan_coords={dim: cube[dim].variable for dim in ("scan_y", "scan_x")},
        attrs={name: value for name, value in cube.attrs.items() if name != "ronchi_schema"},
    )  # fmt: skip


def some_strain(cube: xr.Dataset) -> xr.Dataset:
    rng = np.random.default_rng(2)
    parts = {name: rng.normal(0, 0.01, (5, 4)) for name in strain.COMPONENTS}
    for values in parts.values():
        values[1, 2] = np.nan
    return strain.make(
        parts, dict.fromkeys(parts, np.zeros((5, 4))), residual=np.zeros((5, 4)), n_used=np.ones((5, 4)),
        valid=np.isfinite(parts["e_xx"]), residual_units="pixel", frame="scan", reference="test",
        coords={dim: cube[dim].variable for dim in ("scan_y", "scan_x")},
    )  # fmt: skip


def same(one: xr.Dataset, other: xr.Dataset, names: list[str], rtol: float = 1e-12) -> None:
    for name in names:
        np.testing.assert_allclose(other[name], one[name], rtol=rtol, atol=1e-14, err_msg=name)
        assert other[name].attrs["units"] == one[name].attrs["units"], name


CALIBRATION = ["beam_energy_eV", "semiangle_mrad", "scan_rotation_deg", "camera_length_m", "q_distortion"]


def test_a_cube_with_all_that_belongs_to_it_comes_back(cube, found, tmp_path):
    over_scan, over_detector = (
        variable(dims, np.random.default_rng(3).random([cube.sizes[dim] for dim in dims]), "counts", "an image")
        for dims in (("scan_y", "scan_x"), ("qy", "qx"))
    )
    images = maps.make({"bright": over_scan, "mean": over_detector}, {dim: cube[dim] for dim in fourd.DIMS})
    sides = {"disks": found, "strain": some_strain(cube), "images": images}
    path = ronchi.write(cube, tmp_path / "cube.h5", sides=sides)
    back = read_result(path)
    np.testing.assert_array_equal(back.data["intensity"], cube["intensity"])
    assert back.data["intensity"].dtype == cube["intensity"].dtype
    same(cube, back.data, list(fourd.DIMS))
    for name in CALIBRATION:
        np.testing.assert_allclose(back.data.attrs[name], cube.attrs[name], rtol=1e-12)
    same(found, back.sides["disks"], ["qy", "qx", "scan_y", "scan_x"])
    same(found, back.sides["disks"], ["intensity", "score", "disk_counts", "var_yy", "var_yx", "var_xx"], rtol=1e-6)
    for name in ("n_peaks", "flags", "scan_y_index"):
        np.testing.assert_array_equal(back.sides["disks"][name], found[name])
    for name in strain.COMPONENTS:
        np.testing.assert_array_equal(back.sides["strain"][name], sides["strain"][name])
    for name in ("bright", "mean"):
        np.testing.assert_array_equal(back.sides["maps"][name], images[name])


def test_what_belongs_to_a_cube_comes_back_as_a_part_of_it(cube, tmp_path):
    rng = np.random.default_rng(4)
    whole = fourd.make(
        cube["intensity"].values, probe=rng.random((10, 12)), bad_pixel=rng.random((10, 12)) < 0.1,
        valid=rng.random((5, 4)) < 0.8,
    )  # fmt: skip
    whole["bad_pixel"].attrs["filled"] = 1
    # A side may have an image of the same name: it stays one of the maps.
    image = maps.make({"probe": whole["probe"].variable * 2}, {dim: whole[dim] for dim in ("qy", "qx")})
    back = read_result(ronchi.write(whole, tmp_path / "cube.h5", sides={"images": image}))
    same(whole, back.data, ["probe", "bad_pixel", "valid"])
    assert back.data["bad_pixel"].dtype == whole["bad_pixel"].dtype
    assert back.data["bad_pixel"].attrs["filled"] == 1
    assert list(back.sides) == ["maps"]
    assert list(back.sides["maps"]) == ["probe_"]
    np.testing.assert_array_equal(back.sides["maps"]["probe_"], 2 * whole["probe"])
    with h5py.File(tmp_path / "cube.h5", "r+") as file:
        file["datacube_root/metadatabundle/calibration/QR_flip"][()] = True
    flipped = ronchi.read(tmp_path / "cube.h5")
    np.testing.assert_array_equal(flipped["probe"], whole["probe"].values.T)
    np.testing.assert_array_equal(flipped["valid"], whole["valid"])


@pytest.mark.parametrize("shape", [(1, 6), (6, 1)])
def test_a_line_of_patterns_keeps_its_step(tmp_path, shape, caplog):
    """An axis of one position has no step, and says nothing of that of the other."""
    line = fourd.make(np.zeros((*shape, 4, 4), "u1"), scan_step=(2.5, 2.5))
    with caplog.at_level(logging.WARNING, "ronchi.py4dstem"):
        back = ronchi.read(ronchi.write(line, tmp_path / "line.h5"))
    same(line, back, ["scan_y", "scan_x"])
    assert not caplog.records


@pytest.mark.parametrize("frame", ["scan", "detector"])
def test_a_strain_map_alone_says_where_it_lies_and_what_it_is(cube, tmp_path, frame):
    made = some_strain(cube).assign_attrs(frame=frame, scan_rotation_deg=12.0)
    rng = np.random.default_rng(5)
    for name in (*(f"se_{component}" for component in strain.COMPONENTS), "residual"):
        made[name][...] = rng.random((5, 4))
    made["residual"].attrs["units"] = "1/angstrom"
    made["n_used"][...] = rng.integers(0, 9, (5, 4))
    back = ronchi.read(ronchi.write(made, tmp_path / "strain.h5"))
    same(made, back, list(map(str, made.variables)))
    assert back["n_used"].dtype == made["n_used"].dtype
    for name in ("frame", "reference", "scan_rotation_deg"):
        assert back.attrs[name] == pytest.approx(made.attrs[name])
    # It is finite strain, not py4DSTEM's.
    assert "measure" not in back.attrs
    theirs = made.assign_attrs(measure="infinitesimal")
    assert ronchi.read(ronchi.write(theirs, tmp_path / "theirs.h5")).attrs["measure"] == "infinitesimal"


def test_a_part_of_a_scan_says_what_it_loses(cube, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "ronchi.py4dstem"):
        ronchi.write(cube.isel(scan_y=slice(2, 4)), tmp_path / "cube.h5")
    assert "begins at [10.0, 0.0]" in caplog.text


def test_maps_alone_keep_their_axes(cube, tmp_path):
    over = {dims: variable(dims, np.ones([cube.sizes[d] for d in dims]), "1", "an image")
            for dims in (("scan_y", "scan_x"), ("qy", "qx"))}  # fmt: skip
    for number, (dims, var) in enumerate(over.items()):
        made = maps.make({"image": var}, {dim: cube[dim] for dim in dims})
        back = ronchi.read(ronchi.write(made, tmp_path / f"{number}.h5"))
        same(made, back, ["image", *dims])


def test_positions_off_the_grid_are_named(cube, tmp_path, caplog):
    place = variable(("scan_y", "scan_x"), np.ones((5, 4)), "angstrom", "position")
    with caplog.at_level(logging.WARNING, "ronchi.py4dstem"):
        ronchi.write(cube.assign_coords(position_y=place, position_x=place), tmp_path / "cube.h5")
    assert "no place for position_y, position_x: left out" in caplog.text


def test_variables_of_peaks_and_strain_that_have_no_place_are_named(cube, found, tmp_path, caplog):
    ronchi.write(found, tmp_path / "peaks.h5")
    ronchi.write(some_strain(cube), tmp_path / "strain.h5")
    assert "no place" not in caplog.text
    ronchi.write(found.assign(colour=variable("peak", found["qy"].values, "1", "mine")), tmp_path / "peaks.h5")
    height = variable(("scan_y", "scan_x"), np.ones((5, 4)), "nm", "mine")
    ronchi.write(some_strain(cube).assign(height=height), tmp_path / "strain.h5")
    assert "no place for colour: left out" in caplog.text
    assert "no place for height: left out" in caplog.text


def test_title_and_unit_of_the_counts_come_back(cube, found, tmp_path):
    cube["intensity"].attrs["units"] = "electron"
    back = ronchi.read(ronchi.write(cube.assign_attrs(title="wedge 3"), tmp_path / "cube.h5"))
    assert back.attrs["title"] == "wedge 3"
    assert back["intensity"].attrs["units"] == "electron"
    found["intensity"].attrs["units"] = "electron"
    peaks_back = ronchi.read(ronchi.write(cube, tmp_path / "both.h5", sides={"found": found}), side="found")
    assert peaks_back["intensity"].attrs["units"] == "electron"


OWN = {
    "instrument": "Ärctic ☃", "origin_residual_px": 0.25, "runs": 3, "checked": True, "empty": "",
    "weights": np.array([1.0, 2.0]), "mixed": [1, "a"], "rows": [[1], [2, 3]], "when": np.datetime64("2026-01-02"),
}  # fmt: skip


def same_notes(back: xr.Dataset) -> None:
    """What is no number, text or array is JSON text."""
    for name, value in OWN.items():
        wanted = {"mixed": '[1, "a"]', "rows": "[[1], [2, 3]]", "when": '"2026-01-02"'}
        np.testing.assert_array_equal(back.attrs[name], wanted.get(name, value), err_msg=name)
        assert type(back.attrs[name]) is type(wanted.get(name, value)), name


def test_attributes_that_py4dstem_has_no_item_for_come_back(cube, found, tmp_path, caplog):
    image = variable(("scan_y", "scan_x"), np.ones((5, 4)), "counts", "an image")
    images = maps.make({"image": image}, {dim: cube[dim] for dim in ("scan_y", "scan_x")}, OWN)
    sides = {"disks": found.assign_attrs(OWN, title="peaks"), "strain": some_strain(cube).assign_attrs(OWN, dose=2.5)}
    path = ronchi.write(cube.assign_attrs(OWN, notes="of a file"), tmp_path / "a.h5", sides=sides | {"maps": images})
    assert not caplog.records
    back = read_result(path)
    for ds in (back.data, *(back.sides[name] for name in (*sides, "maps"))):
        same_notes(ds)
    assert "notes" not in back.data.attrs, "which a reader says of the file that it read"
    assert back.sides["disks"].attrs["title"] == "peaks"
    assert back.sides["strain"].attrs["dose"] == 2.5
    for number, ds in enumerate((images, *sides.values())):
        same_notes(ronchi.read(ronchi.write(ds, tmp_path / f"{number}.h5")))


def test_attributes_that_hdf5_cannot_hold_cost_no_file_and_are_named(cube, tmp_path, caplog):
    odd = {"a/b": 1, "index": {(1, 2): 3}}
    ronchi.write(cube.assign_attrs(odd, fine="yes"), tmp_path / "a.h5")
    assert "no form for the attributes a/b, index: left out" in caplog.text
    assert ronchi.read(tmp_path / "a.h5").attrs["fine"] == "yes"


def test_what_py4dstem_calibrates_comes_before_what_is_noted(cube, tmp_path):
    path = ronchi.write(some_strain(cube).assign_attrs(scan_rotation_deg=12.0), tmp_path / "strain.h5")
    with h5py.File(path, "r+") as file:
        file["strain_map_root/metadatabundle/calibration/QR_rotation"][()] = 0.5
    assert ronchi.read(path).attrs["scan_rotation_deg"] == pytest.approx(np.rad2deg(0.5))


def test_images_keep_units_names_and_the_calibration_of_their_pattern(cube, tmp_path):
    """With one pixel size for both axes, only the distortion says how long they are."""
    uneven = fourd.make(cube["intensity"].values, q_step=(0.02, 0.03), probe=np.ones((10, 12)), beam_energy_eV=80e3)
    uneven["probe"].attrs["units"] = "electron"
    mean = variable(("qy", "qx"), np.ones((10, 12)), "electron", "mean pattern")
    images = maps.make({"mean": mean}, {dim: uneven[dim] for dim in ("qy", "qx")})
    for path in (
        ronchi.write(uneven, tmp_path / "cube.h5", sides={"images": images}),
        ronchi.write(images, tmp_path / "maps.h5"),
    ):
        back = read_result(path)
        read = back.sides.get("maps", back.data)
        matrix = np.reshape(read.attrs["q_distortion"], (2, 2))
        steps = [float(read[dim][1] - read[dim][0]) for dim in ("qy", "qx")]
        np.testing.assert_allclose(matrix * steps, np.diag([0.02, 0.03]), atol=1e-12)
        assert read["mean"].attrs == mean.attrs
    assert read_result(tmp_path / "cube.h5").data["probe"].attrs["units"] == "electron"
    assert read_result(tmp_path / "cube.h5").sides["maps"].attrs["beam_energy_eV"] == 80e3


def test_maps_that_are_no_images_are_named(cube, tmp_path, caplog):
    image = variable(("scan_y", "scan_x"), np.ones((5, 4)), "1", "an image")
    made = maps.make({"image": image, "dose": variable((), 3.0, "1", "dose")}, {})
    ronchi.write(made, tmp_path / "a.h5")
    assert "no place for dose: left out" in caplog.text


def test_origins_are_of_the_patterns_that_are_written(cube, tmp_path):
    """Of patterns that were cut by hand the origins still count from the pixel that was the first."""
    drift = np.add.outer(0.1 * np.arange(5), 0.2 * np.arange(4))
    for name, middle in (("origin_y", 4.7), ("origin_x", 6.2)):
        cube[name] = variable(("scan_y", "scan_x"), middle + drift, "pixel", "the direct beam")
    whole = fourd.with_axes_noted(cube)
    back = ronchi.read(ronchi.write(whole.isel(qy=slice(2, None), qx=slice(3, None)), tmp_path / "cut.h5"))
    np.testing.assert_allclose(back["origin_y"], 4.7 - 2 + drift)
    np.testing.assert_allclose(back["origin_x"], 6.2 - 3 + drift)
    np.testing.assert_allclose(fourd.centre_px(back), [2.7 + drift.mean(), 3.2 + drift.mean()])
    assert fourd.origin_lag_px(back.isel(qx=slice(1, None))) == (0, 1), "what is read says what its origins count"


@pytest.mark.parametrize("steps", [(0.02, 0.02), (0.02, 0.021), (0.024, 0.02)])
@pytest.mark.parametrize("distortion", [None, turned(1.03, 0.4), np.array([1.01, 0.02, -0.01, 0.99])])
def test_every_distortion_and_step_gives_the_same_vectors(found, tmp_path, steps, distortion):
    """py4DSTEM has a pixel size, an ellipse and a rotation: unequal steps and shears must go into these."""
    found.attrs["q_step"] = np.array(steps)
    found.attrs.pop("q_distortion")
    if distortion is not None:
        found.attrs["q_distortion"] = distortion
    back = ronchi.read(ronchi.write(found, tmp_path / "peaks.emd"))

    def on_the_scan(ds: xr.Dataset) -> np.ndarray:
        matrix = np.reshape(ds.attrs.get("q_distortion", [1, 0, 0, 1]), (2, 2))
        angle = np.deg2rad(ds.attrs["scan_rotation_deg"])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return turn @ matrix @ np.stack([ds["qy"].values, ds["qx"].values])

    np.testing.assert_allclose(on_the_scan(back), on_the_scan(found), atol=1e-12)


def test_positions_that_were_not_looked_at_are_empty(found, tmp_path):
    part = found.isel(pos=slice(3, 9), peak=slice(*peaks.offsets(found)[[3, 9]]))
    back = ronchi.read(ronchi.write(part, tmp_path / "peaks.h5"))
    np.testing.assert_array_equal(back["n_peaks"][3:9], part["n_peaks"])
    assert back["n_peaks"].sum() == part["n_peaks"].sum()
    np.testing.assert_allclose(back["qx"], part["qx"], atol=1e-12)


def test_patterns_are_written_block_by_block(tmp_path):
    """32 MB, of which a block is 8."""
    big = fourd.make(np.zeros((16, 16, 256, 256), "u2")).chunk({"scan_y": 1})
    done: list[tuple[int, int]] = []
    write(big, tmp_path / "big.h5", progress=lambda part, total: done.append((part, total)))
    assert len(done) >= 4
    assert done[-1] == (32 * 2**20, 32 * 2**20)


def test_compression_keeps_the_counts(cube, tmp_path):
    path = write(cube, tmp_path / "cube.h5", params={"compress": True})
    with h5py.File(path) as file:
        assert file["datacube_root/datacube/data"].chunks == (1, 1, 10, 12)
    np.testing.assert_array_equal(ronchi.read(path)["intensity"], cube["intensity"])


def test_two_calibrations_do_not_fit_into_one_tree(cube, found, tmp_path):
    found.attrs["q_step"] = np.array([0.03, 0.03])
    with pytest.raises(OutputError, match="Q_pixel_size"):
        ronchi.write(cube, tmp_path / "cube.h5", sides={"disks": found})
    assert not list(Path(tmp_path).iterdir())


def test_simulated_patterns_keep_their_true_peaks(tmp_path):
    """Which do not say how the scan is turned."""
    made = ronchi.simulate("disks", seed=1, progress=False, scan_shape=(1, 3))
    assert "scan_rotation_deg" not in made.sides["truth_peaks"].attrs
    write(made.data, tmp_path / "a.h5", sides={"peaks": made.sides["truth_peaks"]})
    assert ronchi.read(tmp_path / "a.h5").attrs["scan_rotation_deg"] == made.data.attrs["scan_rotation_deg"]


def test_what_has_no_place_is_named(cube, tmp_path, caplog):
    scores = xr.Dataset({"f1": variable((), 1.0, "1", "score")}, attrs={"ronchi_schema": "scores/1"})
    with caplog.at_level(logging.WARNING):
        ronchi.write(cube, tmp_path / "cube.h5", sides={"score": scores})
    assert "'score' is left out" in caplog.text
    with pytest.raises(SchemaError, match="py4dstem"):
        ronchi.write(scores, tmp_path / "scores.h5")

"""Data sets as parts of HyperSpy signals, with nothing of HyperSpy: shapes, axes, units, and all of it back."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ronchi.errors import CalibrationError, SchemaError
from ronchi.interop.axis_units import q_scale, scan_scale
from ronchi.interop.signal_parts import Parts
from ronchi.interop.signals import dataset_of, parts_of
from ronchi.schema import fourd, maps, peaks


def _samples():
    spec = importlib.util.spec_from_file_location("samples", Path(__file__).with_name("samples.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


samples = _samples()
EVERY = {
    "patterns": samples.patterns(),
    "patterns in pixels": samples.patterns(calibrated=False),
    "lazy patterns": samples.patterns(lazy=True),
    "images": samples.frames(),
    "a part of a movie": samples.part_of_a_movie(),
    "patterns in electrons": samples.patterns().assign(
        intensity=lambda ds: ds["intensity"].assign_attrs(units="electrons", long_name="electrons"),
        probe=lambda ds: ds["probe"].assign_attrs(units="electrons", long_name="probe beside the particle"),
    ),
    "every other pattern and pixel": samples.patterns(calibrated=False).isel(
        scan_x=slice(1, None, 2), qy=slice(0, 9, 2)
    ),
    "a lone row": samples.patterns(calibrated=False).isel(scan_y=[2], scan_x=slice(1, None, 2)),
    "peaks": samples.found_peaks(),
    "peaks in pixels": samples.found_peaks(calibrated=False),
    "indexed peaks": samples.indexed_peaks(),
    "strain": samples.some_strain(),
}


@pytest.mark.parametrize("ds", EVERY.values(), ids=EVERY.keys())
def test_there_and_back_nothing_is_lost(ds):
    back = dataset_of(parts_of(ds))
    assert set(back.variables) == set(ds.variables)
    for name, var in ds.variables.items():
        np.testing.assert_allclose(back[name].values, var.values, rtol=1e-12, atol=1e-12, err_msg=name)
        assert [back[name].attrs[key] for key in ("units", "long_name")] == [var.attrs["units"], var.attrs["long_name"]]
    for name in ("beam_energy_eV", "semiangle_mrad", "camera_length_m", "scan_rotation_deg"):
        assert back.attrs.get(name) == (pytest.approx(ds.attrs[name], rel=1e-12) if name in ds.attrs else None)
    for name in ("title", "frame", "reference"):
        assert back.attrs.get(name) == ds.attrs.get(name)


def test_a_lone_row_gets_square_pixels():
    """It has no step of its own, and one of 1 Å would be drawn five times as long as it is wide."""
    rows, columns = parts_of(samples.patterns().isel(scan_y=[1])).axes[:2]
    assert rows["scale"] == pytest.approx(columns["scale"]) == 5
    assert rows["offset"] == 4


def test_frames_that_a_program_takes_keep_their_numbers_and_times():
    """HyperSpy cuts the array and moves the offset of the axis; the metadata stay those of the whole."""
    whole = samples.part_of_a_movie()
    parts = parts_of(whole)
    frames = {**parts.axes[0], "size": 2, "offset": parts.axes[0]["offset"] + parts.axes[0]["scale"]}
    cut = dataset_of(replace(parts, data=parts.data[1:], axes=[frames, *parts.axes[1:]]))
    np.testing.assert_array_equal(cut["frame"], whole["frame"][1:])
    np.testing.assert_array_equal(cut["time"], whole["time"][1:])
    strange = dataset_of(replace(parts, axes=[{**parts.axes[0], "scale": 0.1, "units": "s"}, *parts.axes[1:]]))
    np.testing.assert_array_equal(strange["frame"], [0, 1, 2])
    assert "time" not in strange


@pytest.mark.parametrize("filled", [False, True])
def test_filled_pixels_stay_filled_and_others_bad(filled):
    ds = samples.patterns()
    if filled:
        ds["bad_pixel"].attrs["filled"] = 1
    assert dataset_of(parts_of(ds))["bad_pixel"].attrs.get("filled", 0) == filled


def test_axes_are_calibrated_and_patterns_stay_lazy():
    parts = parts_of(samples.patterns(lazy=True))
    assert parts.lazy
    assert [(a["name"], a["units"], a["navigate"]) for a in parts.axes] == [
        ("y", "Å", True), ("x", "Å", True), ("ky", "1/Å", False), ("kx", "1/Å", False),
    ]  # fmt: skip
    assert [a["scale"] for a in parts.axes] == pytest.approx([4, 5, 0.02, 0.03])
    assert [a["offset"] for a in parts.axes[2:]] == pytest.approx([-7.5 * 0.02, -6.25 * 0.03])
    assert parts.metadata["Acquisition_instrument"]["TEM"] == pytest.approx(
        {"beam_energy": 200.0, "convergence_angle": 1.5, "camera_length": 200.0, "scan_rotation": -12.0}
    )
    assert dataset_of(parts)["intensity"].chunks is not None


def test_a_ragged_array_holds_the_peaks_of_its_position():
    ds = samples.found_peaks()
    parts = parts_of(ds)
    assert parts.ragged
    one = parts.data[2, 1]
    np.testing.assert_array_equal(one[:, 0], peaks.at(ds, 2, 1)["qy"])
    assert parts.metadata["ronchi"]["columns"][:3] == ["qy", "qx", "intensity"]
    assert parts.data[0, 0].shape == (0, one.shape[1])


def plain(data, units=("px", "px"), navigate=2, **scale):
    """Parts of a signal that another program made."""
    axes = [
        {"name": "abcde"[i], "size": n, "scale": scale.get("scan" if i < navigate else "q", 1.0), "offset": 0.0,
         "units": units[0] if i < navigate else units[1], "navigate": i < navigate}
        for i, n in enumerate(data.shape)
    ]  # fmt: skip
    return Parts(data, axes, {"General": {"title": ""}})


@pytest.mark.parametrize(("shape", "scan"), [((6, 8), (1, 1)), ((4, 6, 8), (1, 4)), ((2, 3, 6, 8), (2, 3))])
def test_no_one_or_two_navigation_axes_make_a_scan(shape, scan):
    ds = dataset_of(plain(np.zeros(shape), navigate=len(shape) - 2))
    assert (ds.sizes["scan_y"], ds.sizes["scan_x"]) == scan
    assert fourd.centre_px(ds) == (3, 4)
    assert ds["qx"].attrs["units"] == "pixel"


@pytest.mark.parametrize("units", ["px", "1/nm"])
def test_offsets_that_nobody_set_put_q_into_the_middle(units):
    """HyperSpy begins at 0; where the pattern was calibrated by a scale alone, its corner is not the direct beam."""
    parts = plain(np.zeros((2, 3, 6, 8)), ("nm", units), q=0.5)
    assert fourd.centre_px(dataset_of(parts)) == pytest.approx((3, 4))
    placed = [*parts.axes[:2], {**parts.axes[2], "offset": -1.25}, {**parts.axes[3], "offset": -2.0}]
    assert fourd.centre_px(dataset_of(replace(parts, axes=placed))) == pytest.approx((2.5, 4))
    # Ours say where it is, and it may be the corner.
    corner = fourd.make(np.zeros((2, 3, 6, 8)), centre_px=(0, 0))
    assert fourd.centre_px(dataset_of(parts_of(corner))) == pytest.approx((0, 0))


def test_energies_that_cannot_be_are_not_believed(caplog):
    parts = plain(np.zeros((2, 3, 6, 8)), ("nm", "1/nm"))
    for kev, known in ((200.0, 200e3), (200e3, None)):
        told = replace(parts, metadata={"Acquisition_instrument": {"TEM": {"beam_energy": kev}}})
        assert dataset_of(told).attrs.get("beam_energy_eV") == known
    assert "beam_energy of the metadata is not believed" in caplog.text


def test_units_of_others_become_ours():
    parts = plain(np.zeros((2, 3, 6, 8)), ("nm", "1/nm"), scan=2.0, q=0.5)
    ds = dataset_of(parts)
    assert float(ds["scan_x"][1]) == 20.0
    assert fourd.q_step(ds) == pytest.approx((0.05, 0.05))
    assert {q_scale(text, "kx") for text in ("1/nm", "nm^-1", "nm$^{-1}$", "1 / nm", "nm⁻¹")} == {0.1}
    assert {q_scale(text, "kx") for text in ("1/Å", "$A^{-1}$", r"$\AA^{-1}$", "A^-1", "1 / Å")} == {1.0}
    assert {scan_scale(text, "x") for text in ("um", "µm", "μm")} == {1e4}
    assert {scan_scale(text, "x") for text in ("<undefined>", "", None, "px")} == {None}
    assert q_scale("mrad", "kx", 200e3) == pytest.approx(1e-3 / 0.0250793, rel=1e-5)


def test_units_and_steps_that_make_no_sense_are_refused():
    with pytest.raises(CalibrationError, match=r"'c' has the unit 'parsec'\n.*1/nm"):
        dataset_of(plain(np.zeros((2, 3, 6, 8)), ("nm", "parsec")))
    with pytest.raises(CalibrationError, match=r"'a' has the unit 's'"):
        dataset_of(plain(np.zeros((2, 3, 6, 8)), ("s", "px")))
    with pytest.raises(CalibrationError, match="no beam energy"):
        dataset_of(plain(np.zeros((2, 3, 6, 8)), ("nm", "mrad")))
    with pytest.raises(CalibrationError, match=r"step -1"):
        dataset_of(plain(np.zeros((2, 3, 6, 8)), scan=-1.0))


def test_forms_that_are_no_data_set_are_refused():
    with pytest.raises(SchemaError, match="no form as a signal"):
        parts_of(maps.make({}, {}))
    with pytest.raises(SchemaError, match="1 signal axes"):
        dataset_of(plain(np.zeros((2, 8)), navigate=1))
    with pytest.raises(SchemaError, match="3 navigation axes"):
        dataset_of(plain(np.zeros((2, 2, 2, 6, 8)), navigate=3))


def test_peaks_as_find_peaks_gives_them():
    ragged = np.empty((2, 1), dtype=object)
    ragged[0, 0], ragged[1, 0] = np.array([[3, 4], [5, 6]]), np.empty((0, 2))
    found = dataset_of(replace(plain(ragged), ragged=True))
    assert found["n_peaks"].values.tolist() == [2, 0]
    assert found["qy"].values.tolist() == [3, 5]
    assert found["qx"].attrs["units"] == "pixel"
    xr.testing.assert_equal(found["scan_y_index"], xr.DataArray([0, 1], dims="pos", name="scan_y_index"))

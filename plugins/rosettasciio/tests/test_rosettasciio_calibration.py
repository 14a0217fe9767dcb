"""Units and sizes that vendors' files and the library get wrong."""

from __future__ import annotations

import shutil
from typing import Any

import h5py
import numpy as np
import pytest

from ronchi.schema import fourd

TIA = "hyperspy17/tia/16x16-diffraction_imagel_5x5x256x256_EDS"


# The .blo writer keeps the number and calls it cm.
def test_a_relabelled_unit_is_not_believed(cube, tmp_path, open_file, caplog, write):
    path = write("blockfile", tmp_path / "a.blo", cube, ("nm", "1/angstrom"), (2.0, 0.01261))
    ds = open_file(path)
    assert fourd.q_units(ds) == "pixel"
    assert "0.0126" in ds.attrs["calibration_refused"]
    assert "cm" in caplog.text
    np.testing.assert_array_equal(ds["intensity"].values, cube)


# A is the angstrom.
def test_one_over_a_is_one_over_angstrom(cube, tmp_path, open_file, write):
    path = write("emd", tmp_path / "a.emd", cube, ("nm", "$A^{-1}$"), (2.0, 0.01261))
    with h5py.File(path) as file:
        units = {str(item.attrs["units"]) for name, item in _all(file) if "units" in item.attrs}
    assert any("A" in unit for unit in units), f"the writer no longer spells it so: {units}"
    ds = open_file(path)
    np.testing.assert_allclose(fourd.q_step(ds), 0.01261, rtol=1e-6)
    np.testing.assert_array_equal(ds["intensity"].values, cube)


def _all(file: h5py.File) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    file.visititems(lambda name, item: found.append((name, item)))
    return found


# Implausible, unknown and negative sizes.
def test_an_impossible_pixel_is_named_and_left_out(real_data, open_file, caplog):
    ds = open_file(real_data / "pyxem-demos/Amorphous.hspy")
    assert fourd.q_units(ds) == "pixel"
    assert "7.84314e-20 1 / nm" in caplog.text
    assert "Amorphous.hspy" in caplog.text


@pytest.mark.parametrize(("kev", "said"), [(200.0, ""), (200e3, "beam_energy_eV: 2e+08 eV is outside"), (0.0, "")])
def test_an_energy_in_the_wrong_unit_is_named(kev, said, real_data, tmp_path, open_file, caplog):
    """Volts in place of kilovolts: nothing may be computed from it, and nobody would look for it."""
    path = tmp_path / "a.hspy"
    shutil.copyfile(real_data / "pyxem-demos/Amorphous.hspy", path)
    with h5py.File(path, "r+") as file:
        node = next(iter(file["Experiments"].values()))["metadata/Acquisition_instrument/TEM"]
        node.attrs["beam_energy"] = kev
    attrs = open_file(path).attrs
    assert said in attrs["calibration_refused"]
    assert ("beam_energy_eV" in attrs["calibration_refused"]) == bool(said)
    assert attrs.get("beam_energy_eV") == (200e3 if kev == 200 else None)
    assert (f"left out: {said}" in caplog.text) == bool(said)


def test_minus_one_stands_for_unknown(real_data, open_file):
    ds = open_file(real_data / "rsciio/mrc_de/Custom_movie.mrc")
    assert ds["x"].attrs["units"] == "pixel"
    assert "-1 nm" in ds.attrs["calibration_refused"]


def test_rows_that_run_down_have_a_positive_step(real_data, open_file):
    ds = open_file(real_data / f"{TIA}.emi")
    assert ds.attrs.get("calibration_refused") is None
    assert float(ds["scan_y"][1]) == pytest.approx(float(ds["scan_x"][1]), rel=1e-9)


def test_a_one_that_the_library_fills_in_is_no_size(real_data, tmp_path, open_file):
    source = real_data / "rsciio/mrc_de"
    for name in ("20241021_00405_movie.mrc", "20241021_00405_info.txt"):
        shutil.copy(source / name, tmp_path / name)
    info = tmp_path / "20241021_00405_info.txt"
    lines = info.read_text(encoding="utf-8").splitlines()
    info.write_text("\n".join(line for line in lines if "Pixel Size" not in line), encoding="utf-8")
    ds = open_file(tmp_path / "20241021_00405_movie.mrc")
    assert (fourd.scan_units(ds), fourd.q_units(ds)) == ("pixel", "pixel")


# The .ser leaves the size of the diffraction pixel to its .emi.
def test_a_ser_alone_has_no_diffraction_pixel(real_data, tmp_path, open_file):
    shutil.copy(real_data / f"{TIA}_2.ser", tmp_path / "alone.ser")
    ds = open_file(tmp_path / "alone.ser")
    assert fourd.q_units(ds) == "pixel"
    assert "e+17 nm" in ds.attrs["calibration_refused"]
    np.testing.assert_allclose(fourd.q_step(open_file(real_data / f"{TIA}.emi")), 0.0174353, rtol=1e-5)


def test_a_tension_is_found_under_the_name_that_tia_gives_it(real_data, open_file):
    ds = open_file(real_data / "hyperspy17/tia/16x16-diffraction_imagel_5x5x256x256_EDS.emi")
    assert ds.attrs["beam_energy_eV"] == 200e3
    assert ds.attrs["camera_length_m"] == pytest.approx(0.26)
    assert "200 kV" in ds.attrs["instrument"]


def test_tvips_whole_numbers_are_no_calibration(cube, tmp_path, open_file, write):
    path = write("tvips", tmp_path / "a_000.tvips", cube, ("nm", "1/nm"), (2.0, 1.0), mode=2)
    ds = open_file(path, scan_shape=(3, 4))
    assert (fourd.scan_units(ds), fourd.q_units(ds)) == ("pixel", "pixel")
    np.testing.assert_array_equal(ds["intensity"].values, cube)

"""Wavelengths against the tables, the light import, one radius for detector and data, numbers that cannot be true."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from ronchi.api import Geometry
from ronchi.optics import PLAUSIBLE, disk_radius, implausible, interaction_constant, plausible, wavelength_angstrom
from ronchi.schema import fourd


@pytest.mark.parametrize(
    ("energy", "angstrom"),
    [(100e3, 0.0370144), (200e3, 0.0250793), (300e3, 0.0196875)],
)
def test_wavelengths_are_the_tabulated_ones(energy: float, angstrom: float):
    # Reimer & Kohl, Transmission Electron Microscopy, Table 2.2: 3.701, 2.508, 1.969 pm; the further digits are those
    # of abTEM 1.0.11, energy2wavelength.
    assert wavelength_angstrom(energy) == pytest.approx(angstrom, abs=6e-8)


def test_wavelength_follows_from_the_constants():
    from scipy import constants

    energy = 200e3 * constants.e
    momentum = math.sqrt(energy * (energy + 2 * constants.m_e * constants.c**2)) / constants.c
    # Between two issues of CODATA the electron's mass moves by 1e-9.
    assert wavelength_angstrom(200e3) == pytest.approx(constants.h / momentum * 1e10, rel=1e-8)


@pytest.mark.parametrize(("energy", "expected"), [(80e3, 1.0087e-3), (200e3, 7.2884e-4), (300e3, 6.5262e-4)])
def test_interaction_constants_are_the_tabulated_ones(energy: float, expected: float):
    assert interaction_constant(energy) == pytest.approx(expected, rel=1e-4)  # rad / (V angstrom), Kirkland's table


def test_the_disk_is_as_large_for_a_detector_as_for_the_data():
    """1 mrad of 200 keV is 0.0398735 / angstrom; unequal steps count by their area."""
    assert disk_radius(200e3, 1.0) == pytest.approx(0.0398735, abs=1e-7)
    known = {"beam_energy_eV": 200e3, "semiangle_mrad": 2.0}
    steps = (0.01, 0.04)
    geometry = Geometry(shape=(8, 8), q_step=steps, q_units="1/angstrom", centre_px=(4, 4), **known)
    data = fourd.make(np.zeros((1, 1, 8, 8), np.float32), q_step=steps, **known)
    assert geometry.probe_radius_px == pytest.approx(2 * 0.0398735 / 0.02, abs=1e-5)
    assert fourd.disk_radius_px(data) == pytest.approx(geometry.probe_radius_px, rel=1e-12)


def test_the_disk_is_unknown_without_a_calibration():
    data = fourd.make(np.zeros((1, 1, 8, 8), np.float32), beam_energy_eV=200e3, semiangle_mrad=2.0)
    assert fourd.disk_radius_px(data) is None
    assert Geometry(shape=(8, 8), centre_px=(4, 4), beam_energy_eV=200e3, semiangle_mrad=2.0).probe_radius_px is None


def test_authors_import_it_for_nothing():
    code = "import sys, ronchi.optics, ronchi.api; print(*{'numpy', 'xarray', 'scipy', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == ""


@pytest.mark.parametrize(
    ("value", "name", "part"),
    [
        (7.8e-21, "q_step_inv_angstrom", "outside 1e-05 to 1"),
        (2.0, "q_step_inv_angstrom", "outside"),
        (-10.0, "scan_step_angstrom", "positive"),
        (0.0, "scan_step_angstrom", "positive"),
        (1.7e18, "scan_step_angstrom", "outside"),
        (300.0, "beam_energy_eV", "300 eV is outside 1000 to 5e+06"),
        (float("nan"), "q_step_inv_angstrom", "finite"),
        (float("inf"), "camera_length_m", "finite"),
    ],
)
def test_what_cannot_be_true_is_named(value: float, name: str, part: str):
    assert part in implausible(value, name)


@pytest.mark.parametrize(
    ("name", "true"),
    [
        ("beam_energy_eV", (5e3, 30e3, 80e3, 300e3, 3e6)),
        ("semiangle_mrad", (0.02, 0.3, 1.7, 25, 75, 150)),
        ("camera_length_m", (0.02, 0.2, 5, 30)),
        ("scan_step_angstrom", (0.01, 0.35, 20, 5e5)),
        ("q_step_inv_angstrom", (1e-4, 0.0267, 0.2)),
    ],
)
def test_what_can_be_true_is_kept(name: str, true: tuple[float, ...]):
    """From scanning microscopes to those of 3 MV, from parallel beams to corrected ones, from atoms to samples."""
    assert name in PLAUSIBLE
    for value in true:
        assert not implausible(value, name)
        assert plausible(name)(value) == value
        assert plausible(name)((value, value)) == (value, value)


@pytest.mark.parametrize(
    ("name", "given", "advice"),
    [
        ("beam_energy_eV", 200.0, "200 looks like keV: write 200000"),
        ("beam_energy_eV", 0.3, "0.3 looks like MeV: write 300000"),
        ("beam_energy_eV", 2e8, "2e+08 looks like meV: write 200000"),
        ("semiangle_mrad", 0.0017, "0.0017 looks like rad: write 1.7"),
        ("semiangle_mrad", 1700.0, "1700 looks like urad: write 1.7"),
        ("camera_length_m", 200.0, "200 looks like mm: write 0.2"),
        ("scan_step_angstrom", (5e-10, 6e-10), "[5e-10, 6e-10] looks like m: write [5, 6]"),
        ("scan_step_angstrom", (1e-9, 1e-9), "[1e-09, 1e-09] looks like m: write [10, 10]"),
        ("scan_step_angstrom", (1e-7, 2e-6), "[1e-07, 2e-06] looks like m: write [1000, 20000]"),
        ("scan_step_angstrom", (5e-4, 6e-4), "[0.0005, 0.0006] looks like um: write [5, 6]"),
        ("q_step_inv_angstrom", (2.0, 2.0), "[2, 2] looks like 1/nm: write [0.2, 0.2]"),
        ("q_step_inv_angstrom", (2e8, 3e8), "[2e+08, 3e+08] looks like 1/m: write [0.02, 0.03]"),
    ],
)
def test_units_mistaken_are_told(name: str, given: float | tuple[float, float], advice: str):
    with pytest.raises(ValueError, match=r"^must be .* to .*; ") as caught:
        plausible(name)(given)
    assert str(caught.value).endswith(advice)


@pytest.mark.parametrize("given", [-5.0, float("nan"), 1e20, (5.0, 5e-10)])
def test_no_unit_is_guessed_where_none_fits(given: float | tuple[float, float]):
    with pytest.raises(ValueError, match=r"^must be 0\.001 to 1e\+07 angstrom$"):
        plausible("scan_step_angstrom")(given)

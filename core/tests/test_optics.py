"""Wavelengths against the tables, the light import, one radius for the detector and for the data."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from ronchi.api import Geometry
from ronchi.optics import disk_radius, interaction_constant, wavelength_angstrom
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

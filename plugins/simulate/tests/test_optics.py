from __future__ import annotations

import numpy as np
import pytest

from ronchi.errors import ConfigError
from ronchi_simulate.optics import Beam, aperture_amplitude, probe_spectrum

Q_STEP = 0.02


def test_beam_knows_its_optics() -> None:
    beam = Beam(energy_eV=200e3, semiangle_mrad=2)
    # Kirkland's tables: 2.508 pm and 7.288e-4 rad / (V angstrom) at 200 kV.
    assert beam.wavelength_angstrom == pytest.approx(0.0250793, rel=1e-5)
    assert beam.interaction_constant == pytest.approx(7.288e-4, rel=1e-3)
    assert beam.disk_radius_inv_angstrom == pytest.approx(2e-3 / 0.0250793, rel=1e-5)


@pytest.mark.parametrize("radius_px", [2.3, 5.0, 11.71])
def test_aperture_has_the_area_of_a_circle(radius_px: float) -> None:
    beam = Beam(energy_eV=200e3, semiangle_mrad=radius_px * Q_STEP * 0.0250793 * 1e3)
    amplitude = np.fft.fftshift(aperture_amplitude(beam, (64, 80), Q_STEP))
    # The linear rim has the area of the sharp disk but for the lattice's discrepancy.
    assert amplitude.sum() == pytest.approx(np.pi * radius_px**2, rel=0.02)
    np.testing.assert_array_equal(amplitude[1:], amplitude[1:][::-1])
    np.testing.assert_array_equal(amplitude[:, 1:], amplitude[:, 1:][:, ::-1])


def test_no_semiangle_is_a_plane_wave() -> None:
    spectrum = probe_spectrum(Beam(energy_eV=80e3, semiangle_mrad=0), (16, 16), Q_STEP)
    assert spectrum[0, 0] == 1
    assert np.count_nonzero(spectrum) == 1


def test_defocus_leaves_the_intensity_and_curves_the_phase() -> None:
    flat = Beam(energy_eV=80e3, semiangle_mrad=10)
    under = Beam(energy_eV=80e3, semiangle_mrad=10, defocus_angstrom=300)
    spectrum = probe_spectrum(under, (48, 48), Q_STEP)
    np.testing.assert_allclose(np.abs(spectrum), np.abs(probe_spectrum(flat, (48, 48), Q_STEP)), atol=1e-7)
    # Propagation by the defocus, exp(-i pi lambda q^2 z), must undo the curvature: the crossover lies below.
    q = 5 * Q_STEP
    assert np.angle(spectrum[0, 5]) == pytest.approx(np.pi * under.wavelength_angstrom * 300 * q**2, abs=1e-5)


def test_bullseye_is_open_in_the_centre_and_has_rings_and_spokes() -> None:
    beam = Beam(energy_eV=300e3, semiangle_mrad=8, aperture="bullseye", bullseye_rings=3, bullseye_spokes=4)
    amplitude = np.fft.fftshift(aperture_amplitude(beam, (256, 256), 0.005))
    radius_px = beam.disk_radius_inv_angstrom / 0.005
    ring_px = radius_px / 8
    diagonal = np.array(
        [amplitude[128 + round(r), 128 + round(r)] for r in (np.arange(8) + 0.5) * ring_px / np.sqrt(2)]
    )
    np.testing.assert_array_equal(diagonal > 0.5, [True, True, False, True, False, True, False, True])
    assert amplitude[128, 128 + round(3.5 * ring_px)] < 0.01  # a spoke
    assert np.linalg.norm(probe_spectrum(beam, (256, 256), 0.005)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "change",
    [{"energy_eV": 200}, {"energy_eV": 1e12}, {"energy_eV": np.nan}, {"semiangle_mrad": -1}, {"aperture": "x"}],
)
def test_what_is_no_beam_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Beam(**({"energy_eV": 2e5, "semiangle_mrad": 1} | change))  # type: ignore[arg-type]


def test_aperture_wider_than_the_grid_is_refused() -> None:
    with pytest.raises(ConfigError, match="aperture of 30 mrad"):
        aperture_amplitude(Beam(energy_eV=2e5, semiangle_mrad=30), (32, 32), Q_STEP)

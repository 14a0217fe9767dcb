"""Optics of the beam: its wavelength, the phase that a potential gives it, the radius of the bright disk.

Relativistic, from the constants of CODATA 2022 (NIST, https://physics.nist.gov/constants). Light: it imports
nothing but `math`.
"""

from __future__ import annotations

import math

__all__ = ["disk_radius", "interaction_constant", "wavelength_angstrom"]

_REST_ENERGY_EV = 510998.95069
"""m c^2 / e of the electron."""

_PLANCK_C_EV_ANGSTROM = 12398.419843320
"""h c / e, exact in the SI of 2019 but for the digits not written."""


def wavelength_angstrom(beam_energy_eV: float) -> float:
    """Relativistic wavelength of an electron in angstrom (Kirkland 2010, eq. 2.5, doi:10.1007/978-1-4419-6533-2)."""
    return _PLANCK_C_EV_ANGSTROM / math.sqrt(beam_energy_eV * (2 * _REST_ENERGY_EV + beam_energy_eV))


def interaction_constant(beam_energy_eV: float) -> float:
    """Phase by a projected potential, in rad / (volt angstrom), relativistic (Kirkland 2010, eq. 5.6)."""
    weight = (_REST_ENERGY_EV + beam_energy_eV) / (2 * _REST_ENERGY_EV + beam_energy_eV)
    return 2 * math.pi / (wavelength_angstrom(beam_energy_eV) * beam_energy_eV) * weight


def disk_radius(beam_energy_eV: float, semiangle_mrad: float) -> float:
    """Radius of the bright disk in 1/angstrom, for a convergence semiangle in mrad."""
    return semiangle_mrad * 1e-3 / wavelength_angstrom(beam_energy_eV)

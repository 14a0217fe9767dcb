"""Optics of the beam: its wavelength, the phase that a potential gives it, the radius of the bright disk.

Relativistic, from the constants of CODATA 2022 (NIST, https://physics.nist.gov/constants). And which numbers a
microscope can have at all, for calibrations that come from files and people. Light: it imports nothing but `math`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["PLAUSIBLE", "disk_radius", "implausible", "interaction_constant", "plausible", "wavelength_angstrom"]

Numbers = TypeVar("Numbers", float, tuple[float, float])

PLAUSIBLE: dict[str, tuple[float, float]] = {
    "beam_energy_eV": (1e3, 5e6),
    "semiangle_mrad": (1e-2, 200.0),
    "camera_length_m": (5e-3, 100.0),
    "scan_step_angstrom": (1e-3, 1e7),
    "q_step_inv_angstrom": (1e-5, 1.0),
}
"""Numbers that a microscope can have, from the first to below the second; a step of an image is one of a scan."""

_UNITS = {
    "beam_energy_eV": "eV",
    "semiangle_mrad": "mrad",
    "camera_length_m": "m",
    "scan_step_angstrom": "angstrom",
    "q_step_inv_angstrom": "1/angstrom",
}

_TAKEN_FOR: dict[str, tuple[tuple[float, float], dict[str, float]]] = {
    "beam_energy_eV": ((2e4, 2e6), {"keV": 1e3, "MeV": 1e6, "meV": 1e-3}),
    "semiangle_mrad": ((0.1, 100.0), {"rad": 1e3, "urad": 1e-3}),
    "camera_length_m": ((0.02, 20.0), {"mm": 1e-3}),
    "scan_step_angstrom": ((0.1, 1e6), {"um": 1e4, "m": 1e10}),
    "q_step_inv_angstrom": ((1e-4, 0.3), {"1/nm": 0.1, "1/m": 1e-10}),
}
"""What is usual, and the units that numbers are given in by mistake, the likeliest first, with their size.

Nanometres pass for angstrom, and what would be plausible in millimetres is likelier metres.
"""

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


def implausible(value: float, name: str) -> str:
    """Why a calibration, named as in `PLAUSIBLE`, cannot be true; empty if it can."""
    low, high = PLAUSIBLE[name]
    if not math.isfinite(value):
        return "it is no finite number"
    if value <= 0:
        return "it is not positive"
    return "" if low <= value < high else f"{value:.3g} {_UNITS[name]} is outside {low:g} to {high:g}"


def plausible(name: str) -> Callable[[Numbers], Numbers]:
    """A check of a number or a pair, for parameters of that name: raises `ValueError`, with the unit it looks like."""

    def check(given: Numbers) -> Numbers:
        values = given if isinstance(given, tuple) else (given,)
        if any(implausible(value, name) for value in values):
            low, high = PLAUSIBLE[name]
            raise ValueError(f"must be {low:g} to {high:g} {_UNITS[name]}{_advice(values, name)}")
        return given

    return check


def _advice(values: tuple[float, ...], name: str) -> str:
    (low, high), units = _TAKEN_FOR[name]
    for unit, size in units.items():
        if all(low <= value * size <= high for value in values):
            return f"; {_written(values)} looks like {unit}: write {_written([value * size for value in values])}"
    return ""


def _written(values: Sequence[float]) -> str:
    """As in a pipeline."""
    numbers = [f"{value:.6g}" for value in values]
    return numbers[0] if len(numbers) == 1 else f"[{', '.join(numbers)}]"

"""Units of the axes of other programs' objects, in angstrom and 1/angstrom."""

from __future__ import annotations

import math
import re

from ronchi.errors import CalibrationError

__all__ = ["q_scale", "scan_scale"]

_LENGTHS = {"a": 1.0, "å": 1.0, "ang": 1.0, "angstrom": 1.0, "pm": 0.01, "nm": 10.0, "um": 1e4, "mm": 1e7}
_NONE = {"", "none", "<undefined>", "undefined", "px", "pixel", "pixels", "1"}
_INVERSE = re.compile(r"1/(?P<a>.+)|(?P<b>.+?)\^?-1")


def scan_scale(units: object, axis: str) -> float | None:
    """Angstrom a unit, or None for pixels.

    Raises
    ------
    CalibrationError
        The unit is not one of length.
    """
    plain = _plain(units)
    if plain in _NONE:
        return None
    if plain not in _LENGTHS:
        raise _unknown(units, axis, "nm or Å")
    return _LENGTHS[plain]


def q_scale(units: object, axis: str, beam_energy_eV: float | None = None) -> float | None:
    """1/angstrom a unit, or None for pixels; an angle (small) needs the beam energy.

    Raises
    ------
    CalibrationError
        The unit is neither an inverse length nor an angle, or the beam energy is missing.
    """
    plain = _plain(units)
    if plain in _NONE:
        return None
    if plain in ("mrad", "rad"):
        if not beam_energy_eV:
            what = f"the axis {axis!r} is in {units}, and no beam energy says how much of 1/angstrom that is"
            raise CalibrationError(what, fix="set the beam energy in the metadata")
        wavelength = 12.2643 / math.sqrt(beam_energy_eV * (1 + 0.978476e-6 * beam_energy_eV))
        return (1e-3 if plain == "mrad" else 1.0) / wavelength
    found = _INVERSE.fullmatch(plain)
    base = (found["a"] or found["b"]) if found else ""
    if base not in _LENGTHS:
        raise _unknown(units, axis, "1/nm or 1/Å")
    return 1 / _LENGTHS[base]


def _plain(units: object) -> str:
    text = ("" if units is None else str(units)).lower()
    text = text.replace("⁻¹", "^-1").replace("µ", "u").replace("μ", "u").replace("\\aa", "a")
    return re.sub(r"[\s${}()\\]|mathrm", "", text).replace("angstroms", "angstrom")


def _unknown(units: object, axis: str, example: str) -> CalibrationError:
    return CalibrationError(f"the axis {axis!r} has the unit {units!r}", fix=f"set it to {example}, or to px")

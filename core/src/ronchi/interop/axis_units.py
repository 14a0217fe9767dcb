"""Units of axes, in every spelling that instruments and programs use, as angstrom, 1/angstrom and rad."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from ronchi.errors import CalibrationError
from ronchi.optics import wavelength_angstrom

__all__ = ["Dimension", "Unit", "parse", "q_scale", "scan_scale"]

Dimension = Literal["length", "reciprocal", "angle", "none", "unknown"]


@dataclass(frozen=True)
class Unit:
    """What a unit measures, and how many angstrom, 1/angstrom or rad it is."""

    dimension: Dimension
    factor: float = 1.0


_LENGTHS = {"fm": 1e-5, "pm": 1e-2, "a": 1.0, "nm": 10.0, "um": 1e4, "mm": 1e7, "cm": 1e8, "m": 1e10}
_ANGLES = {"rad": 1.0, "angle": 1.0, "mrad": 1e-3, "urad": 1e-6, "deg": math.pi / 180, "°": math.pi / 180}
_WORDS = (
    (r"angstroem|angstrom|ångström|ångstrom|ang(?!le)|å", "a"),
    (r"nanomet(er|re)|n_m", "nm"),
    (r"micromet(er|re)|micron|u_m", "um"),
    (r"picomet(er|re)|p_m", "pm"),
    (r"millimet(er|re)", "mm"),
    (r"centimet(er|re)", "cm"),
    (r"met(er|re)", "m"),
    (r"milliradian|mradian", "mrad"),
    (r"radian", "rad"),
    (r"degree", "deg"),
)
_NOTHING = {"", "1", "none", "undefined", "traitsundefined", "dimensionless", "px", "pixel", "pixels", "nan"}
_RECIPROCAL = re.compile(r"1/(?P<over>.+)|/(?P<slash>.+)|reciprocal_?(?P<word>.+)|(?P<power>.+?)(\^|\*\*)?-1")


def parse(text: object) -> Unit:
    """Read the unit of an axis, in any of the spellings that instruments and programs use.

    Parameters
    ----------
    text : object
        A string, or whatever stands for none. ``A`` is the angstrom: no axis is in ampere.

    Returns
    -------
    Unit
        Of dimension ``"none"`` if there is no unit, ``"unknown"`` if it is not understood.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    plain = _plain("" if text is None else str(text))
    if plain in _NOTHING:
        return Unit("none")
    if plain in _LENGTHS:
        return Unit("length", _LENGTHS[plain])
    if plain in _ANGLES:
        return Unit("angle", _ANGLES[plain])
    found = _RECIPROCAL.fullmatch(plain)
    base = found and next(filter(None, found.groupdict().values()), "")
    return Unit("reciprocal", 1 / _LENGTHS[base]) if base in _LENGTHS else Unit("unknown")


def _plain(text: str) -> str:
    # One form of Å, µ, superscripts and minus signs, of which each has several.
    text = unicodedata.normalize("NFKC", text.replace("⁻¹", "^-1")).replace("\u2212", "-")
    text = text.strip().lower().replace("μ", "u").replace(r"\aa", "a")
    text = re.sub(r"\\?(mathrm|rm|text)\b|[\s$<>{}\[\]()\\]", "", text)
    for pattern, short in _WORDS:
        text = re.sub(rf"({pattern})s?", short, text)
    return text.removesuffix("s") if text in ("mrads", "rads", "degs") else text


def scan_scale(units: object, axis: str) -> float | None:
    """Angstrom a unit, or None for pixels.

    Raises
    ------
    CalibrationError
        The unit is not one of length.
    """
    unit = parse(units)
    if unit.dimension == "none":
        return None
    if unit.dimension != "length":
        raise _unknown(units, axis, "nm or Å")
    return unit.factor


def q_scale(units: object, axis: str, beam_energy_eV: float | None = None) -> float | None:
    """1/angstrom a unit, or None for pixels; an angle (small) needs the beam energy.

    Raises
    ------
    CalibrationError
        The unit is neither an inverse length nor an angle, or the beam energy is missing.
    """
    unit = parse(units)
    if unit.dimension == "none":
        return None
    if unit.dimension == "angle":
        if not beam_energy_eV:
            what = f"the axis {axis!r} is in {units}, and no beam energy says how much of 1/angstrom that is"
            raise CalibrationError(what, fix="set the beam energy in the metadata")
        return unit.factor / wavelength_angstrom(beam_energy_eV)
    if unit.dimension != "reciprocal":
        raise _unknown(units, axis, "1/nm or 1/Å")
    return unit.factor


def _unknown(units: object, axis: str, example: str) -> CalibrationError:
    return CalibrationError(f"the axis {axis!r} has the unit {units!r}", fix=f"set it to {example}, or to px")

"""Spellings of units that files hold, in angstrom, 1/angstrom and rad; and which pixel sizes can be true."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["PLAUSIBLE", "Dimension", "Unit", "implausible", "parse", "q_step", "wavelength_angstrom"]

Dimension = Literal["length", "reciprocal", "angle", "none", "unknown"]


@dataclass(frozen=True)
class Unit:
    """What a unit measures, and how many angstrom, 1/angstrom or rad it is."""

    dimension: Dimension
    factor: float = 1.0


PLAUSIBLE: dict[str, tuple[float, float]] = {"scan": (1e-3, 1e7), "image": (1e-3, 1e7), "q": (1e-5, 1.0)}
"""Pixel sizes that a microscope can have: scan and image from 0.1 pm to 1 mm in angstrom, pattern in 1/angstrom."""

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
    text = text.strip().lower().replace("⁻¹", "^-1").replace("µ", "u").replace("μ", "u")
    text = re.sub(r"\\?(mathrm|rm|text)\b|[\s$<>{}\[\]()\\]", "", text)
    for pattern, short in _WORDS:
        text = re.sub(rf"({pattern})s?", short, text)
    return text.removesuffix("s") if text in ("mrads", "rads", "degs") else text


def wavelength_angstrom(beam_energy_eV: float) -> float:
    """Relativistic wavelength of an electron in angstrom."""
    return 12.2643 / math.sqrt(beam_energy_eV * (1 + 0.978476e-6 * beam_energy_eV))


def q_step(
    size: float, unit: Unit, beam_energy_eV: float | None, camera_length_m: float | None
) -> tuple[float | None, str]:
    """Size of a detector pixel in 1/angstrom.

    Parameters
    ----------
    size : float
        In ``unit``: a scattering vector, an angle, or the length of a pixel on the detector.
    unit : Unit
    beam_energy_eV, camera_length_m : float or None
        Needed for an angle, and for a length.

    Returns
    -------
    step : float or None
        None if something is missing.
    why : str
        What is missing; empty otherwise.
    """
    if unit.dimension == "reciprocal":
        return size * unit.factor, ""
    if unit.dimension not in ("angle", "length"):
        return None, "the unit is not known"
    missing = [] if beam_energy_eV else ["beam energy"]
    if unit.dimension == "length" and not camera_length_m:
        missing.append("camera length")
    if missing:
        return None, f"the {' and the '.join(missing)} would be needed to make it 1/angstrom"
    assert beam_energy_eV is not None
    angle = size * unit.factor
    if unit.dimension == "length":
        assert camera_length_m is not None
        angle *= 1e-10 / camera_length_m
    return angle / wavelength_angstrom(beam_energy_eV), ""


def implausible(step: float, what: Literal["scan", "image", "q"]) -> str:
    """Why a pixel size in angstrom or 1/angstrom cannot be true; empty if it can."""
    low, high = PLAUSIBLE[what]
    unit = "1/angstrom" if what == "q" else "angstrom"
    if not math.isfinite(step):
        return "it is no finite number"
    if step <= 0:
        return "a pixel size is positive"
    if not low <= step <= high:
        return f"{step:.3g} {unit} is outside {low:g} to {high:g}"
    return ""

"""Types of parameters that are calibrations: a number in a wrong unit is refused at its place, before any work."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from ronchi.optics import PLAUSIBLE, plausible

__all__ = ["BeamEnergy", "CameraLength", "QStep", "ScanStep", "Semiangle"]


def _bounds(name: str) -> WithJsonSchema:
    """For those who read the schema; the check itself comes after, since its message knows units."""
    low, high = PLAUSIBLE[name]
    return WithJsonSchema({"type": "number", "minimum": low, "exclusiveMaximum": high})


BeamEnergy = Annotated[float, AfterValidator(plausible("beam_energy_eV")), _bounds("beam_energy_eV")]
Semiangle = Annotated[float, AfterValidator(plausible("semiangle_mrad")), _bounds("semiangle_mrad")]
CameraLength = Annotated[float, AfterValidator(plausible("camera_length_m")), _bounds("camera_length_m")]
_OfScan = Annotated[float, _bounds("scan_step_angstrom")]
_OfPattern = Annotated[float, _bounds("q_step_inv_angstrom")]
ScanStep = Annotated[tuple[_OfScan, _OfScan], AfterValidator(plausible("scan_step_angstrom"))]
QStep = Annotated[tuple[_OfPattern, _OfPattern], AfterValidator(plausible("q_step_inv_angstrom"))]
"""(y, x), told of as a pair."""

"""Size of a detector pixel in 1/angstrom from what files state."""

from __future__ import annotations

from ronchi.interop.axis_units import Unit
from ronchi.optics import wavelength_angstrom

__all__ = ["q_step"]


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

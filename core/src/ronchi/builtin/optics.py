"""Electron wavelength and the radius of the bright disk."""

from __future__ import annotations

import math

import xarray as xr

from ronchi.schema import fourd

__all__ = ["disk_radius", "disk_radius_px", "wavelength_angstrom"]


def wavelength_angstrom(beam_energy_eV: float) -> float:
    """Relativistic wavelength of an electron in angstrom."""
    return 12.2643 / math.sqrt(beam_energy_eV * (1 + 0.978476e-6 * beam_energy_eV))


def disk_radius(beam_energy_eV: float, semiangle_mrad: float) -> float:
    """Radius of the bright disk in 1/angstrom."""
    return semiangle_mrad * 1e-3 / wavelength_angstrom(beam_energy_eV)


def disk_radius_px(ds: xr.Dataset) -> float | None:
    """Radius of the bright disk of ``fourd/1`` data in px, from its calibration, else from the area of its probe.

    On a detector with unequal steps it is that of the disk of equal area. None if the data
    hold neither.
    """
    energy, semiangle = ds.attrs.get("beam_energy_eV"), ds.attrs.get("semiangle_mrad")
    if energy and semiangle and fourd.q_units(ds) == "1/angstrom":
        step_y, step_x = fourd.q_step(ds)
        return disk_radius(float(energy), float(semiangle)) / math.sqrt(step_y * step_x)
    if "probe" in ds:
        probe = ds["probe"].values
        return math.sqrt(float((probe > 0.5 * probe.max()).sum()) / math.pi)
    return None

"""The beam and the wave that it makes at the entrance surface: aperture, defocus, position."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from ronchi.errors import ConfigError
from ronchi.optics import disk_radius, interaction_constant, wavelength_angstrom

__all__ = ["Beam", "aperture_amplitude", "probe_spectrum"]

Aperture = Literal["circle", "bullseye"]


@dataclass(frozen=True, kw_only=True)
class Beam:
    """A convergent beam, and the tilt of the specimen in it.

    Parameters
    ----------
    energy_eV : float
    semiangle_mrad : float
        Radius of the aperture. 0 is a plane wave.
    defocus_angstrom : float
        Depth of the crossover below the entrance surface: positive is underfocus.
    tilt_mrad : tuple of float
        (y, x). The specimen's tilt, given to the propagator: in the specimen the beam drifts by tan(tilt) per
        unit of depth towards +y and +x, so that the circle of Laue has its centre at q = -tan(tilt) / wavelength.
    aperture : str
        ``"circle"``, or ``"bullseye"``: rings and spokes in the aperture, which print themselves on every disk
        (Zeltmann et al. 2020, doi:10.1016/j.ultramic.2019.112890).
    bullseye_rings, bullseye_spokes : int
        Of the bullseye: opaque rings around its open centre, and opaque spokes from rim to rim of the outer half.
    """

    energy_eV: float
    semiangle_mrad: float
    defocus_angstrom: float = 0.0
    tilt_mrad: tuple[float, float] = (0.0, 0.0)
    aperture: Aperture = "circle"
    bullseye_rings: int = 3
    bullseye_spokes: int = 4

    def __post_init__(self) -> None:
        if not (math.isfinite(self.energy_eV) and self.energy_eV > 0):
            raise ConfigError(f"energy_eV is {self.energy_eV}", where="Beam", fix="give an energy above 0 in eV")
        if not 0 <= self.semiangle_mrad < 1000:
            raise ConfigError(
                f"semiangle_mrad is {self.semiangle_mrad}", where="Beam", fix="give 0 or more, and below 1000 mrad"
            )
        if self.aperture not in {"circle", "bullseye"}:
            raise ConfigError(f"no aperture {self.aperture!r}", where="Beam", fix="use 'circle' or 'bullseye'")

    @property
    def wavelength_angstrom(self) -> float:
        """Relativistic wavelength."""
        return wavelength_angstrom(self.energy_eV)

    @property
    def interaction_constant(self) -> float:
        """Phase by a projected potential, in rad / (volt angstrom)."""
        return interaction_constant(self.energy_eV)

    @property
    def disk_radius_inv_angstrom(self) -> float:
        """Radius of the bright disk in 1/angstrom."""
        return disk_radius(self.energy_eV, self.semiangle_mrad)

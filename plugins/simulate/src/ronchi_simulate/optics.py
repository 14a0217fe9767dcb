"""The beam and the wave that it makes at the entrance surface: aperture, defocus, position."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ronchi.api import ConfigError
from ronchi.optics import disk_radius, implausible, interaction_constant, wavelength_angstrom

__all__ = ["Beam", "aperture_amplitude", "probe_spectrum"]

Aperture = Literal["circle", "bullseye"]

_SUPERSAMPLING = 8
"""Points a pixel and axis, of which the open ones are counted at the edges of a bullseye."""


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
    bullseye_rings : int
        Opaque rings of the bullseye, as wide as the open ones between them and half as wide as the open centre.
    bullseye_spokes : int
        Opaque spokes that carry the rings, evenly spread from the innermost ring to the rim, half a ring wide.
    """

    energy_eV: float
    semiangle_mrad: float
    defocus_angstrom: float = 0.0
    tilt_mrad: tuple[float, float] = (0.0, 0.0)
    aperture: Aperture = "circle"
    bullseye_rings: int = 3
    bullseye_spokes: int = 4

    def __post_init__(self) -> None:
        if why := implausible(self.energy_eV, "beam_energy_eV"):
            raise ConfigError(
                f"energy_eV is {self.energy_eV}: {why}", where="Beam", fix="give the energy in eV, as 200e3"
            )
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


def aperture_amplitude(beam: Beam, shape: tuple[int, int], q_step_inv_angstrom: float) -> NDArray[np.float32]:
    """Amplitude of the open aperture on a grid of frequencies.

    The rim of a circle falls from 1 to 0 over one pixel, linearly, so that its radius is not whole pixels.

    Parameters
    ----------
    beam : Beam
    shape : tuple of int
        (y, x) of the grid.
    q_step_inv_angstrom : float
        Its step.

    Returns
    -------
    numpy.ndarray
        float32 (y, x), with q = 0 at [0, 0] as Fourier transforms have it, between 0 and 1.

    Raises
    ------
    ConfigError
        The aperture is wider than the grid.
    """
    radius_px = beam.disk_radius_inv_angstrom / q_step_inv_angstrom
    reach_px = math.ceil(radius_px + 0.5)
    if 2 * reach_px + 1 > min(shape):
        raise ConfigError(
            f"an aperture of {beam.semiangle_mrad} mrad has a radius of {radius_px:.1f} px on a grid of "
            f"{shape[0]} x {shape[1]}",
            where="aperture_amplitude",
            fix="use a finer grid of the waves (wave_shape, pattern_shape) or a smaller semiangle",
        )
    offsets = np.arange(-reach_px, reach_px + 1)
    if beam.aperture == "bullseye":
        box = _bullseye(offsets, radius_px, beam.bullseye_rings, beam.bullseye_spokes)
    else:
        box = np.clip(radius_px - np.hypot(offsets[:, None], offsets) + 0.5, 0, 1)
        box[reach_px, reach_px] = 1
    amplitude = np.zeros(shape, np.float32)
    amplitude[np.ix_(offsets, offsets)] = box
    return amplitude


def _bullseye(offsets: NDArray[np.int64], radius_px: float, n_rings: int, n_spokes: int) -> NDArray[np.float64]:
    """Open fraction of the pixels at (offsets, offsets) from the centre of a bullseye."""
    parts = (np.arange(_SUPERSAMPLING) + 0.5) / _SUPERSAMPLING - 0.5
    fine = (offsets[:, None] + parts).ravel()
    qy, qx = fine[:, None], fine
    radius = np.hypot(qy, qx)
    ring_px = radius_px / (2 * n_rings + 2)
    band = np.floor(radius / ring_px)
    # Bands 0 and 1 are the open centre, 2 the first opaque ring, 3 open, ..., the outermost of 2 n + 2 is open.
    open_points = (radius <= radius_px) & ((band < 2) | (band % 2 == 1))
    for spoke in range(n_spokes):
        angle = 2 * math.pi * spoke / n_spokes
        along = qx * math.cos(angle) + qy * math.sin(angle)
        across = qy * math.cos(angle) - qx * math.sin(angle)
        open_points &= ~((along > 2 * ring_px) & (np.abs(across) < ring_px / 4))
    n = len(offsets)
    return open_points.reshape(n, _SUPERSAMPLING, n, _SUPERSAMPLING).mean((1, 3))


def probe_spectrum(beam: Beam, shape: tuple[int, int], q_step_inv_angstrom: float) -> NDArray[np.complex64]:
    """Wave of a probe at position 0 as its Fourier coefficients, of total intensity 1.

    Returns
    -------
    numpy.ndarray
        complex64 (y, x), with q = 0 at [0, 0].

    Raises
    ------
    ConfigError
        The aperture is wider than the grid.
    """
    amplitude = aperture_amplitude(beam, shape, q_step_inv_angstrom)
    spectrum = (amplitude / np.linalg.norm(amplitude)).astype(np.complex64)
    if beam.defocus_angstrom:
        qy, qx = (np.fft.fftfreq(n, 1 / n) * q_step_inv_angstrom for n in shape)
        advance = math.pi * beam.wavelength_angstrom * beam.defocus_angstrom
        spectrum *= np.exp(1j * advance * (qy[:, None] ** 2 + qx**2))
    return spectrum

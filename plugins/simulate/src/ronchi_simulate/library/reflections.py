"""Reciprocal-lattice points that the detector sees, where they lie, how strong they are and how far from the sphere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ronchi.optics import wavelength_angstrom
from ronchi_simulate.library.crystals import Crystal
from ronchi_simulate.multislice.scattering import abtem_scattering, projected_form_factor
from ronchi_simulate.params.library import WeighedFrom

__all__ = ["Reflections", "reflections", "structure_factors"]

_ROWS = 4096
"""Reflections whose phases are held at a time."""


@dataclass(frozen=True, eq=False)
class Reflections:
    """Points of the reciprocal lattice, in one orientation.

    Parameters
    ----------
    hkl : (n, 3) int16
    q_inv_angstrom : (n, 2) float64
        (y, x) on the detector: the centre of the disk, to the accuracy of the paraxial wave equation.
    excitation_error : (n,) float64
        s_g = -(g_z + wavelength q^2 / 2), in 1/angstrom: positive inside the Ewald sphere.
    height_inv_angstrom : (n,) float64
        g_z, distance from the plane through the origin across the beam, in 1/angstrom.
    structure_factor_V : (n,) complex128
        Mean over the cell of V(r) exp(-2 pi i g.r), damped by the thermal motion, for the crystal's own origin.
    """

    hkl: NDArray[np.int16]
    q_inv_angstrom: NDArray[np.float64]
    excitation_error: NDArray[np.float64]
    height_inv_angstrom: NDArray[np.float64]
    structure_factor_V: NDArray[np.complex128]


def reflections(
    crystal: Crystal,
    rotation: NDArray[np.float64],
    *,
    beam_energy_eV: float,
    q_max: float,
    distance_max: float = 0.15,
    near: WeighedFrom = "sphere",
    u_angstrom: float = 0.0,
) -> Reflections:
    """All points within a circle on the detector and near the Ewald sphere, also those that symmetry extinguishes.

    Extinguished points may still light up by multiple scattering, so whoever looks for false positives must know them.
    Of a centred cell those that its centring extinguishes are among them: reflections of the next Laue zone lie there.

    Parameters
    ----------
    crystal : Crystal
    rotation : (3, 3) float64
        Crystal to laboratory.
    beam_energy_eV : float
    q_max : float
        Radius of the circle, in 1/angstrom.
    distance_max : float
        Largest excitation error, in 1/angstrom.
    near : {"sphere", "plane"}
        ``"plane"``: points near the plane through the origin across the beam instead, no farther than that from it.
    u_angstrom : float
        Rms thermal displacement along one axis.

    Returns
    -------
    Reflections
        Sorted by distance from the centre, where (0, 0, 0) lies.
    """
    wavelength = wavelength_angstrom(beam_energy_eV)
    reciprocal = np.linalg.inv(crystal.lattice_angstrom).T @ rotation.T
    deep = wavelength * q_max**2 / 2 + distance_max
    most = np.floor(np.hypot(q_max, deep) * np.linalg.norm(crystal.lattice_angstrom, axis=1)).astype(int)
    hkl = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in most], indexing="ij"), axis=-1).reshape(-1, 3)
    g = hkl @ reciprocal
    q = g[:, 1::-1]
    q_squared = (q**2).sum(axis=1)
    excitation = -(g[:, 2] + wavelength / 2 * q_squared)
    distance = excitation if near == "sphere" else g[:, 2]
    seen = np.flatnonzero((q_squared <= q_max**2) & (np.abs(distance) <= distance_max))
    order = seen[np.lexsort((*hkl[seen].T, np.round(q_squared[seen], 9)))]
    hkl = hkl[order]
    factor = structure_factors(crystal, hkl, (g[order] ** 2).sum(axis=1), u_angstrom)
    return Reflections(hkl.astype(np.int16), q[order], excitation[order], g[order, 2], factor)


def structure_factors(
    crystal: Crystal, hkl: NDArray[np.integer], g_squared: NDArray[np.float64], u_angstrom: float = 0.0
) -> NDArray[np.complex128]:
    """Fourier coefficients of the potential, in volt.

    Independent atoms with the scattering factors of Lobato and Van Dyck 2014 (doi:10.1107/S205327331401643X), isotropic
    thermal motion, the same for all atoms.

    Parameters
    ----------
    crystal : Crystal
    hkl : (n, 3) int
    g_squared : (n,) float64
        Squared lengths in 1/angstrom^2.
    u_angstrom : float
        Rms displacement along one axis.

    Returns
    -------
    (n,) complex128
    """
    found = np.zeros(len(hkl), complex)
    kinds = np.unique(crystal.numbers)
    for start in range(0, len(hkl), _ROWS):
        rows = slice(start, start + _ROWS)
        for number in kinds:
            phase = hkl[rows] @ crystal.fractional[crystal.numbers == number].T
            form = projected_form_factor(abtem_scattering(), int(number), g_squared[rows])
            found[rows] += form * np.exp(-2j * np.pi * phase).sum(axis=1)
    damped: NDArray[np.complex128] = (
        found * np.exp(-2 * np.pi**2 * u_angstrom**2 * g_squared) / crystal.volume_angstrom3
    )
    return damped

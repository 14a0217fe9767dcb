"""The beam that parameters describe, and where its electrons are in a specimen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ronchi_simulate.optics import Beam, probe_spectrum
from ronchi_simulate.params.scan import PatternParams

__all__ = ["beam_of", "probe_profile"]

Array = NDArray[np.float64]

_SAMPLES, _DEPTHS = 4, 9
"""Of a probe's profile: samples to an angstrom and 1/angstrom of radius (its intensity needs 2), and depths."""


def beam_of(params: PatternParams) -> Beam:
    """The beam that the parameters describe, untilted."""
    return Beam(
        energy_eV=params.beam_energy_eV,
        semiangle_mrad=params.semiangle_mrad,
        defocus_angstrom=params.defocus_angstrom,
        aperture=params.aperture,
    )


def probe_profile(params: PatternParams, thickness_angstrom: float) -> tuple[Array, Array, Array]:
    """Where along x the probe's electrons are, at some depths: its intensity, summed over y.

    In vacuum: what the specimen does to the probe on the way is left out.

    Returns
    -------
    depth_angstrom : (m,) float
        Evenly spread over the thickness.
    offset_angstrom : (n,) float
        From the position of the probe, evenly spaced over its window.
    weight : (m, n) float
        They sum to 1 at every depth.
    """
    beam = beam_of(params)
    window = params.binning / params.q_step_inv_angstrom
    n = 2 * int(np.ceil(_SAMPLES * beam.disk_radius_inv_angstrom * window)) + 16
    wave = probe_spectrum(beam, (n, n), 1 / window)
    q = np.fft.fftfreq(n, window / n)
    advance = np.pi * beam.wavelength_angstrom * (q[:, None] ** 2 + q**2)
    depths = thickness_angstrom * (np.arange(_DEPTHS) + 0.5) / _DEPTHS
    weights = np.empty((_DEPTHS, n))
    for depth, weight in zip(depths, weights, strict=True):
        there = np.abs(np.fft.ifft2(wave * np.exp(-1j * depth * advance))) ** 2
        weight[:] = np.fft.fftshift(there.sum(0)) / there.sum()
    return depths, (np.arange(n) - n // 2) * window / n, weights

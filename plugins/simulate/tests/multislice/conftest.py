"""Specimens without any symmetry, and multislice written down directly in double precision."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from numpy.typing import NDArray

from ronchi_simulate.multislice.engine import diffract
from ronchi_simulate.multislice.scattering import abtem_scattering
from ronchi_simulate.optics import Beam

PLANCK2_2PI_M_E = 47.87764724
BAND_LIMIT, TAPER = 2 / 3, 0.01


def structure_factor(atoms: Atoms, qy: NDArray[np.float64], qx: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Sum over atoms, one by one: projected potential in volt angstrom^3 at (qy, 1), (1, qx)."""
    q2 = qy**2 + qx**2
    total = np.zeros(q2.shape, np.complex128)
    for number, (x, y, _), u in zip(atoms.numbers, atoms.positions, atoms.arrays["u_angstrom"], strict=True):
        a, b = np.asarray(abtem_scattering()[number])
        form = sum(ai * (2 + bi * q2) / (1 + bi * q2) ** 2 for ai, bi in zip(a, b, strict=True))
        total += form * np.exp(-2 * np.pi**2 * u**2 * q2 - 2j * np.pi * (qy * y + qx * x))
    return PLANCK2_2PI_M_E * total


def direct_multislice(
    atoms: Atoms, beam: Beam, shape: tuple[int, int], position: tuple[float, float], n_slices: int
) -> NDArray[np.float64]:
    """Diffraction pattern (y, x), q = 0 at N // 2, on a window that is the cell; every step by its formula."""
    size_x, size_y, height = np.diag(atoms.cell.array)
    qy, qx = np.fft.fftfreq(shape[0], size_y / shape[0])[:, None], np.fft.fftfreq(shape[1], size_x / shape[1])[None]
    q = np.hypot(qy, qx)
    coarsest = max(size_y / shape[0], size_x / shape[1])
    inside = np.clip((BAND_LIMIT / (2 * coarsest) - q) * coarsest / TAPER, 0, 1)
    band = (1 - np.cos(np.pi * inside)) / 2
    wavelength, dz = beam.wavelength_angstrom, height / n_slices
    step = 1 / size_y
    wave = np.clip((beam.semiangle_mrad * 1e-3 / wavelength - q) / step + 0.5, 0, 1).astype(np.complex128)
    wave *= np.exp(1j * np.pi * wavelength * beam.defocus_angstrom * q**2)
    wave *= np.exp(-2j * np.pi * (qy * position[0] + qx * position[1]))
    wave /= np.linalg.norm(wave)
    ty, tx = np.tan(np.array(beam.tilt_mrad) * 1e-3)
    free = band * np.exp(-1j * np.pi * wavelength * dz * q**2 - 2j * np.pi * dz * (qy * ty + qx * tx))
    n = shape[0] * shape[1]
    for index in range(n_slices):
        z = atoms.positions[:, 2]
        spectrum = structure_factor(atoms[(z >= index * dz) & (z < (index + 1) * dz)], qy, qx) * band
        volts = np.fft.ifft2(spectrum).real * n / (size_x * size_y)
        transmission = np.fft.ifft2(np.fft.fft2(np.exp(1j * beam.interaction_constant * volts)) * band)
        wave = np.fft.fft2(np.fft.ifft2(wave) * transmission) * free
    return np.fft.fftshift(np.abs(wave) ** 2)


@pytest.fixture(scope="session")
def direct() -> Callable[..., NDArray[np.float64]]:
    return direct_multislice


@pytest.fixture(scope="session")
def projected() -> Callable[..., NDArray[np.complex128]]:
    return structure_factor


@pytest.fixture
def crowd() -> Atoms:
    """60 atoms of four elements anywhere in a box of 12 x 12 x 10 angstrom: no symmetry at all."""
    rng = np.random.default_rng(5)
    positions = rng.uniform(0, [12, 12, 10], (60, 3))
    atoms = Atoms(rng.choice([6, 14, 31, 79], 60), positions, cell=[12, 12, 10], pbc=True)
    atoms.set_array("u_angstrom", np.array([0.05, 0.08])[(atoms.numbers > 20).astype(int)])
    return atoms


@pytest.fixture(scope="session")
def of_12_angstrom() -> Callable[..., NDArray[np.float32]]:
    """Patterns of 64 x 64 of a cell of 12 angstrom, with waves of 96 x 96."""

    def patterns(atoms: Atoms, *beams: Beam, **options: object) -> NDArray[np.float32]:
        return diffract(atoms, beams, pattern_shape=(64, 64), q_step_inv_angstrom=1 / 12, **options)  # type: ignore[arg-type]

    return patterns

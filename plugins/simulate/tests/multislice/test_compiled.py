"""Compiled loops of the CPU: exact where they replace functions of a library, and the same as what a GPU does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ronchi_simulate.multislice import fourier, potential, propagation, spreading, transmission
from ronchi_simulate.optics import Beam

ASKEW = Beam(energy_eV=80e3, semiangle_mrad=25, defocus_angstrom=40, tilt_mrad=(20, -35))


@pytest.mark.parametrize("largest_rad", [0.1, 4.0, 300.0])
def test_phase_factors_are_exact_to_single_precision(largest_rad: float) -> None:
    """Of either sign, over many turns, at multiples of a quarter of a turn and next to them."""
    quarters = np.arange(-190, 191) * (np.pi / 2)
    volts = np.concatenate([np.linspace(-1, 1, 9001) * largest_rad, quarters, np.nextafter(quarters, 9e9)]) * 100
    pair = torch.complex(*(torch.tensor(part, dtype=torch.float32).reshape(1, 1, -1) for part in (volts, -volts)))
    found = torch.empty((2, *pair.shape), dtype=torch.complex64)
    transmission._phase_factors(pair, torch.tensor([0.01]), found)
    phase = torch.view_as_real(pair).numpy() * np.float32(0.01)
    for which in (0, 1):
        # 3e-7: a phase of hundreds of radians is reduced to within a few units of the last place.
        np.testing.assert_allclose(found[which], np.exp(1j * phase[..., which].astype(np.float64)), rtol=0, atol=3e-7)


@pytest.mark.parametrize("has_fftw", [True, False])
def test_operations_of_a_gpu_give_the_same_patterns(has_fftw, of_12_angstrom, crowd, monkeypatch) -> None:
    options = {"positions_angstrom": [[2, 3], [7.7, 4.1]], "exits_angstrom": [0, 6, 10]}
    expected = of_12_angstrom(crowd, ASKEW, **options)
    for module in (potential, propagation, spreading, transmission):
        monkeypatch.setattr(module, "on_a_core", lambda tensor: False)
    if not has_fftw:
        monkeypatch.setattr(fourier, "fftw_planner", lambda: None)
    found = of_12_angstrom(crowd, ASKEW, **options)
    # Single precision through five slices.
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * expected.max())

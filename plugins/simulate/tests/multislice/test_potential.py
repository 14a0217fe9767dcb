from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms

from ronchi.errors import DataError
from ronchi_simulate.multislice import fourier
from ronchi_simulate.multislice.atoms import from_ase
from ronchi_simulate.multislice.fourier import BandTransform
from ronchi_simulate.multislice.grid import WaveGrid
from ronchi_simulate.multislice.potential import SlicedPotential
from ronchi_simulate.multislice.scattering import abtem_scattering, projected_form_factor


def slices(specimens: list[Atoms], n_slices: list[int], grid: WaveGrid) -> np.ndarray:
    """Potentials (slice, specimen, ny, nx) in volt angstrom."""
    transform = BandTransform(grid.band_limit, torch.device("cpu"))
    potential = SlicedPotential([from_ase(one) for one in specimens], n_slices, grid, transform, abtem_scattering())
    found = []
    for n, pair in potential.pairs():
        found += [pair.real.numpy().copy(), pair.imag.numpy().copy()][:n]
    return np.stack(found)


@pytest.mark.parametrize("shape", [(64, 64), (80, 66), (96, 128)])
@pytest.mark.parametrize("has_fftw", [True, False])
def test_potential_is_the_direct_sum_over_atoms(shape, has_fftw, crowd, projected, monkeypatch) -> None:
    if not has_fftw:
        monkeypatch.setattr(fourier, "fftw_planner", lambda: None)
    grid = WaveGrid(shape, (12 / shape[0], 12 / shape[1]))
    found = slices([crowd], [5], grid)
    assert found.shape == (5, 1, *shape)
    for index in range(5):
        z = crowd.positions[:, 2]
        spectrum = projected(crowd[(z >= 2 * index) & (z < 2 * index + 2)], *grid.q_inv_angstrom) * grid.band_limit
        expected = np.fft.ifft2(spectrum).real * grid.n_pixels / 144
        # 1e-5 of the strongest potential: the kernel's error and single precision.
        np.testing.assert_allclose(found[index, 0], expected, atol=1e-5 * np.abs(expected).max())


def test_specimens_of_a_batch_do_not_see_each_other(crowd) -> None:
    grid = WaveGrid((48, 48), (0.25, 0.25))
    light = Atoms("C2", [[3, 4, 1], [8, 2, 7]], cell=[12, 12, 8])
    together = slices([crowd, light], [5, 4], grid)
    np.testing.assert_allclose(together[:, 0], slices([crowd], [5], grid)[:, 0], atol=1e-3)
    np.testing.assert_allclose(together[:4, 1], slices([light], [4], grid)[:, 0], atol=1e-4)
    assert np.abs(together[4, 1]).max() == 0  # beyond the thinner one


def test_atoms_in_part_are_the_mean_alloy() -> None:
    """Half an atom of each of two elements at one place is half of each one's potential."""
    grid = WaveGrid((48, 48), (0.25, 0.25))
    mean = Atoms("SiGe", [[3.3, 4.4, 1]] * 2, cell=[12, 12, 2])
    mean.set_array("occupancy", np.array([0.3, 0.7]))
    silicon, germanium = (
        slices([Atoms(symbol, [[3.3, 4.4, 1]], cell=[12, 12, 2])], [1], grid) for symbol in ("Si", "Ge")
    )
    expected = 0.3 * silicon + 0.7 * germanium
    np.testing.assert_allclose(slices([mean], [1], grid), expected, atol=1e-5 * expected.max())


def test_no_atoms_are_no_potential() -> None:
    empty = Atoms(cell=[12, 12, 4])
    assert np.abs(slices([empty], [2], WaveGrid((32, 32), (0.375, 0.375)))).max() == 0


def test_mean_inner_potential_is_the_form_factor_at_zero() -> None:
    atom = Atoms("Au", [[1.234, 5.678, 0.5]], cell=[12, 12, 1])
    found = slices([atom], [1], WaveGrid((64, 64), (12 / 64, 12 / 64)))
    assert found.mean() * 144 == pytest.approx(
        float(projected_form_factor(abtem_scattering(), 79, np.zeros(1))[0]), rel=1e-5
    )


@pytest.mark.parametrize("symbol", ["H", "C", "Si", "Sr", "Au"])
def test_form_factors_are_those_of_abtem(symbol: str) -> None:
    from abtem.parametrizations import LobatoParametrization
    from ase.data import atomic_numbers

    q_squared = np.linspace(0, 16, 40)
    expected = LobatoParametrization().projected_scattering_factor(symbol)(q_squared)
    found = projected_form_factor(abtem_scattering(), atomic_numbers[symbol], q_squared)
    np.testing.assert_allclose(found, expected, rtol=2e-5)  # abTEM's own constants are single precision


def test_element_without_form_factor_is_refused() -> None:
    with pytest.raises(DataError, match="atomic number 200"):
        projected_form_factor(abtem_scattering(), 200, np.zeros(1))

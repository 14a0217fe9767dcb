from __future__ import annotations

import numpy as np
import pytest
import torch

from ronchi_simulate.multislice import fourier
from ronchi_simulate.multislice.fourier import BandTransform
from ronchi_simulate.multislice.grid import WaveGrid, fast_size


@pytest.mark.parametrize("shape", [(32, 32), (48, 80), (90, 54), (16, 14)])
@pytest.mark.parametrize("has_fftw", [True, False])
def test_a_filter_by_either_library_is_numpys(shape, has_fftw, monkeypatch) -> None:
    if not has_fftw:
        monkeypatch.setattr(fourier, "_fftw_planner", lambda: None)
    rng = np.random.default_rng(1)
    band = WaveGrid(shape, (0.2, 0.2)).band_limit
    factor = band * np.exp(1j * rng.normal(size=shape))
    images = (rng.normal(size=(3, *shape)) + 1j * rng.normal(size=(3, *shape))).astype(np.complex64)
    transform = BandTransform(band, torch.device("cpu"))
    memory = transform.images(3)
    memory[:] = torch.from_numpy(images)
    multiplier = transform.spectra()
    transform.natural(multiplier)[:] = torch.from_numpy(factor)
    for part in (memory[:2], memory[2:]):
        spectrum = transform.forward(part).mul_(multiplier)
        expected = np.fft.fft2(images[:2] if len(part) == 2 else images[2:]) * factor
        np.testing.assert_allclose(transform.natural(spectrum), expected, atol=2e-5 * np.abs(expected).max())
        part[:] = transform.inverse(spectrum, part)
    expected = np.fft.ifft2(np.fft.fft2(images) * factor) * shape[0] * shape[1]
    np.testing.assert_allclose(memory, expected, atol=2e-5 * np.abs(expected).max())


def test_real_spectra_are_laid_out_like_complex_ones() -> None:
    band = WaveGrid((24, 40), (0.2, 0.2)).band_limit
    transform = BandTransform(band, torch.device("cpu"))
    np.testing.assert_array_equal(transform.natural(transform.spectral(band)), band.astype(np.float32))


def test_band_limit_is_two_thirds_of_nyquist_of_the_coarser_axis() -> None:
    grid = WaveGrid((64, 96), (0.25, 0.2))
    q = np.sqrt(grid.q_squared)
    assert (grid.band_limit[q >= 2 / 3 / 0.5] == 0).all()
    assert (grid.band_limit[q <= 2 / 3 / 0.5 - 0.01 / 0.25] == 1).all()


@pytest.mark.parametrize(("n", "expected"), [(96, 96), (97, 98), (384, 384), (385, 392), (131, 132)])
def test_fast_sizes_are_even(n: int, expected: int) -> None:
    assert fast_size(n) == expected

from __future__ import annotations

import subprocess
import sys
from importlib import resources

import numpy as np
import pytest
import torch

from ronchi_simulate.multislice import fftw, fourier
from ronchi_simulate.multislice.fourier import BandTransform
from ronchi_simulate.multislice.grid import WaveGrid, fast_size


@pytest.mark.parametrize("shape", [(32, 32), (48, 80), (90, 54), (16, 14), (64, 64), (96, 96)])
@pytest.mark.parametrize("has_fftw", [True, False])
def test_a_filter_by_either_library_is_numpys(shape, has_fftw, monkeypatch) -> None:
    if not has_fftw:
        monkeypatch.setattr(fourier, "fftw_planner", lambda: None)
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


def test_parts_of_a_larger_stack_are_transformed_where_they_lie() -> None:
    band = WaveGrid((24, 40), (0.2, 0.2)).band_limit
    transform = BandTransform(band, torch.device("cpu"))
    memory = transform.images(2, 3)
    memory[:] = torch.randn(2, 3, 24, 40, dtype=torch.complex64, generator=torch.Generator().manual_seed(2))
    before = memory.clone()
    transform.forward(memory[:, :2])
    torch.testing.assert_close(memory[:, 2], before[:, 2], rtol=0, atol=0)
    memory[:] = before
    spectra = transform.natural(transform.forward(memory[:, :2])).clone()
    inside = torch.from_numpy(band > 0).any(dim=0)
    expected = torch.fft.fft2(before[:, :2])
    torch.testing.assert_close(spectra[..., inside], expected[..., inside], rtol=0, atol=2e-5 * 60)


def test_plans_of_common_sizes_are_the_ones_that_were_found_with_patience() -> None:
    """In a process of its own: abTEM may have taught FFTW other plans in this one."""
    pyfftw = pytest.importorskip("pyfftw")
    known = resources.files("ronchi_simulate.multislice").joinpath(fftw.WISDOM).read_text().split(")")[0]
    if pyfftw.export_wisdom()[1].decode().split("\n")[0].split()[2:] != known.split("\n")[0].split()[2:]:
        pytest.skip("the plans were found with another build of FFTW or on another kind of processor: slower here")
    code = (
        "import numpy as np, torch; from ronchi_simulate.multislice import fftw, fourier, grid\n"
        "flags = []; make = fftw.FftwPlanner._planned\n"
        "fftw.FftwPlanner._planned = lambda self, *a: (flags.append(a[2:]), make(self, *a))[1]\n"
        "for n in (256, 768, 250):\n"
        "    t = fourier.BandTransform(grid.WaveGrid((n, n), (1, 1)).band_limit, torch.device('cpu'))\n"
        "    i = t.images(1); t.inverse(t.forward(i), i); print(n, flags[-1]); flags.clear()\n"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    wise = "('FFTW_PATIENT', 'FFTW_WISDOM_ONLY')"
    assert printed.splitlines() == [f"256 {wise}", f"768 {wise}", "250 ('FFTW_ESTIMATE',)"]


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

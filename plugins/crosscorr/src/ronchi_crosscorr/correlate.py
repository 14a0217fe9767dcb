"""Correlation with a template: two transforms, small batches, and one product for search and refinement."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ronchi_crosscorr.grid import Grid, fill_grid

__all__ = ["Correlation", "Correlator", "filter_spectrum", "limited_threads"]

_CACHE_BYTES = 512 * 1024
"""Patterns correlated at a time fill about this much, so that spectrum and correlation stay in the L2 cache."""


@contextlib.contextmanager
def limited_threads(n: int) -> Iterator[None]:
    """Let the transforms use ``n`` threads: their last bits depend on it, whatever the process allows elsewhere."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Correlation(NamedTuple):
    """What one batch gives; views of buffers that the next batch overwrites.

    Parameters
    ----------
    counts : (n, my, mx) float32 array
        The patterns on the grid.
    values : (n, my, mx) float32 array
        The filtered correlation; in cross mode the height of a lone disk is its counts.
    total : (n,) float32 array
        Sum of a pattern; not finite where the pattern holds NaN or infinity.
    """

    counts: NDArray[np.float32]
    values: NDArray[np.float32]
    total: NDArray[np.float32]


def filter_spectrum(size: tuple[int, int], low_pass_px: float, high_pass_px: float) -> NDArray[np.float64]:
    """Transfer function of the Gaussian low-pass, times one minus that of the Gaussian background (0 leaves it in)."""
    f2 = np.fft.fftfreq(size[0])[:, None] ** 2 + np.fft.rfftfreq(size[1])[None] ** 2
    transfer = np.exp(-2 * np.pi**2 * low_pass_px**2 * f2)
    if high_pass_px > 0:
        transfer *= 1 - np.exp(-2 * np.pi**2 * high_pass_px**2 * f2)
    return np.asarray(transfer)


class Correlator:
    """Correlates patterns with one template.

    Parameters
    ----------
    grid : Grid
    kernel : (my, mx) float64 array
        Template on the padded grid, centred at ``(my // 2, mx // 2)``, with a positive part of sum 1.
    low_pass_px, high_pass_px : float
        Of the grid's pixels.
    power : float
        Exponent of the spectrum's modulus: 1 cross, 0 phase correlation.
    device : str
    """

    def __init__(
        self,
        grid: Grid,
        kernel: NDArray[np.float64],
        low_pass_px: float,
        high_pass_px: float,
        power: float,
        device: str,
    ) -> None:
        self.grid, self.power, self.device = grid, power, torch.device(device)
        spectrum = np.fft.rfft2(np.fft.ifftshift(kernel))
        product = spectrum.conj() * filter_spectrum(grid.padded, low_pass_px, high_pass_px)
        # A disk that looks like the template's positive part and holds N counts shall peak at N.
        disk = np.fft.rfft2(np.fft.ifftshift(np.clip(kernel, 0, None)))
        height = np.fft.irfft2(disk * product, s=grid.padded)[0, 0]
        self.product = torch.from_numpy((product / height).astype(np.complex64)).to(self.device)
        area = grid.padded[0] * grid.padded[1]
        self.batch = max(1, _CACHE_BYTES // (4 * area)) if self.device.type == "cpu" else max(1, 2**26 // area)
        self._work = torch.zeros((self.batch, *grid.padded), dtype=torch.float32)
        self._counts = self._work.numpy()
        self._raw = np.empty((self.batch if grid.binning > 1 else 0, *grid.frame), np.float32)

    def __call__(self, frames: NDArray[Any]) -> Correlation:
        """Correlate ``frames`` (n, qy, qx), n at most `batch`, of any real dtype."""
        n = len(frames)
        fill_grid(frames, self.grid, self._raw[:n], self._counts[:n])
        spectrum = torch.fft.rfft2(self._work[:n].to(self.device))
        total = spectrum[:, 0, 0].real.cpu().numpy().copy()
        if self.power != 1:
            spectrum *= spectrum.abs().clamp_min(1e-20).pow(self.power - 1)
        spectrum *= self.product
        values = torch.fft.irfft2(spectrum, s=self.grid.padded)
        return Correlation(self._counts[:n], values.cpu().numpy(), total)

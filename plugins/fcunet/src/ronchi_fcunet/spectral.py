"""Pooling and kernels in the spectral domain: Rippel, Snoek & Adams, NeurIPS 2015, arXiv:1506.03767."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ronchi_fcunet.complex_layers import as_complex, as_real

__all__ = ["ComplexSpectralPool2d", "SpectralConv2d", "SpectralPool2d", "halved"]


def halved(size: int) -> int:
    """Pixels along an axis after pooling: half of them, rounded up."""
    return (size + 1) // 2


class SpectralPool2d(nn.Module):
    """Keeps the low half of the frequencies of real maps: a band-limited image on a coarser grid, means kept."""

    def forward(self, maps: Tensor) -> Tensor:
        """(n, c, qy, qx) to (n, c, halved qy, halved qx)."""
        return _cropped(torch.fft.fft2(maps.float(), norm="forward"), maps.shape[-2:]).real


class ComplexSpectralPool2d(nn.Module):
    """The same for complex maps as `ronchi_fcunet.complex_layers` holds them."""

    def forward(self, maps: Tensor) -> Tensor:
        """(n, 2 c, qy, qx) to (n, 2 c, halved qy, halved qx)."""
        return as_real(_cropped(torch.fft.fft2(as_complex(maps), norm="forward"), maps.shape[-2:]))


def _cropped(spectrum: Tensor, shape: torch.Size) -> Tensor:
    """Image of the frequencies that the coarser grid holds.

    The highest one of an even grid, -N / 2, has no partner +N / 2 there and is left out: real maps stay real.
    """
    for axis, size in zip((-2, -1), shape, strict=True):
        small = halved(size)
        n_high = (small - 1) // 2
        low = spectrum.narrow(axis, 0, n_high + 1)
        high = spectrum.narrow(axis, size - n_high, n_high) if n_high else spectrum.narrow(axis, 0, 0)
        hole = spectrum.new_zeros([*low.shape[:axis], small - 2 * n_high - 1, *low.shape[axis:][1:]])
        spectrum = torch.cat([low, hole, high], axis)
    return torch.fft.ifft2(spectrum, norm="forward")


class SpectralConv2d(nn.Module):
    """Real convolution whose kernel is learned as its spectrum.

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    size : int
        Side of the kernel, odd.
    """

    def __init__(self, n_in: int, n_out: int, size: int = 3) -> None:
        super().__init__()
        kernel = torch.empty(n_out, n_in, size, size)
        nn.init.kaiming_normal_(kernel)
        self.spectrum = nn.Parameter(torch.view_as_real(torch.fft.fft2(kernel, norm="ortho")))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.padding = size // 2

    def forward(self, maps: Tensor) -> Tensor:
        """(n, n_in, qy, qx) to (n, n_out, qy, qx)."""
        kernel = torch.fft.ifft2(torch.view_as_complex(self.spectrum), norm="ortho").real
        return functional.conv2d(maps, kernel, self.bias, padding=self.padding)

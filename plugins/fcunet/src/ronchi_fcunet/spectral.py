"""Pooling and kernels in the spectral domain: Rippel, Snoek & Adams, NeurIPS 2015, arXiv:1506.03767."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SpectralConv2d", "SpectralPool2d", "halved"]


def halved(size: int) -> int:
    """Pixels along an axis after pooling: half of them, rounded up."""
    return (size + 1) // 2


class SpectralPool2d(nn.Module):
    """Keeps the low half of the frequencies of maps: a band-limited image on a coarser grid, means kept.

    Complex maps are held as their real and imaginary parts, and each part is pooled: the matrices are real.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """(n, c, qy, qx) to (n, c, halved qy, halved qx)."""
        rows, columns = (torch.from_numpy(_pooling(side)).to(maps) for side in maps.shape[-2:])
        return rows @ maps @ columns.T


@lru_cache(maxsize=64)
def _pooling(size: int) -> NDArray[np.float32]:
    """Matrix (halved size, size): to the frequencies that the coarser grid holds, and back from them.

    The highest one of an even grid, -N / 2, has no partner +N / 2 there and is left out: real maps stay real.
    """
    small = halved(size)
    n_high = (small - 1) // 2
    frequency = np.arange(-n_high, n_high + 1)
    apart = (np.arange(small) / small)[:, None] - np.arange(size) / size
    made: NDArray[np.float32] = (np.cos(2 * np.pi * frequency[:, None, None] * apart).sum(0) / size).astype(np.float32)
    return made


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

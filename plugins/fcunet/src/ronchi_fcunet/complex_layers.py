"""Layers on complex feature maps, held as real tensors (n, 2 c, qy, qx): c real parts, then c imaginary parts.

Sources: Trabelsi et al., "Deep complex networks", ICLR 2018, arXiv:1705.09792 (convolution, batch normalisation,
CReLU); Munshi et al., npj Comput. Mater. 8, 254 (2022), doi:10.1038/s41524-022-00939-9, equations (2) to (4).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ComplexBatchNorm2d", "ComplexConv2d", "as_complex", "as_real", "concatenate"]

_EPSILON = 1e-5
"""Added to the variances before they are inverted."""
_MOMENTUM = 0.1
"""Weight of the newest batch in the running moments."""


def as_complex(maps: Tensor) -> Tensor:
    """(n, 2 c, qy, qx) real to (n, c, qy, qx) complex."""
    real, imaginary = maps.chunk(2, 1)
    return torch.complex(real.float(), imaginary.float())


def as_real(maps: Tensor) -> Tensor:
    """(n, c, qy, qx) complex to (n, 2 c, qy, qx) real."""
    return torch.cat([maps.real, maps.imag], 1)


def concatenate(first: Tensor, second: Tensor) -> Tensor:
    """Complex channels of both, real parts with real parts: a plain concatenation would mix them up."""
    (real_a, imaginary_a), (real_b, imaginary_b) = first.chunk(2, 1), second.chunk(2, 1)
    return torch.cat([real_a, real_b, imaginary_a, imaginary_b], 1)


class ComplexConv2d(nn.Module):
    """Convolution with a complex kernel K = K_R + i K_I, equation (3), periodic at the borders.

    The maps are spectra, which are periodic: zeros beyond the highest frequency would be an edge that is not there.

    Parameters
    ----------
    n_in, n_out : int
        Complex channels.
    size : int
        Side of the kernel, odd.
    """

    def __init__(self, n_in: int, n_out: int, size: int = 3) -> None:
        super().__init__()
        self.padding = size // 2
        # He's variance, shared by both parts: |K|^2 is Rayleigh distributed, Trabelsi et al. section 3.6.
        spread = 1 / math.sqrt(n_in * size * size)
        self.real = nn.Parameter(torch.randn(n_out, n_in, size, size) * spread)
        self.imaginary = nn.Parameter(torch.randn(n_out, n_in, size, size) * spread)
        self.bias = nn.Parameter(torch.zeros(2 * n_out))

    def forward(self, maps: Tensor) -> Tensor:
        """(n, 2 n_in, qy, qx) to (n, 2 n_out, qy, qx)."""
        kernel = torch.cat(
            [torch.cat([self.real, -self.imaginary], 1), torch.cat([self.imaginary, self.real], 1)],
        )
        if self.padding:
            maps = functional.pad(maps, [self.padding] * 4, mode="circular")
        return functional.conv2d(maps, kernel, self.bias)


class ComplexBatchNorm2d(nn.Module):
    """Whitens real and imaginary part together, so that their covariance is that of a circular unit variable.

    Two separate normalisations would leave the correlation of the parts, which is what turns the phase into an
    ellipse. Trabelsi et al., section 3.5.
    """

    covariance: Tensor
    mean: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = math.sqrt(0.5)
        self.gain = nn.Parameter(torch.tensor([half, half, 0.0])[:, None].repeat(1, channels))
        """(3, c): real, imaginary and mixed entries of the matrix that scales the whitened parts."""
        self.bias = nn.Parameter(torch.zeros(2, channels))
        self.register_buffer("mean", torch.zeros(2, channels))
        self.register_buffer("covariance", torch.tensor([0.5, 0.5, 0.0])[:, None].repeat(1, channels))

    def forward(self, maps: Tensor) -> Tensor:
        """(n, 2 c, qy, qx) of the same shape."""
        parts = torch.stack(maps.float().chunk(2, 1))
        if self.training:
            mean, covariance = self._moments(parts)
            with torch.no_grad():
                self.mean.lerp_(mean, _MOMENTUM)
                self.covariance.lerp_(covariance, _MOMENTUM)
        else:
            mean, covariance = self.mean, self.covariance
        # Of means many times the spread, half precision would leave a part.
        with torch.autocast(maps.device.type, enabled=False):
            matrix = self._gain() @ _inverse_root(covariance)
            shift = self.bias - torch.einsum("ijc,jc->ic", matrix.movedim(0, -1), mean)
        weight = matrix.movedim(0, -1)[..., None, None]
        real = weight[0, 0] * parts[0] + weight[0, 1] * parts[1] + shift[0, :, None, None]
        imaginary = weight[1, 0] * parts[0] + weight[1, 1] * parts[1] + shift[1, :, None, None]
        return torch.cat([real, imaginary], 1)

    def _moments(self, parts: Tensor) -> tuple[Tensor, Tensor]:
        mean = parts.mean((1, 3, 4))
        centred = parts - mean[:, None, :, None, None]
        mixed = (centred[0] * centred[1]).mean((0, 2, 3))
        return mean, torch.stack([*centred.square().mean((1, 3, 4)), mixed])

    def _gain(self) -> Tensor:
        real, imaginary, mixed = self.gain
        return torch.stack([torch.stack([real, mixed], -1), torch.stack([mixed, imaginary], -1)], -2)


def _inverse_root(covariance: Tensor) -> Tensor:
    """Inverse square root (c, 2, 2) of symmetric matrices given as (3, c): xx, yy, xy. Closed form for 2 x 2."""
    xx, yy, xy = covariance[0] + _EPSILON, covariance[1] + _EPSILON, covariance[2]
    root = torch.sqrt((xx * yy - xy * xy).clamp_min(_EPSILON**2))
    trace = torch.sqrt(xx + yy + 2 * root)
    scale = 1 / (root * trace)
    a, b, c = (yy + root) * scale, (xx + root) * scale, -xy * scale
    return torch.stack([torch.stack([a, c], -1), torch.stack([c, b], -1)], -2)

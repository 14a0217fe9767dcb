"""The three networks of Munshi et al. (2022): U-Net, spectral U-Net and FCU-Net, one skeleton with other parts.

All take patterns and vacuum probes, and give structure-factor images. Two things differ from the code that was
published with the paper, where that departs from the text: skips join complex channels part by part, and the
spectrum has its zero frequency in the middle and periodic borders.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ronchi_fcunet.complex_layers import ComplexBatchNorm2d, ComplexConv2d, as_complex, as_real, concatenate
from ronchi_fcunet.correlation import correlated, correlation_spectrum, image_of_spectrum
from ronchi_fcunet.spectral import SpectralConv2d, SpectralPool2d

__all__ = ["Activation", "FourierUNet", "Variant"]

Variant = Literal["unet", "spectral-unet", "fcunet"]
Activation = Literal["relu", "tanh"]

_WIDEST = 8
"""Most channels of a level, in those of the first."""
_SMALLEST_PX = 4
"""No pooling below this side."""


@dataclass(frozen=True)
class _Parts:
    """What the variants differ in; ``planes`` real planes make a channel."""

    planes: int
    convolution: Callable[[int, int], nn.Module]
    normalisation: Callable[[int], nn.Module]
    pooling: Callable[[], nn.Module]
    join: Callable[[Tensor, Tensor], Tensor]


def _real_convolution(n_in: int, n_out: int) -> nn.Module:
    return nn.Conv2d(n_in, n_out, 3, padding=1)


def _concatenated(first: Tensor, second: Tensor) -> Tensor:
    return torch.cat([first, second], 1)


_PARTS = {
    "unet": _Parts(1, _real_convolution, nn.BatchNorm2d, partial(nn.MaxPool2d, 2, ceil_mode=True), _concatenated),
    "spectral-unet": _Parts(1, SpectralConv2d, nn.BatchNorm2d, SpectralPool2d, _concatenated),
    "fcunet": _Parts(2, ComplexConv2d, ComplexBatchNorm2d, SpectralPool2d, concatenate),
}


class _Block(nn.Sequential):
    """Convolution, normalisation, rectification and dropout, ``depth`` times.

    On complex maps the rectifier works on real and imaginary part: CReLU, equation (4).
    """

    def __init__(
        self, parts: _Parts, n_in: int, n_out: int, depth: int, dropout: float, activation: Activation
    ) -> None:
        layers: list[nn.Module] = []
        for channels in [n_in, *[n_out] * (depth - 1)]:
            rectified = nn.ReLU() if activation == "relu" else nn.Tanh()
            layers += [parts.convolution(channels, n_out), parts.normalisation(n_out), rectified, nn.Dropout(dropout)]
        super().__init__(*layers)


class FourierUNet(nn.Module):
    """Network from patterns and probes to structure-factor images.

    Parameters
    ----------
    variant : str
        ``unet``: real convolutions on the cross-correlation, maximum pooling. ``spectral-unet``: kernels learned as
        spectra, spectral pooling. ``fcunet``: complex convolutions on the spectrum of the cross-correlation, complex
        batch normalisation, spectral pooling; an inverse transform and a real block at the end.
    filters : int
        Channels of the first level; doubled by every level up to eight times as many.
    depth : int
        Convolutions of a block.
    dropout : float
        Share of the values that is dropped in training.
    levels : int
        Most poolings; fewer where the sides would fall below 4 px.
    activation : str
        ``relu`` or ``tanh``, the two that the published search tried.
    """

    def __init__(
        self,
        variant: Variant = "fcunet",
        filters: int = 32,
        depth: int = 4,
        dropout: float = 0.3,
        levels: int = 6,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        parts = self._parts = _PARTS[variant]
        self.settings = {
            "variant": variant, "filters": filters, "depth": depth, "dropout": dropout, "levels": levels,
            "activation": activation,
        }  # fmt: skip
        self.levels = levels
        widths = [filters * min(2**level, _WIDEST) for level in range(levels + 1)]
        block = partial(_Block, parts, depth=depth, dropout=dropout, activation=activation)
        self.down = nn.ModuleList(block(n_in, n_out) for n_in, n_out in zip([1, *widths], widths, strict=False))
        self.pool = parts.pooling()
        self.up = nn.ModuleList(block(n_skip + n_below, n_skip) for n_skip, n_below in itertools.pairwise(widths))
        last = [_Block(_PARTS["unet"], filters, filters, 1, 0.0, activation)] if parts.planes == 2 else []
        final = nn.Conv2d(filters, 1, 3, padding=1)
        # Most of a structure-factor image is empty, and so is what the network begins with.
        nn.init.normal_(final.weight, std=1e-3)
        nn.init.zeros_(final.bias)
        self.head = nn.Sequential(*last, final)

    def forward(self, pattern: Tensor, probe: Tensor) -> Tensor:
        """Structure-factor images (n, qy, qx) of patterns and probes (n or 1, qy, qx), sides even or odd."""
        fourier = self._parts.planes == 2
        maps = as_real(correlation_spectrum(pattern, probe)) if fourier else correlated(pattern, probe)
        maps = self._through(maps, 0)
        if fourier:
            maps = image_of_spectrum(as_complex(maps))
        return self.head(maps)[:, 0]

    def _through(self, maps: Tensor, level: int) -> Tensor:
        maps = self.down[level](maps)
        if level == self.levels or min(maps.shape[-2:]) < 2 * _SMALLEST_PX:
            return maps
        below = self._through(self.pool(maps), level + 1)
        below = functional.interpolate(below, size=maps.shape[-2:], mode="nearest")
        return self.up[level](self._parts.join(maps, below))

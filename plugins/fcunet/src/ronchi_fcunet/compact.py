"""A compact detector: where disks are, how sure that is, and how strong their structure factors, in one pass.

A U-Net of fewer than two million weights on half the pixels of the pattern. What it sees is prepared by Fourier
transforms: the pattern with its noise made even, and its correlations with the probe, which make a disk of any size
and shape, bullseye or overlapping, a maximum at its centre. The radius of the disks modulates all levels (Perez et
al., FiLM, AAAI 2018, arXiv:1709.07871); attention at the coarse levels sees the whole lattice.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ronchi_fcunet.views import N_VIEWS, probe_radius_px, views

__all__ = ["STRIDE_PX", "CompactDetector", "DiskMaps"]

STRIDE_PX = 2
"""Pixels of a pattern along the side of a cell: a disk centre falls into one cell."""
_LEAST_LOG_SIGMA, _MOST_LOG_SIGMA = -4.5, 1.5
"""Bounds of the logarithm of a position's standard deviation in px."""
_RADIUS_FEATURES = 8
_MIDDLE_LOG_RADIUS = 1.5
"""Logarithm of 4.5 px, in the middle of the radii that are met."""


@dataclass(frozen=True)
class DiskMaps:
    """What the network says about every cell, maps (n, cy, cx) or (n, 2, cy, cx), order (y, x).

    Parameters
    ----------
    logit : Tensor
        Log-odds that a disk centre lies in the cell.
    offset_px : Tensor
        Centre relative to that of the cell.
    log_sigma : Tensor
        Logarithm of the standard deviations, px.
    correlation : Tensor
        Of the errors along y and x.
    amplitude : Tensor
        Structure factor over the largest of the pattern, direct beam left out.
    """

    logit: Tensor
    offset_px: Tensor
    log_sigma: Tensor
    correlation: Tensor
    amplitude: Tensor


class _Residual(nn.Module):
    """Two convolutions beside a shortcut, scaled and shifted by the radius of the disks."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)])
        self.modulation = nn.Linear(_RADIUS_FEATURES, 2 * channels)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, maps: Tensor, radius: Tensor) -> Tensor:
        scale, shift = self.modulation(radius)[:, :, None, None].chunk(2, 1)
        inner = functional.silu(self.norms[0](self.first(maps)) * (1 + scale) + shift)
        return functional.silu(maps + self.norms[1](self.second(inner)))


class _Attention(nn.Module):
    """Every cell looks at every other: a lattice shows in pairs of disks, however far apart."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(channels), nn.LayerNorm(channels)])
        self.queries = nn.Linear(channels, 3 * channels)
        self.join = nn.Linear(channels, channels)
        self.mix = nn.Sequential(nn.Linear(channels, 2 * channels), nn.SiLU(), nn.Linear(2 * channels, channels))

    def forward(self, maps: Tensor) -> Tensor:
        n, channels, height, width = maps.shape
        tokens = maps.flatten(2).mT
        inner = self.norms[0](tokens) + _places(height, width, channels, maps.device)
        split = self.queries(inner).reshape(n, -1, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(*split).transpose(1, 2).reshape(n, -1, channels)
        tokens = tokens + self.join(seen)
        tokens = tokens + self.mix(self.norms[1](tokens))
        return tokens.mT.reshape(n, channels, height, width)


def _places(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """Sines and cosines (height * width, channels) of the place relative to the middle, periods 2 to 128 cells."""
    n = channels // 4
    periods = 2.0 * 64.0 ** (torch.arange(n, device=device) / max(1, n - 1))
    rows = (torch.arange(height, device=device) - height // 2)[:, None] * (2 * torch.pi / periods)
    columns = (torch.arange(width, device=device) - width // 2)[:, None] * (2 * torch.pi / periods)
    waves = [rows.sin(), rows.cos(), columns.sin(), columns.cos()]
    grid = [w[:, None].expand(-1, width, -1) for w in waves[:2]] + [w[None].expand(height, -1, -1) for w in waves[2:]]
    made = torch.cat(grid, -1).reshape(height * width, -1)
    return functional.pad(made, (0, channels - made.shape[1]))


class CompactDetector(nn.Module):
    """Patterns and probes in, maps of disks out; any size of pattern.

    Parameters
    ----------
    widths : tuple of int
        Channels at strides 2, 4, 8, …; the last ones are those of the attention.
    blocks : int
        Residual blocks of a level, on either way.
    attention : int
        Layers of attention at the coarsest level.
    """

    def __init__(self, widths: tuple[int, ...] = (24, 48, 96, 128), blocks: int = 2, attention: int = 2) -> None:
        super().__init__()
        self.settings = {"widths": list(widths), "blocks": blocks, "attention": attention}
        self.radius = nn.Sequential(
            nn.Linear(1, _RADIUS_FEATURES), nn.SiLU(), nn.Linear(_RADIUS_FEATURES, _RADIUS_FEATURES)
        )
        self.stem = nn.Sequential(
            nn.Conv2d(N_VIEWS, widths[0], 5, stride=STRIDE_PX, padding=2, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.SiLU(),
        )
        self.down = nn.ModuleList(_levels(widths, blocks))
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in itertools.pairwise(widths))
        self.attention = nn.Sequential(*[_Attention(widths[-1], max(1, widths[-1] // 32)) for _ in range(attention)])
        self.grow = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in itertools.pairwise(widths))
        self.up = nn.ModuleList(_levels(widths[:-1], blocks))
        self.head = nn.Conv2d(widths[0], 7, 1)
        # It begins by finding nothing, at the middle of every cell, with errors of about a pixel.
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        nn.init.constant_(self.head.bias[:1], -4.0)
        # Convolutions of few channels take four fifths of the time with the channels next to each other.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, pattern: Tensor, probe: Tensor) -> DiskMaps:
        """Maps of patterns (n, qy, qx).

        Parameters
        ----------
        pattern, probe : (n, qy, qx) float32 Tensor
            Counts in any unit; the probe, centred at N // 2, may be one for all, (1, qy, qx).
        """
        height, width = pattern.shape[-2:]
        maps = self.stem(views(pattern, probe, STRIDE_PX * 2 ** len(self.shrink)))
        radius = self.radius(torch.log(probe_radius_px(probe).clamp_min(0.5))[:, None] - _MIDDLE_LOG_RADIUS)
        radius = radius.expand(pattern.shape[0], -1)
        skips = []
        for level, blocks in enumerate(self.down):
            for block in blocks:
                maps = block(maps, radius)
            if level < len(self.shrink):
                skips.append(maps)
                maps = self.shrink[level](maps)
        maps = self.attention(maps)
        for level in reversed(range(len(self.up))):
            maps = self.grow[level](maps) + skips[level]
            for block in self.up[level]:
                maps = block(maps, radius)
        maps = maps[..., : -(-height // STRIDE_PX), : -(-width // STRIDE_PX)]
        # Offsets in half precision would come in steps of hundredths of a pixel.
        with torch.autocast(maps.device.type, enabled=False):
            made = self.head(maps.float())
        return DiskMaps(
            logit=made[:, 0],
            offset_px=made[:, 1:3],
            log_sigma=made[:, 3:5].clamp(_LEAST_LOG_SIGMA, _MOST_LOG_SIGMA),
            correlation=0.95 * torch.tanh(made[:, 5]),
            amplitude=functional.softplus(made[:, 6]),
        )


def _levels(widths: tuple[int, ...], blocks: int) -> list[nn.ModuleList]:
    return [nn.ModuleList(_Residual(width) for _ in range(blocks)) for width in widths]

"""Layers of the compact detector."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["RADIUS_FEATURES", "Attention", "Residual"]

RADIUS_FEATURES = 8
"""Numbers that stand for the radius of the disks."""


class Residual(nn.Module):
    """Two convolutions beside a shortcut, scaled and shifted by the radius of the disks."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)])
        self.modulation = nn.Linear(RADIUS_FEATURES, 2 * channels)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, maps: Tensor, radius: Tensor) -> Tensor:
        """Maps (n, c, cy, cx) of maps of the same shape and the features (n, RADIUS_FEATURES) of a radius."""
        scale, shift = self.modulation(radius)[:, :, None, None].chunk(2, 1)
        inner = functional.silu(self.norms[0](self.first(maps)) * (1 + scale) + shift)
        return functional.silu(maps + self.norms[1](self.second(inner)))


class Attention(nn.Module):
    """Every cell looks at every other: a lattice shows in pairs of disks, however far apart."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # Of 32 channels each, or of the next number above that shares them out.
        self.heads = next(n for n in range(max(1, channels // 32), 0, -1) if channels % n == 0)
        self.norms = nn.ModuleList([nn.LayerNorm(channels), nn.LayerNorm(channels)])
        self.queries = nn.Linear(channels, 3 * channels)
        self.join = nn.Linear(channels, channels)
        self.mix = nn.Sequential(nn.Linear(channels, 2 * channels), nn.SiLU(), nn.Linear(2 * channels, channels))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (n, c, cy, cx) of maps of the same shape."""
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

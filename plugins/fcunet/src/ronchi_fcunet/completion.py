"""A second look of the compact detector: at where disks must lie, given those that it has found.

The lattice of a pattern is never fitted, since there may be several, distorted or of several zones. Instead every
three disks vote for a fourth: if there are disks at a, b and c, there is a lattice point at a + b - c. Where many of
these votes fall together lies a node, however dark. Three Fourier transforms count them all.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from ronchi_fcunet.compact_layers import Residual
from ronchi_fcunet.focal import log_odds
from ronchi_fcunet.maps import (
    AMPLITUDE_CHANNEL,
    LIT_CHANNEL,
    LOGIT_CHANNEL,
    N_MAPS,
    STRIDE_PX,
    DiskMaps,
    disk_maps,
)

__all__ = ["Completion", "lattice_votes"]

_LEAST_PROBABILITY = 0.1
"""Of a disk that votes."""
_SPREAD_PX = 0.8
"""Standard deviation of a vote: the errors of three positions, and a little distortion over the pattern."""
_VOTES_OF_A_NODE = 1 / 30
"""Share of the square of the number of disks that votes for a node in the middle of a full lattice."""
_UNITS = 2.0**32
"""Of a vote, where votes are added as integers."""
_N_SEEN = 3 + 2 * STRIDE_PX**2 + 1
"""Log-odds of disks and of light, amplitude, two views of the votes at every pixel of a cell, and the distance."""
_LOGIT_UNIT = 3.0


def lattice_votes(maps: DiskMaps) -> tuple[Tensor, Tensor]:
    """Votes for every pixel (n, STRIDE_PX * cy, STRIDE_PX * cx), and the number (n, 1, 1) of disks that voted.

    A disk votes with the square of its probability.
    """
    n, height, width = maps.logit.shape
    rows, columns = STRIDE_PX * height, STRIDE_PX * width
    probability = torch.sigmoid(log_odds(maps.logit, maps.amplitude))
    weight = torch.where(probability > _LEAST_PROBABILITY, probability.square(), 0.0)
    middle, device = (STRIDE_PX - 1) / 2, weight.device
    y = STRIDE_PX * torch.arange(height, device=device)[:, None] + middle + maps.offset_px[:, 0]
    x = STRIDE_PX * torch.arange(width, device=device) + middle + maps.offset_px[:, 1]
    # In two steps, since the exporter to ONNX does not know both bounds at once.
    y, x = y.clamp_min(0).clamp_max(rows - 1.001), x.clamp_min(0).clamp_max(columns - 1.001)
    top, left = y.floor(), x.floor()
    disks = torch.zeros(n, rows * columns, device=device, dtype=_summed_as(device))
    # Each disk is shared by the four pixels around it.
    for down, right in itertools.product((0, 1), (0, 1)):
        share = (1 - down - top + y if down else 1 + top - y) * (x - left if right else 1 + left - x)
        place = ((top + down) * columns + left + right).long()
        disks = disks.scatter_add(1, place.flatten(1), _counted(weight * share, disks.dtype).flatten(1))
    if not disks.is_floating_point():
        disks = disks.to(weight.dtype) / _UNITS
    # Twice the size: no vote comes back in from the other side.
    spectrum = torch.fft.rfft2(functional.pad(disks.view(n, rows, columns), (0, columns, 0, rows)))
    votes = spectrum * (spectrum.abs().square() * _spread(2 * rows, 2 * columns, device))
    counted = torch.fft.irfft2(votes, s=(2 * rows, 2 * columns))[:, :rows, :columns].clamp_min(0)
    return counted, weight.flatten(1).sum(1)[:, None, None]


def _summed_as(device: torch.device) -> torch.dtype:
    """A GPU adds in any order: of integers the sum is always the same."""
    return torch.float32 if device.type == "cpu" else torch.int64


def _counted(votes: Tensor, dtype: torch.dtype) -> Tensor:
    return votes if dtype.is_floating_point else (votes * _UNITS).round().to(dtype)


def _spread(rows: int, columns: int, device: torch.device) -> Tensor:
    """Fourier transform of a Gaussian, laid out as `torch.fft.rfft2` has it."""
    row, column = torch.arange(rows, device=device), torch.arange(columns // 2 + 1, device=device)
    squared = (torch.minimum(row, rows - row) / rows).square()[:, None] + (column / columns).square()
    return torch.exp(-2 * (torch.pi * _SPREAD_PX) ** 2 * squared)


class Completion(nn.Module):
    """Corrects what a first look has said, by the votes of the disks in it.

    Parameters
    ----------
    features : int
        Channels of the maps from which the first look was read.
    widths : tuple of int
        Channels at strides 1, 2, 4, … of the cells.
    """

    def __init__(self, features: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(features + _N_SEEN, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.SiLU()
        )
        self.down = nn.ModuleList(Residual(width) for width in widths)
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in itertools.pairwise(widths))
        self.last = Residual(widths[-1])
        self.grow = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in itertools.pairwise(widths))
        self.up = nn.ModuleList(Residual(width) for width in widths[:-1])
        self.head = nn.Conv2d(widths[0], N_MAPS, 1)
        # It begins by leaving the first look as it was.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, features: Tensor, made: Tensor, radius: Tensor) -> Tensor:
        """What the head should have made of features (n, c, cy, cx), where it has made (n, N_MAPS, cy, cx)."""
        height, width = made.shape[-2:]
        multiple = 2 ** len(self.shrink)
        seen = functional.pad(torch.cat([features, _seen(made)], 1), (0, -width % multiple, 0, -height % multiple))
        maps, skips = self.stem(seen.contiguous(memory_format=torch.channels_last)), []
        for level, block in enumerate(self.down):
            maps = block(maps, radius)
            if level < len(self.shrink):
                skips.append(maps)
                maps = self.shrink[level](maps)
        maps = self.last(maps, radius)
        for level in reversed(range(len(self.up))):
            maps = self.up[level](self.grow[level](maps) + skips[level], radius)
        with torch.autocast(maps.device.type, enabled=False):
            correction: Tensor = self.head(maps.float())
        return made + correction[..., :height, :width]


def _seen(made: Tensor) -> Tensor:
    """What the second look sees of the first: maps (n, _N_SEEN, cy, cx)."""
    n, _, height, width = made.shape
    with torch.autocast(made.device.type, enabled=False):
        votes, voters = lattice_votes(disk_maps(made))
    share = (votes / (_VOTES_OF_A_NODE * voters.clamp_min(1).square())).sqrt()
    nodes = functional.pixel_unshuffle(torch.stack([share, 0.5 * torch.log1p(votes)], 1), STRIDE_PX)
    rows = (torch.arange(height, device=made.device) - height // 2) / (height / 2)
    columns = (torch.arange(width, device=made.device) - width // 2) / (width / 2)
    away = (rows[:, None].square() + columns.square()).sqrt().expand(n, 1, -1, -1)
    disk, amplitude, lit = (made[:, [c]] for c in (LOGIT_CHANNEL, AMPLITUDE_CHANNEL, LIT_CHANNEL))
    return torch.cat([disk / _LOGIT_UNIT, amplitude, nodes, away, lit / _LOGIT_UNIT], 1)

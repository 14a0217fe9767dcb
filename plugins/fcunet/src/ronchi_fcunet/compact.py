"""A compact detector: where disks are, how sure that is, and how strong their structure factors, in one pass.

A U-Net of fewer than two million weights on half the pixels of the pattern. What it sees is prepared by Fourier
transforms: the pattern with its noise made even, and its correlations with the probe, which make a disk of any size
and shape, bullseye or overlapping, a maximum at its centre. The radius of the disks modulates all levels (Perez et
al., FiLM, AAAI 2018, arXiv:1709.07871); attention at the coarse levels sees the whole lattice. What is read from it is
a first look; the second one, `ronchi_fcunet.completion`, finds the dark nodes of the lattice that the first has found.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from ronchi_fcunet.compact_layers import RADIUS_FEATURES, Attention, Residual
from ronchi_fcunet.completion import Completion
from ronchi_fcunet.maps import N_MAPS, STRIDE_PX, DiskMaps, disk_maps
from ronchi_fcunet.views import N_VIEWS, probe_radius_px, views

__all__ = ["CompactDetector"]

_MIDDLE_LOG_RADIUS = 1.5
"""Logarithm of 4.5 px, in the middle of the radii that are met."""


class CompactDetector(nn.Module):
    """Patterns and probes in, maps of disks out; any size of pattern.

    Parameters
    ----------
    widths : tuple of int
        Channels at strides 2, 4, 8, …; the last ones are those of the attention.
    blocks : int
        Residual blocks of a level, on either way; the coarsest has one.
    attention : int
        Layers of attention at the coarsest level.
    completion : tuple of int
        Channels of the second look at strides 2, 4, 8, …; without any, the first look is the only one.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (24, 48, 96, 128),
        blocks: int = 2,
        attention: int = 2,
        completion: tuple[int, ...] = (24, 48, 64),
    ) -> None:
        super().__init__()
        self.settings = {
            "widths": list(widths), "blocks": blocks, "attention": attention, "completion": list(completion),
        }  # fmt: skip
        self.radius = nn.Sequential(
            nn.Linear(1, RADIUS_FEATURES), nn.SiLU(), nn.Linear(RADIUS_FEATURES, RADIUS_FEATURES)
        )
        self.stem = nn.Sequential(
            nn.Conv2d(N_VIEWS, widths[0], 5, stride=STRIDE_PX, padding=2, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.SiLU(),
        )
        self.down = nn.ModuleList([*_levels(widths[:-1], blocks), *_levels(widths[-1:], 1)])
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in itertools.pairwise(widths))
        self.attention = nn.Sequential(*[Attention(widths[-1]) for _ in range(attention)])
        self.grow = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in itertools.pairwise(widths))
        self.up = nn.ModuleList(_levels(widths[:-1], blocks))
        self.head = nn.Conv2d(widths[0], N_MAPS, 1)
        # It begins by finding nothing, at the middle of every cell, with errors of about a pixel.
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        nn.init.constant_(self.head.bias[:1], -4.0)
        self.completion = nn.ModuleList([Completion(widths[0], completion)] if completion else [])
        # Convolutions of few channels take four fifths of the time with the channels next to each other.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, pattern: Tensor, probe: Tensor) -> DiskMaps | list[DiskMaps]:
        """Maps of patterns (n, qy, qx); in training those of both looks.

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
            looks = [self.head(maps.float())]
        # A look is judged for itself, and learns nothing by what the next one makes of it.
        looks += [completion(maps, looks[-1].detach(), radius) for completion in self.completion]
        return [disk_maps(made) for made in looks] if self.training else disk_maps(looks[-1])


def _levels(widths: tuple[int, ...], blocks: int) -> list[nn.ModuleList]:
    return [nn.ModuleList(Residual(width) for _ in range(blocks)) for width in widths]

"""A small U-Net for semantic segmentation: every pixel gets the odds of each class."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["UNet"]


class UNet(nn.Module):
    """U-Net (Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28) with batch norms, for images of any size.

    Parameters
    ----------
    widths : tuple of int
        Channels at strides 1, 2, 4, …
    classes : int
        Species and the background, which comes first.
    """

    def __init__(self, widths: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.widths, self.classes = tuple(widths), classes
        self.down = nn.ModuleList(_block(a, b) for a, b in zip((1, *widths[:-1]), widths, strict=True))
        self.up = nn.ModuleList(_block(a + b, a) for a, b in pairwise(widths))
        self.head = nn.Conv2d(widths[0], classes, 1)

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments that make a network of the same shape."""
        return {"widths": list(self.widths), "classes": self.classes}

    @property
    def stride(self) -> int:
        """Sides of images must be multiples of it."""
        return int(2 ** (len(self.widths) - 1))

    @property
    def reach_px(self) -> int:
        """Distance from which pixels have a say in the class of one."""
        # Two convolutions on the way down and two on the way up at every stride, and the rest of a pooled pixel.
        both_ways = sum(4 * 2**level for level in range(len(self.widths) - 1))
        return both_ways + 2 * self.stride + self.stride - 1

    def forward(self, image: Tensor) -> Tensor:
        """Log odds (n, classes, y, x) of images (n, 1, y, x) whose sides are multiples of `stride`."""
        kept = []
        for level, block in enumerate(self.down):
            image = block(image if level == 0 else functional.max_pool2d(image, 2))
            kept.append(image)
        image = kept.pop()
        for block in reversed(self.up):
            image = block(torch.cat([kept.pop(), functional.interpolate(image, scale_factor=2.0)], 1))
        odds: Tensor = self.head(image)
        return odds


def _block(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (before, after):
        layers += [nn.Conv2d(width, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)

"""What can be trained, and on what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Phase", "PixelModel", "Samples", "Trainable"]


@dataclass(frozen=True)
class Phase:
    """What is learned in an epoch.

    Parameters
    ----------
    starts : int
        Turns that are tried for every image.
    content : bool
        False: the latents are 0, only poses are learned.
    """

    starts: int = 1
    content: bool = True


class Trainable(nn.Module):
    """What can be trained: called with values, condition, noise and phase it gives the bound of every image."""

    n_noise: int
    """Random numbers that an image needs."""

    one_thread = False
    """Its operations are so small that threads wait for each other longer than they work."""

    n_cached: int | None = None
    """Images whose hidden layers fit into the cache of a processor together; None: any number."""

    def forward(self, values: Tensor, condition: Tensor, noise: Tensor, phase: Phase) -> Tensor:
        """Lower bound (n,) of the log-likelihood of images, given by numbers (n, numbers), in nats."""
        raise NotImplementedError


class PixelModel(Trainable):
    """A model of the pixels of images."""

    def standardise(self, values: Tensor) -> None:
        """Set the units of images (n, pixels), before the training."""
        raise NotImplementedError

    def survey(self, parts: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Note where the latents of all images are, after the training; they come in parts, with their conditions."""
        raise NotImplementedError


@dataclass(frozen=True)
class Samples:
    """Images to learn from.

    Parameters
    ----------
    values : (n, numbers) float32 Tensor
    condition : (n, conditions) float32 Tensor
        One-hot; no columns if nothing is given.
    """

    values: Tensor
    condition: Tensor

    def to(self, device: torch.device) -> Samples:
        """Copy on another device."""
        return Samples(self.values.to(device), self.condition.to(device))

    def at(self, rows: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Values and conditions of some."""
        return self.values[rows], self.condition[rows]

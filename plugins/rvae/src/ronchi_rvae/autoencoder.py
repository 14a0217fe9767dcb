"""An autoencoder of upright images with a decoder that is seen at any angle, and its training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ronchi_rvae.marginal import Likelihood

__all__ = ["Autoencoder", "Schedule", "train"]

Floats = NDArray[np.float32]


class Autoencoder(nn.Module):
    """Two hidden layers to the mean and the spread of the latents, two back to canonical coefficients.

    Parameters
    ----------
    dof : int
        Real numbers that describe an image.
    n_latent, hidden : int
    likelihood : Likelihood
    """

    centre: Tensor
    unit: Tensor
    canonical_centre: Tensor
    canonical_unit: Tensor

    def __init__(self, dof: int, n_latent: int, hidden: int, likelihood: Likelihood) -> None:
        super().__init__()
        self.n_latent = n_latent
        self.encoder = _layers(dof, hidden, 2 * n_latent)
        self.decoder = _layers(n_latent, hidden, dof)
        self.likelihood = likelihood
        self.register_buffer("centre", torch.zeros(dof))
        self.register_buffer("unit", torch.ones(()))
        self.register_buffer("canonical_centre", torch.zeros(dof))
        self.register_buffer("canonical_unit", torch.ones(()))

    def standardise(self, upright: Tensor, canonical_mean: Tensor, canonical_unit: float) -> None:
        """Set the units in which the layers see images and give canonical ones."""
        self.centre.copy_(upright.mean(0))
        self.unit.copy_((upright - self.centre).square().mean().sqrt().clamp_min(1e-12))
        self.canonical_centre.copy_(canonical_mean)
        self.canonical_unit.fill_(canonical_unit)

    def encode(self, upright: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance (n, n_latent) of the latents."""
        mean, log_variance = self.encoder((upright - self.centre) / self.unit).chunk(2, dim=1)
        return mean, log_variance.clamp(-12.0, 4.0)

    def decode(self, z: Tensor) -> Tensor:
        """Canonical coefficients (n, dof)."""
        canonical: Tensor = self.canonical_centre + self.canonical_unit * self.decoder(z)
        return canonical

    def bound(self, upright: Tensor, noise: Tensor) -> Tensor:
        """(n,) evidence lower bound in nats, at one draw of the latents."""
        mean, log_variance = self.encode(upright)
        z = mean + noise * torch.exp(0.5 * log_variance)
        divergence = 0.5 * (mean**2 + torch.exp(log_variance) - 1 - log_variance).sum(1)
        evidence: Tensor = self.likelihood(self.decode(z), upright)
        return evidence - divergence


@dataclass(frozen=True)
class Schedule:
    """How long and in which steps to train.

    Parameters
    ----------
    epochs, batch : int
    learning_rate : float
        Of Adam at the start; it falls to 0 along a cosine.
    refresh : int
        Epochs between two calls of ``refine``.
    """

    epochs: int
    batch: int
    learning_rate: float
    refresh: int = 10


def train(
    model: Autoencoder,
    upright: Floats,
    schedule: Schedule,
    generator: torch.Generator,
    refine: Callable[[Floats], Floats],
    tick: Callable[[int], None],
) -> list[float]:
    """Raise the evidence lower bound.

    Parameters
    ----------
    upright : (n, dof) float32
        Images, turned back.
    generator : torch.Generator
        Of the device ``cpu``: order of the samples and noise are the same on all devices.
    refine : callable
        Given canonical coefficients (n, dof) of all images, turns the images back better.
    tick : callable
        Called with the number of finished epochs; may raise to stop.

    Returns
    -------
    list of float
        Mean bound of an image in every epoch, nats.
    """
    device = model.centre.device
    data = torch.from_numpy(upright).to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=schedule.learning_rate)
    curve = []
    for epoch in range(schedule.epochs):
        for group in optimiser.param_groups:
            group["lr"] = schedule.learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / schedule.epochs))
        total = torch.zeros((), device=device)
        order = torch.randperm(len(data), generator=generator)
        for rows in torch.split(order, schedule.batch):
            noise = torch.randn(len(rows), model.n_latent, generator=generator).to(device)
            bound = model.bound(data[rows.to(device)], noise).sum()
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(-bound / len(rows))
            nn.utils.clip_grad_norm_(model.parameters(), 100.0)
            optimiser.step()
            total += bound.detach()
        curve.append(float(total) / len(data))
        if (epoch + 1) % schedule.refresh == 0 and epoch + 1 < schedule.epochs:
            with torch.no_grad():
                canonical = model.decode(model.encode(data)[0])
            data = torch.from_numpy(refine(canonical.cpu().numpy())).to(device)
        tick(epoch + 1)
    return curve


def _layers(n_in: int, hidden: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(n_in, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, n_out)
    )

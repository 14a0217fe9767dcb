"""An autoencoder of upright images with a decoder that is seen at any angle."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ronchi_rvae.marginal import Likelihood
from ronchi_rvae.trainable import Phase, Trainable

__all__ = ["Autoencoder", "divergence"]


class Autoencoder(Trainable):
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
    one_thread = True

    def __init__(self, dof: int, n_latent: int, hidden: int, likelihood: Likelihood) -> None:
        super().__init__()
        self.n_noise = n_latent
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

    def forward(self, values: Tensor, condition: Tensor, noise: Tensor, phase: Phase) -> Tensor:
        """Lower bound (n,) of upright images (n, dof) at one draw of the latents, in nats."""
        mean, log_variance = self.encode(values)
        z = mean + noise * torch.exp(0.5 * log_variance)
        evidence: Tensor = self.likelihood(self.decode(z), values)
        return evidence - divergence(mean, log_variance)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """(n,) divergence of normal posteriors of latents (n, n_latent) from their prior, nats."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)


def _layers(n_in: int, hidden: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(n_in, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, n_out)
    )

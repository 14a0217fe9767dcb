"""A convolutional autoencoder: 32 and 64 filters of 3 x 3 with stride 2, and their transposes.

Source: Kalinin et al. 2021, Sci. Adv. 7, eabd5084, doi:10.1126/sciadv.abd5084, Materials and Methods.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ronchi_rvae.networks import log_likelihood
from ronchi_rvae.trainable import Phase, PixelModel

__all__ = ["ConvAutoencoder"]


class ConvAutoencoder(PixelModel):
    """Two convolutions, a dense layer to the latents, and back.

    The bound is the log-likelihood of the images with noise of one learned variance: its maximum is the least squared
    error of the paper.

    Parameters
    ----------
    used : (ny, nx) bool Tensor
        Pixels that are learned; the others are seen as the mean.
    n_latent : int
    """

    used: Tensor
    centre: Tensor
    spread: Tensor
    n_noise = 0

    def __init__(self, used: Tensor, n_latent: int) -> None:
        super().__init__()
        shape = used.shape
        half = tuple((n + 1) // 2 for n in shape)
        quarter = tuple((n + 1) // 2 for n in half)
        flat = 64 * quarter[0] * quarter[1]
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(flat, n_latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(n_latent, flat),
            nn.Unflatten(1, (64, *quarter)),
            nn.ConvTranspose2d(64, 64, 3, stride=2, padding=1, output_padding=_rest(half)),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=_rest(shape)),
            nn.ReLU(),
            nn.Conv2d(32, 1, 3, padding=1),
        )
        self.log_variance = nn.Parameter(torch.zeros(()))
        self.register_buffer("used", used, persistent=False)
        self.register_buffer("centre", torch.zeros(int(used.sum())))
        self.register_buffer("spread", torch.ones(()))

    def standardise(self, values: Tensor) -> None:
        """Set the image (pixels,) about which images are seen and drawn."""
        self.centre.copy_(values.mean(0))

    def forward(self, values: Tensor, condition: Tensor, noise: Tensor, phase: Phase) -> Tensor:
        """Log-likelihood (n,) of images (n, pixels) given their reconstruction, in nats."""
        return log_likelihood("gaussian", self.decode(self.encode(values)), values, self.log_variance.clamp_min(-12.0))

    @torch.no_grad()
    def survey(self, parts: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Note how far the latents of images spread."""
        self.spread.copy_(torch.cat([self.encode(values) for values, _ in parts]).std(correction=0))

    def encode(self, values: Tensor) -> Tensor:
        """Latents (n, n_latent) of images (n, pixels)."""
        images = values.new_zeros(len(values), 1, *self.used.shape)
        images[:, 0, self.used] = values - self.centre
        latents: Tensor = self.encoder(images)
        return latents

    def decode(self, z: Tensor) -> Tensor:
        """Images (n, pixels) of latents (n, n_latent)."""
        drawn: Tensor = self.decoder(z)[:, 0, self.used].float()
        return drawn + self.centre


def _rest(wanted: tuple[int, ...] | torch.Size) -> tuple[int, int]:
    """Rows and columns that a transposed convolution of stride 2 adds, so that it undoes the convolution."""
    return (wanted[0] + 1) % 2, (wanted[1] + 1) % 2

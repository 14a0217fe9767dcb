"""Networks of the baselines: encoders of pixels, decoders to pixels, and decoders that are a function of coordinates.

Sources: Bepler et al. 2019, arXiv:1909.11663; Kalinin et al. 2021, Sci. Adv. 7, eabd5084, doi:10.1126/sciadv.abd5084.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["CoordinateDecoder", "FlatDecoder", "log_likelihood", "perceptron"]


def perceptron(n_in: int, hidden: int, n_out: int) -> nn.Sequential:
    """Two hidden layers with hyperbolic tangents."""
    return nn.Sequential(
        nn.Linear(n_in, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, n_out)
    )


class FlatDecoder(nn.Module):
    """All pixels at once from the content; poses count for nothing."""

    def __init__(self, n_content: int, hidden: int, n_pixels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_content, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh())
        self.out = nn.Linear(hidden, n_pixels)

    def forward(self, content: Tensor, pose: Tensor) -> Tensor:
        """Pixels (n, pixels) of content (n, contents)."""
        drawn: Tensor = self.out(self.layers(content))
        return drawn

    def start_at(self, mean: Tensor) -> None:
        """Draw about this image (pixels,) at first."""
        with torch.no_grad():
            self.out.bias.copy_(mean)


class CoordinateDecoder(nn.Module):
    """Value at a place, from its coordinates and the content: turning and shifting an image moves the places.

    A layer of coordinates and content, two hidden layers and an output, as in the published code.

    Parameters
    ----------
    points : (pixels, 2) float32 Tensor
        Places (x, y) of the pixels from the centre, in one unit along both axes.
    n_content, hidden : int
    """

    points: Tensor

    def __init__(self, points: Tensor, n_content: int, hidden: int) -> None:
        super().__init__()
        self.register_buffer("points", points, persistent=False)
        self.of_place = nn.Linear(2, hidden)
        self.of_content = nn.Linear(n_content, hidden, bias=False)
        self.hidden = nn.ModuleList([nn.Linear(hidden, hidden) for _ in range(2)])
        self.out = nn.Linear(hidden, 1)

    def forward(self, content: Tensor, pose: Tensor) -> Tensor:
        """Pixels (n, pixels) of content (n, contents) at poses (n, 3): angle in rad, then shift (y, x).

        The image is the canonical one, turned from x towards y, then shifted.
        """
        # In bfloat16 coordinates would be good to a tenth of a pixel only.
        with torch.autocast(pose.device.type, enabled=False):
            cosine, sine = pose[:, 0].cos(), pose[:, 0].sin()
            back = torch.stack([torch.stack([cosine, sine], 1), torch.stack([-sine, cosine], 1)], 1)
            # The turn goes into the first layer: one small product an image instead of one a pixel.
            weight = self.of_place.weight @ back
            bias = self.of_place.bias + self.of_content(content) - (weight @ pose[:, [2, 1], None])[..., 0]
            places = self.points.expand(len(pose), -1, -1)
            held = torch.baddbmm(bias[:, None], places, weight.transpose(1, 2)).tanh_()
        for layer in self.hidden:
            held = layer(held).tanh_()
        drawn: Tensor = self.out(held)[..., 0]
        return drawn

    def start_at(self, mean: Tensor) -> None:
        """Draw about the mean of this image (pixels,) at first."""
        with torch.no_grad():
            self.out.bias.fill_(float(mean.mean()))


def log_likelihood(family: str, drawn: Tensor, values: Tensor, log_variance: Tensor) -> Tensor:
    """Log-likelihood (...) in nats, summed over pixels, of values (..., pixels).

    Parameters
    ----------
    family : str
        ``drawn`` are means for ``"gaussian"``, logarithms of rates for ``"poisson"``, log-odds for ``"bernoulli"``.
    """
    drawn = drawn.float()
    if family == "gaussian":
        misfit = (values - drawn).square() * torch.exp(-log_variance)
        return -0.5 * (misfit + log_variance + torch.log(torch.tensor(2 * torch.pi))).sum(-1)
    if family == "poisson":
        return (values * drawn - drawn.exp() - torch.lgamma(values + 1)).sum(-1)
    return (values * drawn - nn.functional.softplus(drawn)).sum(-1)

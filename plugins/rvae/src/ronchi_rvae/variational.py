"""Variational autoencoders of pixels: content, optionally a pose, and classes that are summed over.

Repairs of the published coordinate decoder: the prior of the angle has its mean term, the variance of the noise is
learned, coordinates have one unit along both axes, and the class is summed over where others sample it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ronchi_rvae.networks import CoordinateDecoder, FlatDecoder, log_likelihood, perceptron
from ronchi_rvae.trainable import Phase, PixelModel

__all__ = ["PosePrior", "Posterior", "Variational"]

_NARROWEST, _WIDEST = -7.0, 3.0
"""Logarithms of the standard deviation of a latent."""
_LEAST_LOG_VARIANCE = -12.0
_CACHED = 12
"""Images of 400 pixels with 128 hidden numbers each: 2.5 MB a layer."""


@dataclass(frozen=True)
class PosePrior:
    """What is thought of poses before an image is seen.

    Parameters
    ----------
    angle_sigma : float
        In rad.
    shift_sigma : float
        In the unit of the decoder's coordinates; 0: there are no shifts.
    proper : bool
        Angles are normal about 0; else about wherever they are found, as in the published code.
    """

    angle_sigma: float
    shift_sigma: float
    proper: bool

    @property
    def n(self) -> int:
        """Latents that a pose has."""
        return 3 if self.shift_sigma else 1


class Posterior(NamedTuple):
    """What is known of images.

    Parameters
    ----------
    z : (n, contents) Tensor
    pose : (n, 3) Tensor
        Angle in rad, shift (y, x) in the unit of the coordinates; 0 where there is none.
    angle_sigma : (n,) Tensor
        In rad.
    label_prob : (n, n_classes) Tensor
    nll : (n,) Tensor
        Negative log-likelihood at the most likely latents and their divergence from the prior, in nats: no bound.
    """

    z: Tensor
    pose: Tensor
    angle_sigma: Tensor
    label_prob: Tensor
    nll: Tensor


class Variational(PixelModel):
    """Encoder of two hidden layers, and a decoder.

    Parameters
    ----------
    decoder : CoordinateDecoder or FlatDecoder
        Its content: the latents, the class and the condition.
    n_pixels, n_latent, n_classes, n_conditions, hidden : int
    pose : PosePrior, optional
    family : str
        As of `log_likelihood`.
    learn_noise : bool
        Learn the variance of gaussian noise; it is 1 else.
    """

    centre: Tensor
    unit: Tensor
    class_content: Tensor

    def __init__(
        self,
        decoder: CoordinateDecoder | FlatDecoder,
        *,
        n_pixels: int,
        n_latent: int,
        n_classes: int,
        n_conditions: int,
        hidden: int,
        pose: PosePrior | None,
        family: str,
        learn_noise: bool,
    ) -> None:
        super().__init__()
        self.pose, self.family, self.n_classes = pose, family, n_classes
        self.n_pose = pose.n if pose else 0
        self.n_noise = self.n_pose + n_latent
        if isinstance(decoder, CoordinateDecoder):
            self.n_cached = max(1, _CACHED // n_classes)
        self.one_thread = isinstance(decoder, FlatDecoder)
        self.encoder = perceptron(n_pixels + n_conditions, hidden, 2 * self.n_noise)
        self.decoder = decoder
        self.log_variance = nn.Parameter(torch.zeros(()), requires_grad=family == "gaussian" and learn_noise)
        self.register_buffer("centre", torch.zeros(n_pixels))
        self.register_buffer("unit", torch.ones(()))
        self.register_buffer("class_content", torch.zeros(n_classes, n_latent))

    def standardise(self, values: Tensor) -> None:
        """Set the unit in which the encoder sees images (n, pixels), and where the decoder starts."""
        self.centre.copy_(values.mean(0))
        self.unit.copy_((values - self.centre).square().mean().sqrt().clamp_min(1e-6))
        mean = self.centre
        if self.family == "poisson":
            mean = mean.clamp_min(1e-3).log()
        elif self.family == "bernoulli":
            mean = mean.clamp(1e-3, 1 - 1e-3).logit()
        self.decoder.start_at(mean)

    @torch.no_grad()
    def survey(self, parts: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Note the mean latents (n_classes, contents) of the images of every class."""
        every = [self.posterior(*part) for part in parts]
        chance, z = (torch.cat([getattr(found, name) for found in every]) for name in ("label_prob", "z"))
        self.class_content.copy_((chance / chance.sum(0).clamp_min(1e-6)).T @ z)

    def forward(self, values: Tensor, condition: Tensor, noise: Tensor, phase: Phase) -> Tensor:
        """Lower bound (n,) at one draw of the latents, in nats."""
        mean, log_sigma = self.encode(values, condition)
        latents = mean + noise * log_sigma.exp()
        taught = torch.zeros((), device=values.device)
        if self.pose and phase.starts > 1:
            turn, gain = self._best_turn(values, condition, latents, phase)
            stays = turn == 0
            found = self._turned(mean, turn)
            # The encoder is told which start was best: by gradients of the image there it would never get there. A
            # parabola through what the bound is here and there is as steep as the gradients of other images.
            way = (mean[:, :1] - found).detach()
            left = ((mean[:, :1] - found.detach()) / torch.where(stays, 1.0, way))[:, 0]
            taught = torch.where(stays[:, 0], 0.0, gain * left.square())
            found = torch.where(stays, found, found.detach())
            latents = torch.cat([latents[:, :1] - mean[:, :1] + found, latents[:, 1:]], 1)
            mean = torch.cat([found, mean[:, 1:]], 1)
        evidence = self._class_evidence(values, condition, latents, phase.content).logsumexp(1)
        return evidence - self._divergence(mean, log_sigma, phase.content) - taught

    def encode(self, values: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Means and logarithms of the standard deviations (n, latents) of pose, then content."""
        seen = torch.cat([(values - self.centre) / self.unit, condition], 1)
        mean, log_sigma = self.encoder(seen).float().chunk(2, dim=1)
        return mean, log_sigma.clamp(_NARROWEST, _WIDEST)

    def posterior(self, values: Tensor, condition: Tensor) -> Posterior:
        """Encode images (n, pixels)."""
        mean, log_sigma = self.encode(values, condition)
        classes = self._class_evidence(values, condition, mean, content=True)
        nll = self._divergence(mean, log_sigma, content=True) - classes.logsumexp(1)
        width = log_sigma[:, 0].exp() if self.pose else torch.zeros(len(mean))
        return Posterior(mean[:, self.n_pose :], self._poses(mean), width, classes.softmax(1), nll)

    def draw(self, z: Tensor, label: Tensor, condition: Tensor, pose: Tensor) -> Tensor:
        """Expected values (n, pixels) of images.

        Parameters
        ----------
        z : (n, contents)
        label : (n,) int64
        condition : (n, conditions)
        pose : (n, 3)
        """
        kind = nn.functional.one_hot(label, self.n_classes).to(z)
        drawn: Tensor = self.decoder(self._content(z, kind, condition), pose)
        if self.family == "gaussian":
            return drawn
        return drawn.exp() if self.family == "poisson" else drawn.sigmoid()

    def _content(self, z: Tensor, kind: Tensor, condition: Tensor) -> Tensor:
        return torch.cat([z, kind, condition] if self.n_classes > 1 else [z, condition], 1)

    def _poses(self, latents: Tensor) -> Tensor:
        """(n, 3) poses; a shift's latent is in units of its prior."""
        if self.pose is None:
            return latents.new_zeros(len(latents), 3)
        shift = latents[:, 1:3] * self.pose.shift_sigma if self.n_pose == 3 else latents.new_zeros(len(latents), 2)
        return torch.cat([latents[:, :1], shift], 1)

    def _class_evidence(self, values: Tensor, condition: Tensor, latents: Tensor, content: bool) -> Tensor:
        """(n, n_classes) log-likelihood of images together with each class, all being as likely beforehand."""
        n, k = len(values), self.n_classes
        z = latents[:, self.n_pose :] if content else 0 * latents[:, self.n_pose :]
        kinds = torch.eye(k, device=values.device).repeat(n, 1)
        z, given, pose = (v.repeat_interleave(k, 0) for v in (z, condition, self._poses(latents)))
        drawn = self.decoder(self._content(z, kinds, given), pose).view(n, k, -1)
        variance = self.log_variance.clamp_min(_LEAST_LOG_VARIANCE)
        return log_likelihood(self.family, drawn, values[:, None], variance) - math.log(k)

    def _divergence(self, mean: Tensor, log_sigma: Tensor, content: bool) -> Tensor:
        """(n,) divergence of the posterior from the prior, nats."""
        own = 0.5 * (mean.square() + (2 * log_sigma).exp() - 1) - log_sigma
        kept: Tensor = own[:, 1 if self.pose else 0 : None if content else self.n_pose].sum(1)
        if self.pose is None:
            return kept
        spread, width = self.pose.angle_sigma, log_sigma[:, 0]
        square = (2 * width).exp() + (mean[:, 0].square() if self.pose.proper else 0)
        return kept + 0.5 * (square / spread**2 - 1) - width + math.log(spread)

    @torch.no_grad()
    def _best_turn(self, values: Tensor, condition: Tensor, latents: Tensor, phase: Phase) -> tuple[Tensor, Tensor]:
        """Turns (n, 1), out of evenly spaced ones, that fit the images best, and what that gains (n,), in nats."""
        assert self.pose is not None
        turns = torch.arange(phase.starts, device=values.device) * (2 * math.pi / phase.starts)
        scores = []
        for turn in turns:
            turned = torch.cat([self._turned(latents, turn), latents[:, 1:]], 1)
            score = self._class_evidence(values, condition, turned, phase.content).logsumexp(1)
            if self.pose.proper:
                score -= 0.5 * (turned[:, 0] / self.pose.angle_sigma).square()
            scores.append(score)
        best, chosen = torch.stack(scores, 1).max(1)
        return turns[chosen][:, None], best - scores[0]

    @staticmethod
    def _turned(latents: Tensor, turn: Tensor) -> Tensor:
        """(n, 1) angles after a turn, between -pi and pi."""
        angle = latents[:, :1] + turn
        return angle - 2 * math.pi * torch.round(angle.detach() / (2 * math.pi))

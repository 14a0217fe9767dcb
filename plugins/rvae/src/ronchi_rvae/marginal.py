"""Likelihood of images under a canonical one seen at any angle: the angle is integrated over exactly, on a grid.

For exponential families the log-likelihood of a turned image is linear in the data's coefficients but for a term that
no turn changes, so one product with a table of ``exp(i m angle)`` gives all angles, and a gradient reaches the decoder
through all of them: no encoder has to find the angle, and no local minimum of it can hold the fit.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ronchi_rvae.disc import DiscBasis
from ronchi_rvae.poses import angle_table

__all__ = ["Likelihood"]

Floats = NDArray[np.float32]


class Likelihood(nn.Module):
    """Log-likelihood of coefficients given canonical ones, in nats.

    Parameters
    ----------
    basis : DiscBasis
    family : str
        ``"gaussian"``: canonical coefficients are those of the mean, the variance is learned. ``"poisson"``: those of
        the logarithm of the rate. ``"bernoulli"``: those of the log-odds.
    variance : float
        To start from.
    mirror : bool
        Integrate over the mirror image too, either hand being as likely.
    unit : float
        Of the coefficients, in counts or probabilities: only as such do these have a Poisson or Bernoulli law.

    Notes
    -----
    What depends on the pixels alone is left out, as the logarithms of the factorials of counts.
    """

    sums: Tensor
    cosines: Tensor
    sines: Tensor
    drawn: Tensor
    weight: Tensor
    gram: Tensor

    def __init__(
        self, basis: DiscBasis, family: str, variance: float, *, unit: float = 1.0, mirror: bool = False
    ) -> None:
        super().__init__()
        self.family, self.dof, self.unit, self.mirror = family, basis.dof, unit, mirror
        order = torch.from_numpy(basis.order)
        table = torch.from_numpy(angle_table(basis.n_orders))
        self.register_buffer("sums", nn.functional.one_hot(order).float(), persistent=False)
        self.register_buffer("cosines", table.real.T.contiguous(), persistent=False)
        self.register_buffer("sines", table.imag.T.contiguous(), persistent=False)
        self.turns = int((order == 0).sum())
        self.log_variance = nn.Parameter(torch.tensor(math.log(variance)), requires_grad=family == "gaussian")
        if family != "gaussian":
            drawn, weight = _on_rings(basis)
            gram = (drawn * weight) @ drawn.T
            self.register_buffer("gram", torch.from_numpy(gram), persistent=False)
            self.register_buffer("drawn", torch.from_numpy(drawn), persistent=False)
            self.register_buffer("weight", torch.from_numpy(weight), persistent=False)

    def forward(self, canonical: Tensor, upright: Tensor) -> Tensor:
        """Integrate over the angle, and over the hand where that is asked for.

        Parameters
        ----------
        canonical, upright : (n, dof) float32
            Real coefficients, as of `DiscBasis.as_real`; the images turned back as far as is known.

        Returns
        -------
        (n,) float32
        """
        own = self.of_one_hand(canonical, upright)
        if not self.mirror:
            return own
        other = self.of_one_hand(canonical, self.mirrored(upright))
        return torch.logaddexp(own, other) - math.log(2)

    def of_one_hand(self, canonical: Tensor, upright: Tensor) -> Tensor:
        """Integrate over the angle alone; as `forward`."""
        if self.family == "gaussian":
            energy = (canonical**2).sum(1) + (upright**2).sum(1)
            score = (self.score(canonical, upright) - 0.5 * energy[:, None]) * torch.exp(-self.log_variance)
            rest = -0.5 * self.dof * (math.log(2 * math.pi) + self.log_variance)
        else:
            # The sum over pixels of data times harmonics: on the pixels that count, these are not orthonormal.
            score = self.unit * self.score(canonical, upright @ self.gram)
            values = canonical @ self.drawn
            partition = torch.exp(values) if self.family == "poisson" else nn.functional.softplus(values)
            rest = -(partition @ self.weight)
        return torch.logsumexp(score, 1) - math.log(score.shape[1]) + rest

    def score(self, canonical: Tensor, upright: Tensor) -> Tensor:
        """(n, A) inner products of the images with the canonical ones at all angles."""
        a_re, a_im = self._parts(canonical)
        b_re, b_im = self._parts(upright)
        along = (a_re * b_re + a_im * b_im) @ self.sums
        across = (a_re * b_im - a_im * b_re) @ self.sums
        return along @ self.cosines - across @ self.sines

    def mirrored(self, numbers: Tensor) -> Tensor:
        """Coefficients (n, dof) of mirror images, y reversed."""
        n = len(self.sums)
        return torch.cat([numbers[:, :n], -numbers[:, n:]], 1)

    def _parts(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        n = len(self.sums)
        return numbers[:, :n], nn.functional.pad(numbers[:, n:], (self.turns, 0))


def _on_rings(basis: DiscBasis) -> tuple[Floats, Floats]:
    """Pixel values (dof, p) of every real number of a description, and the share (p,) of each pixel that counts.

    Of the pixels about as far from the centre all count alike, by the part of them that is good: images are turned
    back, their bad pixels with them, and a likelihood whose sums run over a ring has no angle that it likes.
    """
    if basis.bad_pixel is None:
        return basis.sampled_real()
    drawn, share = replace(basis, bad_pixel=None).sampled_real()
    y, x = np.nonzero(basis.covered)
    ring = np.rint(np.hypot(y - basis.centre_px[0], x - basis.centre_px[1])).astype(np.int64)
    good = np.bincount(ring, share * ~basis.bad_pixel[y, x]) / np.maximum(np.bincount(ring, share), 1e-12)
    return drawn, (share * good[ring]).astype(np.float32)

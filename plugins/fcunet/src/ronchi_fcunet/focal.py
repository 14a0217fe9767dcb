"""Probabilities of a network that has learned by the focal loss (Lin et al., ICCV 2017, doi:10.1109/ICCV.2017.324)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ronchi_fcunet.targets import LEAST_AMPLITUDE

__all__ = ["FOCUS", "log_odds"]

FOCUS = 2.0
"""Power of how wrong a cell is judged, by which it weighs."""


def log_odds(logit: Tensor, amplitude: Tensor) -> Tensor:
    """Log-odds of a disk that a network means, which has learned by `ronchi_fcunet.losses.detection_loss`.

    The focal loss is least not at the probability itself but at one nearer to a half, from which this finds the way
    back (Charoenphakdee et al., CVPR 2021, arXiv:2011.09172); it then takes out the weight that a disk has by its
    structure factor.

    Parameters
    ----------
    logit, amplitude : Tensor
        As in `DiskMaps`.
    """
    # Exponentials of more would overflow in the end.
    x = logit.float().clamp(-30, 30)
    sure, unsure = functional.softplus(x), functional.softplus(-x)
    found = -FOCUS * unsure + sure + torch.log1p(FOCUS * torch.exp(-x) * sure)
    missed = -FOCUS * sure + unsure + torch.log1p(FOCUS * torch.exp(x) * unsure)
    return found - missed - 0.5 * torch.log(amplitude.float().clamp(LEAST_AMPLITUDE, 1.0))

"""How likely a disk is as strong as is asked for."""

from __future__ import annotations

import torch
from torch import Tensor

from ronchi_fcunet.targets import LEAST_AMPLITUDE

__all__ = ["strong_odds"]

_LOG_SPREAD = 0.7
"""Standard deviation of the natural logarithm of true over stated structure factors, on crystals of held-out
prototypes: 0.5 where the stated one is 0.05 of the largest, 0.7 where it is 0.2."""


def strong_odds(amplitude: Tensor, least: float) -> Tensor:
    """Log-odds that a disk has a structure factor of at least ``least``, given that it has one that counts at all.

    Parameters
    ----------
    amplitude : Tensor
        Stated structure factor over the largest of the pattern. The true ones are log-normal about it, and none is
        below `LEAST_AMPLITUDE`, since weaker disks were no disks in training.
    least : float
        Over the largest of the pattern; up to `LEAST_AMPLITUDE` it is certain.
    """
    if least <= LEAST_AMPLITUDE:
        return torch.full_like(amplitude, torch.inf)
    stated = amplitude.double().clamp_min(1e-6)
    passed, counted = (
        torch.special.log_ndtr(torch.log(stated / bound) / _LOG_SPREAD) for bound in (least, LEAST_AMPLITUDE)
    )
    log_probability = (passed - counted).clamp_max(0.0)
    return log_probability - torch.log(-torch.expm1(log_probability))

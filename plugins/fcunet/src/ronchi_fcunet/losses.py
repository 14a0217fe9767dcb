"""What the compact detector pays for its mistakes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ronchi_fcunet.focal import FOCUS
from ronchi_fcunet.maps import DiskMaps
from ronchi_fcunet.targets import Targets

__all__ = ["detection_loss", "disk_loss", "light_loss", "position_loss"]

_AMPLITUDE_WEIGHT = 2.0
_POSITION_WEIGHT = 0.2
_AMPLITUDE_SCALE = 0.1
_LIGHT_WEIGHT = 0.5


def disk_loss(maps: DiskMaps, targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
    """Sum of the four losses, and each of them."""
    found = targets.near
    n = found.sum().clamp_min(1)
    weighed = targets.weighed
    amplitude = functional.smooth_l1_loss(
        maps.amplitude[weighed], targets.amplitude[weighed], beta=_AMPLITUDE_SCALE, reduction="sum"
    )
    parts = {
        "detection": detection_loss(maps.logit, targets),
        "position": position_loss(maps, targets, found) / n,
        "amplitude": amplitude / weighed.sum().clamp_min(1),
        "light": light_loss(maps, targets, found) / n,
    }
    weights = {
        "detection": 1.0, "position": _POSITION_WEIGHT, "amplitude": _AMPLITUDE_WEIGHT, "light": _LIGHT_WEIGHT,
    }  # fmt: skip
    return torch.stack([weights[name] * value for name, value in parts.items()]).sum(), parts


def detection_loss(logit: Tensor, targets: Targets) -> Tensor:
    """Focal loss of the cells (Lin et al., ICCV 2017, doi:10.1109/ICCV.2017.324) for each disk.

    A disk weighs by the root of its structure factor, since the measure of success weighs by it. Cells around it that
    might claim it are not asked.
    """
    probability = torch.sigmoid(logit)
    miss = functional.softplus(-logit) * (1 - probability) ** FOCUS * targets.amplitude.sqrt()
    false = functional.softplus(logit) * probability**FOCUS
    loss = torch.where(targets.present, miss, false) * targets.counted
    return loss.sum() / (targets.present & targets.counted).sum().clamp_min(1)


def light_loss(maps: DiskMaps, targets: Targets, found: Tensor) -> Tensor:
    """Sum of the negative log-likelihoods of the disks' being lit or dark, weighed as in `detection_loss`."""
    wrong = functional.binary_cross_entropy_with_logits(
        maps.lit_logit[found], targets.lit[found].float(), reduction="none"
    )
    return (wrong * targets.amplitude[found].sqrt()).sum()


def position_loss(maps: DiskMaps, targets: Targets, found: Tensor) -> Tensor:
    """Sum of the negative log-likelihoods of the centres under the stated normal distributions, in nats.

    Errors, scales and correlation are those of both axes; constants are left out.
    """
    error = (targets.offset_px - maps.offset_px).movedim(1, -1)[found]
    log_sigma = maps.log_sigma.movedim(1, -1)[found]
    y, x = (error * torch.exp(-log_sigma)).unbind(-1)
    r = maps.correlation[found]
    rest = 1 - r * r
    return (log_sigma.sum(-1) + 0.5 * torch.log(rest) + 0.5 * (y * y - 2 * r * x * y + x * x) / rest).sum()

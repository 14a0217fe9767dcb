"""The mean over what a network says of a pattern and of its mirror images, which should be one and the same."""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor

from ronchi_fcunet.compact import CompactDetector
from ronchi_fcunet.maps import DiskMaps

__all__ = ["mean_maps"]

_FLIPS = ((), (-2, -1), (-2,), (-1,))


def mean_maps(network: CompactDetector, patterns: Tensor, probe: Tensor, passes: int) -> DiskMaps:
    """Maps of patterns (n, qy, qx), averaged over the first ``passes`` of their eight mirror images.

    Along an axis of odd length no pattern is flipped, since its cells would not fall on cells.

    Parameters
    ----------
    probe : (1, qy, qx) Tensor
        Centred at N // 2.
    """
    odd = {axis for axis in (-2, -1) if patterns.shape[axis] % 2}
    images = [(flips, swap) for swap in (False, True) for flips in _FLIPS if not odd & set(flips)]
    made = [_seen(network, patterns, probe, *image) for image in images[:passes]]
    return DiskMaps(*(torch.stack([getattr(maps, f.name) for maps in made]).mean(0) for f in fields(DiskMaps)))


def _seen(network: CompactDetector, patterns: Tensor, probe: Tensor, flips: tuple[int, ...], swap: bool) -> DiskMaps:
    """Maps of a mirror image, mirrored back."""
    # The flip of an even axis puts pixel N // 2 one before the middle.
    centred = probe.flip(flips).roll([1] * len(flips), flips) if flips else probe
    images = [image.mT if swap else image for image in (patterns.flip(flips), centred)]
    maps = network(images[0].contiguous(), images[1].contiguous())
    logit, offset, log_sigma, correlation, amplitude, lit = (getattr(maps, f.name) for f in fields(DiskMaps))
    if swap:
        logit, correlation, amplitude, lit = logit.mT, correlation.mT, amplitude.mT, lit.mT
        offset, log_sigma = offset.mT.flip(1), log_sigma.mT.flip(1)
    signs = torch.tensor([-1.0 if axis in flips else 1.0 for axis in (-2, -1)], device=offset.device)
    return DiskMaps(
        logit=logit.flip(flips),
        offset_px=offset.flip(flips) * signs[:, None, None],
        log_sigma=log_sigma.flip(flips),
        correlation=correlation.flip(flips) * signs.prod(),
        amplitude=amplitude.flip(flips),
        lit_logit=lit.flip(flips),
    )

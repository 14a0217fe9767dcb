"""What the compact detector says of a pattern: maps with a value for every cell."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["AMPLITUDE_CHANNEL", "LIT_CHANNEL", "LOGIT_CHANNEL", "N_MAPS", "STRIDE_PX", "DiskMaps", "disk_maps"]

STRIDE_PX = 2
"""Pixels of a pattern along the side of a cell: a disk centre falls into one cell."""
N_MAPS = 8
"""Channels from which `disk_maps` makes its maps."""
LOGIT_CHANNEL, AMPLITUDE_CHANNEL, LIT_CHANNEL = 0, 6, 7
_LEAST_LOG_SIGMA, _MOST_LOG_SIGMA = -4.5, 1.5
"""Bounds of the logarithm of a position's standard deviation in px."""


@dataclass(frozen=True)
class DiskMaps:
    """What the network says about every cell, maps (n, cy, cx) or (n, 2, cy, cx), order (y, x).

    Parameters
    ----------
    logit : Tensor
        Log-odds that a lattice point with a structure factor, the centre of a disk, lies in the cell.
    offset_px : Tensor
        Centre relative to that of the cell.
    log_sigma : Tensor
        Logarithm of the standard deviations, px.
    correlation : Tensor
        Of the errors along y and x.
    amplitude : Tensor
        Structure factor over the largest of the pattern, direct beam left out.
    lit_logit : Tensor
        Log-odds that the disk, if one belongs there, is lit; see `ronchi_fcunet.light.lit`.
    """

    logit: Tensor
    offset_px: Tensor
    log_sigma: Tensor
    correlation: Tensor
    amplitude: Tensor
    lit_logit: Tensor


def disk_maps(made: Tensor) -> DiskMaps:
    """Maps of what a head has made, (n, N_MAPS, cy, cx): in the order of `DiskMaps`."""
    return DiskMaps(
        logit=made[:, LOGIT_CHANNEL],
        offset_px=made[:, 1:3],
        log_sigma=made[:, 3:5].clamp(_LEAST_LOG_SIGMA, _MOST_LOG_SIGMA),
        correlation=0.95 * torch.tanh(made[:, 5]),
        amplitude=functional.softplus(made[:, AMPLITUDE_CHANNEL]),
        lit_logit=made[:, LIT_CHANNEL],
    )

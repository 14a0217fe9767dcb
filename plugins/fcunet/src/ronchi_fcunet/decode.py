"""From the maps of a network to peaks."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ronchi.api import PeakBatch
from ronchi_fcunet.focal import log_odds
from ronchi_fcunet.maps import STRIDE_PX, DiskMaps
from ronchi_fcunet.strength import strong_odds

__all__ = ["beam_radius_px", "peaks_of_image", "peaks_of_maps"]

_BEAM_RADII = 0.8
"""Radius around the direct beam in which a maximum is its own, in radii of the probe: the paper's 0.08 1/angstrom for
the middle one of its probes, 2 mrad at 300 kV. Disks that overlap up to here are told apart."""
_LEAST_BEAM_PX = 3.0
"""At least this far it goes: the spot of a lattice point in a structure-factor image falls to a twentieth there, and
that of the direct beam is several times as strong as all others."""
FLAG_EDGE = 1


def beam_radius_px(radius_px: float) -> float:
    """Radius in px around the direct beam in which a maximum is its own, for disks of a radius."""
    return max(_BEAM_RADII * radius_px, _LEAST_BEAM_PX)


def peaks_of_maps(
    maps: DiskMaps,
    shape: tuple[int, int],
    threshold: float,
    max_peaks: int,
    *,
    dark: bool = False,
    min_relative: float = 0.0,
) -> PeakBatch:
    """Disks in cells that are likelier than those around them, and likelier than ``threshold``.

    ``score`` is the log-odds of the probability that there is a lattice point with a structure factor of at least
    ``min_relative`` over the largest of the pattern and, unless ``dark`` ones are wanted, that it is lit. ``intensity``
    is the square of the structure factor that is to be expected: the stated one, times that probability.
    """
    odds, lit = log_odds(maps.logit, maps.amplitude), maps.lit_logit.float()
    either = _both(_around(odds), strong_odds(maps.amplitude, min_relative))
    if not dark:
        odds, either = _both(odds, lit), _both(either, lit)
    pattern, y, x = _strongest(odds, either, math.log(threshold / (1 - threshold)), max_peaks)
    score = either[pattern, y, x]
    expected = maps.amplitude[pattern, y, x].clamp_min(0) * torch.sigmoid(score)
    offset = maps.offset_px[pattern, :, y, x].double()
    sigma = maps.log_sigma[pattern, :, y, x].exp()
    middle = (STRIDE_PX - 1) / 2
    return _batch(
        len(maps.logit),
        pattern,
        STRIDE_PX * y + middle + offset[:, 0],
        STRIDE_PX * x + middle + offset[:, 1],
        expected.square(),
        score,
        (sigma[:, 0] ** 2, maps.correlation[pattern, y, x] * sigma.prod(1), sigma[:, 1] ** 2),
        shape,
    )


def _both(one: Tensor, other: Tensor) -> Tensor:
    """Log-odds of two things at once, from those of the one and those of the other where the first is true."""
    # p q / (1 - p q) with p = 1 / (1 + e^-a): the inverse is e^-a + e^-b + e^-(a + b).
    return -torch.logsumexp(torch.stack([-one, -other, -one - other]), 0)


def _around(odds: Tensor) -> Tensor:
    """Log-odds (n, cy, cx) of a disk in a cell or in one of its eight neighbours.

    Beside the cell of a disk no cell is asked for it in training. So the odds of a cell are those of a disk right there
    to none anywhere near; as a disk is in one cell alone, they add up.
    """
    summed = 9 * functional.avg_pool2d(odds.double().clamp(-80, 80).exp()[:, None], 3, stride=1, padding=1)
    return torch.log(summed[:, 0])


def peaks_of_image(
    images: Tensor, centre_px: Tensor, radius_px: Tensor, min_relative: float, max_peaks: int, sigma_px: float
) -> PeakBatch:
    """Maxima of structure-factor images (n, qy, qx), refined by the paraboloid through the nine pixels around.

    Parameters
    ----------
    centre_px : (n, 2) or (1, 2) Tensor
        Direct beam (y, x), whose maximum sets no scale.
    radius_px : (n,) or (1,) Tensor
        Of the disks.
    min_relative : float
        Threshold, over the highest maximum outside the direct beam; ``score`` is the height over it, ``intensity`` its
        square.
    sigma_px : float
        Standard error of a position, as validated for the network.
    """
    n, height, width = images.shape
    rows, columns = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    centre = centre_px.to(images.device)
    squared = (rows - centre[:, :1]).square()[:, :, None] + (columns - centre[:, 1:]).square()[:, None, :]
    reach = (_BEAM_RADII * radius_px.to(images.device)).clamp_min(_LEAST_BEAM_PX)[:, None, None]
    top = images.masked_fill(squared < reach.square(), 0.0).flatten(1).amax(1).clamp_min(1e-12)
    relative = images / top[:, None, None]
    pattern, y, x = _strongest(relative, relative, min_relative, max_peaks)
    inside = (y > 0) & (x > 0) & (y < height - 1) & (x < width - 1)
    pattern, y, x = pattern[inside], y[inside], x[inside]
    step = torch.arange(-1, 2, device=images.device)
    patch = images[pattern[:, None, None], (y[:, None] + step)[:, :, None], (x[:, None] + step)[:, None, :]].double()
    dy, dx, height_at = _vertex(patch)
    variance = torch.full_like(dy, sigma_px**2)
    score = height_at / top[pattern] / min_relative
    covariance = (variance, torch.zeros_like(dy), variance)
    intensity = height_at.clamp_min(0).square()
    return _batch(n, pattern, y + dy, x + dx, intensity, score, covariance, (height, width))


def _strongest(values: Tensor, worth: Tensor, least: float, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pattern, row and column of maxima of values among the eight neighbours, in pattern order.

    Those of a pattern are at most ``most``, the worthiest, all worth more than ``least``. Of equal neighbours the first
    one counts.
    """
    n, height, width = values.shape
    later = 1e-9 * torch.arange(height * width, device=values.device).reshape(height, width) / (height * width)
    ranked = values.double() - later
    peak = (ranked >= functional.max_pool2d(ranked[:, None], 3, stride=1, padding=1)[:, 0]) & (worth > least)
    kept = torch.where(peak, worth.double() - later, -torch.inf).flatten(1)
    best, place = kept.topk(min(most, height * width), dim=1)
    chosen = torch.zeros_like(kept, dtype=torch.bool).scatter_(1, place, torch.isfinite(best))
    pattern, y, x = torch.nonzero(chosen.reshape(n, height, width), as_tuple=True)
    return pattern, y, x


def _vertex(patch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Offset of the maximum and its height, of the least-squares paraboloid through patches (m, 3, 3)."""
    rows, columns = patch.sum(2), patch.sum(1)
    gy, gx = (rows[:, 2] - rows[:, 0]) / 6, (columns[:, 2] - columns[:, 0]) / 6
    hyy = (rows[:, 0] - 2 * rows[:, 1] + rows[:, 2]) / 3
    hxx = (columns[:, 0] - 2 * columns[:, 1] + columns[:, 2]) / 3
    hyx = (patch[:, 2, 2] + patch[:, 0, 0] - patch[:, 0, 2] - patch[:, 2, 0]) / 4
    determinant = hyy * hxx - hyx * hyx
    safe = torch.where(determinant.abs() > 1e-12, determinant, torch.ones_like(determinant))
    bowl = (determinant > 1e-12) & (hyy < 0)
    dy = torch.where(bowl, (hyx * gx - hxx * gy) / safe, torch.zeros_like(gy)).clamp(-1, 1)
    dx = torch.where(bowl, (hyx * gy - hyy * gx) / safe, torch.zeros_like(gx)).clamp(-1, 1)
    return dy, dx, patch[:, 1, 1] + 0.5 * (gy * dy + gx * dx)


def _batch(
    n: int,
    pattern: Tensor,
    y: Tensor,
    x: Tensor,
    intensity: Tensor,
    score: Tensor,
    covariance: tuple[Tensor, Tensor, Tensor],
    shape: tuple[int, int],
) -> PeakBatch:
    single = [value.float().cpu().numpy() for value in (intensity, score, *covariance)]
    qy, qx = y.double().cpu().numpy(), x.double().cpu().numpy()
    outside = (qy < 0) | (qx < 0) | (qy > shape[0] - 1) | (qx > shape[1] - 1)
    return PeakBatch(
        counts=torch.bincount(pattern, minlength=n).cpu().numpy().astype(np.int32),
        qy_px=qy,
        qx_px=qx,
        intensity=single[0],
        score=single[1],
        var_yy=single[2],
        var_yx=single[3],
        var_xx=single[4],
        flags=np.where(outside, FLAG_EDGE, 0).astype(np.uint16),
    )

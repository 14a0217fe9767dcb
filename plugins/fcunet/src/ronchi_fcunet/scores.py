"""How well a network does on samples whose truth is known, while it learns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import nn

from ronchi.api import PeakBatch
from ronchi_fcunet.decode import beam_radius_px, peaks_of_image, peaks_of_maps
from ronchi_fcunet.losses import disk_loss
from ronchi_fcunet.maps import DiskMaps
from ronchi_fcunet.samples import Batch
from ronchi_fcunet.targets import LEAST_AMPLITUDE, make_targets
from ronchi_fcunet.views import probe_radius_px

__all__ = ["Tally", "judge", "losses_of"]

Said = DiskMaps | list[DiskMaps] | torch.Tensor
"""Of a network: maps of one look, of all looks in training, or a structure-factor image."""
_HIT_RADII = 0.5
"""A find closer to a disk than this, in radii of the probe, is right: the paper's 0.05 1/angstrom for the middle one of
its probes, 2 mrad at 300 kV."""
_LEAST_HIT_PX = 1.0
_MOST = 400
_LEAST_TRUE = 0.05
"""Weaker lattice points do not count as missed, as in the published score."""


@dataclass
class Tally:
    """Sums over patterns; `figures` makes means of them."""

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    errors_px: list[NDArray[np.float64]] = field(default_factory=list)
    z: list[NDArray[np.float64]] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """Loss, accuracy of equation (1), rms and median error along an axis, and error over stated error."""
        errors, z = np.concatenate([np.zeros(0), *self.errors_px]), np.concatenate([np.zeros(0), *self.z])
        return {
            "loss": float(np.mean(self.loss)),
            "accuracy": float(np.mean(self.accuracy)) if self.accuracy else np.nan,
            "rms_px": float(np.sqrt(np.mean(errors**2))) if len(errors) else np.nan,
            "median_px": float(np.median(np.abs(errors))) if len(errors) else np.nan,
            "z": float(np.sqrt(np.median(z**2)) / 0.6745) if len(z) else np.nan,
        }


def losses_of(said: Said, batch: Batch) -> list[torch.Tensor]:
    """What a network pays for what it said about a batch, at every look."""
    if not isinstance(said, torch.Tensor):
        targets = make_targets(batch.points, ~batch.covered).to(batch.pattern.device)
        return [disk_loss(maps, targets)[0] for maps in (said if isinstance(said, list) else [said])]
    seen = (~batch.covered).to(batch.pattern.device).float()
    error = (said.float() - batch.label).square() * seen
    # Most of a label is 0: the mean over its pixels would be too small a number to step by.
    return [error.sum() / batch.label.square().sum().clamp_min(1e-12)]


@torch.no_grad()
def judge(network: nn.Module, batch: Batch, tally: Tally, threshold: float, *, half: bool) -> None:
    """Add a batch to a tally."""
    network.eval()
    with torch.autocast(batch.pattern.device.type, torch.bfloat16, enabled=half):
        said = network(batch.pattern, batch.probe)
        tally.loss.append(float(losses_of(said, batch)[-1]))
    radius = probe_radius_px(batch.probe).cpu()
    if isinstance(said, DiskMaps):
        found = peaks_of_maps(said, (batch.pattern.shape[1], batch.pattern.shape[2]), threshold, _MOST)
    else:
        found = peaks_of_image(said.float(), batch.centre_px, radius, threshold, _MOST, 1.0)
    first = np.concatenate([[0], np.cumsum(found.counts)])
    points, hidden = batch.points.numpy(), batch.covered.numpy()
    for number in range(len(found.counts)):
        rows = slice(first[number], first[number + 1])
        true = points[points[:, 0] == number, 1:]
        if isinstance(said, DiskMaps):
            true = true[true[:, 3] > 0]
        true = true[_in_sight(true[:, :2], hidden[number])]
        centre = batch.centre_px[number].numpy()
        _judge_pattern(found, rows, true, centre, hidden[number], float(radius[number]), tally)


def _in_sight(places: NDArray[Any], hidden: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether places (m, 2) lie on the detector, and not behind a gap or the stop."""
    pixel = np.rint(places).astype(int)
    inside = ((pixel >= 0) & (pixel < hidden.shape)).all(1)
    y, x = np.clip(pixel, 0, np.array(hidden.shape) - 1).T
    seen: NDArray[np.bool_] = inside & ~hidden[y, x]
    return seen


def _judge_pattern(
    found: PeakBatch,
    rows: slice,
    true: NDArray[np.float32],
    centre: NDArray[np.float32],
    hidden: NDArray[np.bool_],
    radius_px: float,
    tally: Tally,
) -> None:
    beam_px, hit_px = beam_radius_px(radius_px), max(_HIT_RADII * radius_px, _LEAST_HIT_PX)
    true = true[(true[:, 2] > LEAST_AMPLITUDE) & (np.hypot(*(true[:, :2] - centre).T) > beam_px)]
    places = np.stack([found.qy_px[rows], found.qx_px[rows]], 1)
    outside = (np.hypot(*(places - centre).T) > beam_px) & _in_sight(places, hidden)
    places, weight = places[outside], np.sqrt(found.intensity[rows][outside])
    variance = np.stack([found.var_yy[rows], found.var_xx[rows]], 1)[outside]
    wanted = true[true[:, 2] > _LEAST_TRUE]
    if not len(wanted):
        return
    if not len(places) or weight.sum() <= 0:
        tally.accuracy.append(0.0)
        return
    distance, nearest = cKDTree(true[:, :2]).query(places)
    hit = distance < hit_px
    missed = cKDTree(places).query(wanted[:, :2])[0] >= hit_px
    right = float(weight[hit].sum() / weight.sum())
    tally.accuracy.append(right / (1 + float(wanted[missed, 2].sum() / wanted[:, 2].sum())))
    error = (places - true[nearest, :2])[hit]
    tally.errors_px.append(error.ravel().astype(float))
    tally.z.append((error / np.sqrt(variance[hit])).ravel().astype(float))

"""Peaks against true ones, one to one, and how far they are apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ronchi.schema import peaks as schema

__all__ = ["Match", "match", "pair"]

Array = NDArray[np.float64]

_NOT_WHOLE = 1 | 4 | 8


@dataclass(frozen=True)
class Match:
    """Agreement of peaks with the true ones.

    Parameters
    ----------
    recall, precision : float
        Part of the true peaks that are found, of those that are whole; and of those found that are near any true one.
    rms_px, mean_y, mean_x : float
        Distance of pairs in px: root of its mean square, and its mean along both axes.
    pull : float
        Median of distance over stated standard deviation, scaled to 1 for normal errors.
    """

    n_found: int
    n_true: int
    recall: float
    precision: float
    rms_px: float
    mean_y: float
    mean_x: float
    pull: float


def match(found: xr.Dataset, truth: xr.Dataset, near_px: float) -> Match:
    """Compare two ``peaks/1`` of one scan."""
    whole = truth["flags"].values & _NOT_WHOLE == 0 if "flags" in truth else np.ones(truth.sizes["peak"], bool)
    found_yx, true_yx = np.stack(schema.pixels(found), 1), np.stack(schema.pixels(truth), 1)
    steps = np.asarray(found.attrs["q_step"])
    sigma = np.sqrt(np.stack([found["var_yy"].values, found["var_xx"].values], 1)) / steps
    edges, true_edges = schema.offsets(found), schema.offsets(truth)
    off: list[Array] = [np.zeros((0, 2))]
    pulls: list[Array] = [np.zeros((0, 2))]
    hits = near = 0
    for i in range(len(edges) - 1):
        here, there = slice(edges[i], edges[i + 1]), slice(true_edges[i], true_edges[i + 1])
        a, b = pair(found_yx[here], true_yx[there], near_px)
        near += len(a)
        kept = whole[there][b]
        hits += int(kept.sum())
        difference = found_yx[here][a[kept]] - true_yx[there][b[kept]]
        off.append(difference)
        # A variance of 0 has a check of its own.
        with np.errstate(divide="ignore", invalid="ignore"):
            pulls.append(difference / sigma[here][a[kept]])
    distance, pull = np.concatenate(off), np.abs(np.concatenate(pulls))
    n_true = int(whole.sum())
    return Match(
        n_found=len(found_yx),
        n_true=n_true,
        recall=hits / max(1, n_true),
        precision=near / max(1, len(found_yx)),
        rms_px=float(np.sqrt((distance**2).sum(1).mean())) if len(distance) else np.inf,
        mean_y=float(distance[:, 0].mean()) if len(distance) else np.nan,
        mean_x=float(distance[:, 1].mean()) if len(distance) else np.nan,
        pull=float(np.median(pull) / 0.6745) if len(pull) else np.nan,
    )


def pair(found: Array, true: Array, near: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of (n, 2) points that are each other's nearest, and no farther apart than ``near``."""
    if not len(found) or not len(true):
        none = np.zeros(0, np.int64)
        return none, none
    distance, to_true = cKDTree(true).query(found)
    _, to_found = cKDTree(found).query(true)
    mine = np.arange(len(found))
    mutual = (to_found[to_true] == mine) & (distance <= near)
    return mine[mutual], to_true[mutual]

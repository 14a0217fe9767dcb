"""Patterns of soft disks with known places, and detectors prepared for them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ronchi.api import Context, Geometry, PeakBatch
from ronchi_crosscorr.detector import CrossCorr
from ronchi_crosscorr.params import CrossCorrParams

EDGE_PX = 0.35


def disks(
    shape: tuple[int, int],
    centres: NDArray[np.float64],
    radius: float,
    counts: NDArray[np.float64] | float,
    background: float = 0.0,
) -> NDArray[np.float64]:
    """Sum of soft disks of given counts on a flat background."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    image = np.full(shape, float(background))
    for (cy, cx), n in zip(centres, np.broadcast_to(counts, len(centres)), strict=True):
        disk = 1 / (1 + np.exp(np.clip((np.hypot(y - cy, x - cx) - radius) / EDGE_PX, -50, 50)))
        image += n * disk / (np.pi * radius**2)
    return image


def lattice(shape: tuple[int, int], spacing: float, margin: float, angle_deg: float = 12.0) -> NDArray[np.float64]:
    """Sites of a rotated square lattice inside a frame, off the pixels' centres."""
    angle = np.deg2rad(angle_deg)
    g = spacing * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    n = np.arange(-40, 41)
    hk = np.stack(np.meshgrid(n, n, indexing="ij"), -1).reshape(-1, 2)
    sites = hk @ g + np.array(shape) / 2 + [0.31, -0.17]
    return sites[np.all((sites > margin) & (sites < np.array(shape) - 1 - margin), axis=1)]


def make_detector(
    shape: tuple[int, int], probe: Any = None, *, bad_pixel: Any = None, mean_pattern: Any = None, **params: Any
) -> CrossCorr:
    detector = CrossCorr(CrossCorrParams(**params))
    geometry = Geometry(
        shape=shape, centre_px=(shape[0] // 2, shape[1] // 2), bad_pixel=bad_pixel, mean_pattern=mean_pattern
    )
    detector.prepare(geometry, probe, Context(rng=np.random.default_rng(0)))
    return detector


def pair(found: NDArray[np.float64], true: NDArray[np.float64]) -> tuple[NDArray[np.float64], int, int]:
    """Errors of the found peaks within 3 px of a true one, missed and false ones (one to one)."""
    from scipy.optimize import linear_sum_assignment

    if not len(found):
        return np.empty((0, 2)), len(true), 0
    distance = np.hypot(*(found[:, None] - true[None]).transpose(2, 0, 1))
    i, j = linear_sum_assignment(distance)
    ok = distance[i, j] < 3
    return found[i[ok]] - true[j[ok]], len(true) - int(ok.sum()), len(found) - int(ok.sum())


def positions(batch: PeakBatch) -> NDArray[np.float32]:
    """Places (peak, 2) of all peaks, (y, x) in px."""
    return np.stack([batch.qy_px, batch.qx_px], 1)


def probe(shape: tuple[int, int], radius: float, centre: tuple[float, float] | None = None) -> NDArray[np.float32]:
    """Probe of a radius on a frame; its centre need not be a pixel."""
    place = np.array([centre or (shape[0] / 2, shape[1] / 2)])
    return disks(shape, place, radius, 1e5 * radius**2).astype(np.float32)


@pytest.fixture(scope="session")
def scene() -> SimpleNamespace:
    """What the tests build their patterns with."""
    return SimpleNamespace(
        disks=disks, lattice=lattice, probe=probe, make_detector=make_detector, pair=pair, positions=positions
    )

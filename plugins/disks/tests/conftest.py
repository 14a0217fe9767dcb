"""Soft disks at known places, and fits of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ronchi_disks.disk_model import model_of_radius
from ronchi_disks.likelihood import DiskFits, fit_disks

Array = NDArray[np.float64]


def disk(shape: tuple[int, int], centre: Any, radius: float, edge: float = 0.35, slope: Any = (0.0, 0.0)) -> Array:
    """Soft disk of plateau 1 with a relative slope from centre to rim."""
    dy, dx = np.arange(shape[0])[:, None] - centre[0], np.arange(shape[1])[None, :] - centre[1]
    rim = 1 / (1 + np.exp(np.clip((np.hypot(dy, dx) - radius) / edge, -40, 40)))
    return np.asarray(rim * (1 + (slope[0] * dy + slope[1] * dx) / radius))


def one_each(frames: Array, start: Array, radius: float, edge: float = 0.35, **options: Any) -> DiskFits:
    """Fit one disk a frame."""
    y, x = np.ascontiguousarray(start.T)
    return fit_disks(frames, np.ones(len(frames), int), y, x, model_of_radius(radius, edge), **options)


def error_of(fits: DiskFits, truth: Array) -> Array:
    """Position errors (peak, 2)."""
    return np.stack([fits.y, fits.x], axis=1) - truth


def scan(rng: np.random.Generator, slope: float, n: int = 12, counts: float = 1500) -> tuple[Array, Array]:
    """Frames of 16 disks of radius 5, and where they are (frame, disk, 2)."""
    sites = 14.0 + 24.0 * np.stack(np.meshgrid(np.arange(4), np.arange(4), indexing="ij"), -1).reshape(-1, 2)
    truth = sites + rng.uniform(-0.5, 0.5, (n, 16, 2))
    frames = np.full((n, 100, 100), 0.2)
    for frame, places in zip(frames, truth, strict=True):
        for place in places:
            drawn = rng.normal(0, slope, 2).clip(-0.55, 0.55)  # counts stay positive at the rim's foot
            frame[:] += (counts / 78.5 * disk((100, 100), place, 5.0, slope=drawn)).clip(0)
    return rng.poisson(frames).astype(np.uint16), truth


def fit_scan(frames: Array, truth: Array, rng: np.random.Generator, **options: Any) -> tuple[DiskFits, Array]:
    start = (truth + rng.uniform(-0.4, 0.4, truth.shape)).reshape(-1, 2)
    counts = np.full(len(frames), truth.shape[1])
    fits = fit_disks(frames, counts, start[:, 0], start[:, 1], model_of_radius(5.0), **options)
    return fits, error_of(fits, truth.reshape(-1, 2))


@pytest.fixture(scope="session")
def scene() -> SimpleNamespace:
    """What the tests build their patterns with, and fit them by."""
    return SimpleNamespace(disk=disk, one_each=one_each, error_of=error_of, scan=scan, fit_scan=fit_scan)

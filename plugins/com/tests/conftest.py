"""Deflections of which everything is known."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from ronchi.api import Context
from ronchi.schema import descriptors
from ronchi.schema.common import variable


@dataclass
class Atoms:
    """Phase of Gaussian atoms on a scan, and its derivatives by formula."""

    y: np.ndarray
    x: np.ndarray
    step: tuple[float, float]
    phase: np.ndarray
    com_y: np.ndarray  # in the frame of the scan
    com_x: np.ndarray
    divergence: np.ndarray

    def measured(self, rotation_deg: float = 0.0, flipped: bool = False, noise: float = 0.0, seed: int = 0):
        """What a detector records whose x axis lies ``rotation_deg`` before the scan's, from x towards y."""
        t = np.deg2rad(rotation_deg)
        # Unit vectors of the scan's axes in the detector's frame, (y, x).
        scan_x, scan_y = (np.sin(t), np.cos(t)), (np.cos(t), -np.sin(t))
        y, x = (self.com_y * scan_y[i] + self.com_x * scan_x[i] for i in (0, 1))
        sigma = noise * np.std([y, x])
        rng = np.random.default_rng(seed)
        y, x = y + rng.normal(0, sigma, y.shape), x + rng.normal(0, sigma, x.shape)
        return (-y if flipped else y), x


@pytest.fixture
def atoms() -> Callable[..., Atoms]:
    def make(
        shape: tuple[int, int] = (40, 40), step: tuple[float, float] = (1.0, 1.0), n: int = 8, seed: int = 0
    ) -> Atoms:
        """Atoms of 2 to 3 positions standard deviation, all heavier than vacuum, spread by the seed."""
        rng = np.random.default_rng(seed)
        y, x = np.meshgrid(np.arange(shape[0]) * step[0], np.arange(shape[1]) * step[1], indexing="ij")
        phase, gy, gx, laplacian = (np.zeros(shape) for _ in range(4))
        for _ in range(n):
            cy, cx = rng.uniform(0, y.max()), rng.uniform(0, x.max())
            s = rng.uniform(2, 3) * max(step)
            bump = rng.uniform(0.5, 1) * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * s * s))
            phase += bump
            gy -= bump * (y - cy) / s**2
            gx -= bump * (x - cx) / s**2
            laplacian += bump * (((y - cy) ** 2 + (x - cx) ** 2) / s**4 - 2 / s**2)
        return Atoms(y, x, step, phase, gy / (2 * np.pi), gx / (2 * np.pi), laplacian / (2 * np.pi))

    return make


@pytest.fixture
def com_data() -> Callable[..., xr.Dataset]:
    def make(
        com_y: np.ndarray,
        com_x: np.ndarray,
        step: tuple[float, float] = (1.0, 1.0),
        scan_units: str = "angstrom",
        q_units: str = "1/angstrom",
        **attrs: Any,
    ) -> xr.Dataset:
        """``descriptors/1`` as the learner ``com`` gives it."""
        coords = {
            dim: variable(dim, np.arange(n) * h, scan_units, dim)
            for dim, n, h in zip(("scan_y", "scan_x"), com_y.shape, step, strict=True)
        }
        z = np.stack([com_y, com_x], -1)
        return descriptors.make(
            z, dims=("scan_y", "scan_x"), component=("com_y", "com_x"), units=q_units, coords=coords, attrs=attrs
        )

    return make


@pytest.fixture
def ctx() -> Context:
    return Context(rng=np.random.default_rng(0))


@pytest.fixture
def shared_data() -> Path:
    """Folder of the shared simulated data; skips loudly without it."""
    root = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("RONCHI_SHARED_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set RONCHI_SHARED_DATA to run this test")
    return folder

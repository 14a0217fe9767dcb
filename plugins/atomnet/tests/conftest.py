"""Images of which everything is known."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ronchi.api import Context


@pytest.fixture
def ctx() -> Context:
    return Context(rng=np.random.default_rng(0))


@pytest.fixture
def draw() -> Callable[..., np.ndarray]:
    def make(points, shape=(64, 80), sigma=2.0, height=100.0, background=20.0) -> np.ndarray:
        """Gaussians of one width at points (n, 2), (y, x) in px."""
        y, x = np.ogrid[: shape[0], : shape[1]]
        image = np.full(shape, float(background))
        for (row, column), each in zip(points, np.broadcast_to(height, len(points)), strict=True):
            image += each * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2))
        return image

    return make


@pytest.fixture
def honeycomb() -> Callable[..., np.ndarray]:
    def make(bond=7.0, shape=(120, 140), angle_deg=0.0, offset=(0.0, 0.0), border=0.0) -> np.ndarray:
        """Points (n, 2) of graphene, as far inside of the image as is asked for."""
        a, n = bond * np.sqrt(3), int(max(shape) / bond) + 4
        i, j = np.meshgrid(np.arange(-n, n), np.arange(-n, n), indexing="ij")
        cell = np.stack([(j * np.sqrt(3) / 2) * a, (i + j / 2) * a], -1).reshape(-1, 2)
        points = np.concatenate([cell, cell + np.array([bond, 0])])
        t = np.deg2rad(angle_deg)
        turn = np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]])
        points = points @ turn.T + np.array(shape) / 2 + offset
        return points[((points >= border) & (points <= np.array(shape) - 1 - border)).all(1)]

    return make


@pytest.fixture
def shared_data() -> Path:
    """Folder of the shared simulated data; skips loudly without it."""
    root = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("RONCHI_SHARED_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set RONCHI_SHARED_DATA to run this test")
    return folder

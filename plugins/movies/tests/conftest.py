"""Sheets of graphene of which every atom is known."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ronchi.api import Context

BOND = 1.42


def honeycomb(n: int = 16) -> np.ndarray:
    """(2 n^2, 2) atoms (y, x) of a perfect sheet, in angstrom."""
    i, j = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    cell = np.stack([i * 1.5, (j + 0.5 * (i % 2)) * np.sqrt(3)], -1).reshape(-1, 2)
    return BOND * np.concatenate([cell, cell + np.array([1.0, 0.0])])


@pytest.fixture(scope="session")
def sheet() -> Callable[..., np.ndarray]:
    return honeycomb


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

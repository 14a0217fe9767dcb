"""Images of which everything is known."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ronchi.api import Context, Result
from ronchi.builtin.motif_library import motif_atoms
from ronchi.builtin.motifs import draw_atoms, simulate_motifs


@pytest.fixture
def ctx() -> Context:
    return Context(rng=np.random.default_rng(0))


@pytest.fixture(scope="session")
def crops() -> Callable[..., Result]:
    """Simulated crops, made once for the same arguments."""
    made: dict[Any, Result] = {}

    def make(seed: int = 0, **changes: Any) -> Result:
        key = (seed, tuple(sorted(changes.items())))
        if key not in made:
            made[key] = simulate_motifs(np.random.default_rng(seed), **changes)
        return made[key]

    return make


@pytest.fixture(scope="session")
def draw() -> Callable[..., np.ndarray]:
    """A motif drawn from coordinates, without noise: turned from x towards y, then shifted by (y, x)."""

    def make(
        name: str = "f-glyph",
        angle: float = 0.0,
        shift: tuple[float, float] = (0.0, 0.0),
        shape: tuple[int, int] = (25, 25),
        sigma: float = 1.3,
    ) -> np.ndarray:
        atoms = motif_atoms(name, (max(shape) + 10) / 4.5)
        y, x = 4.5 * atoms[:, 0], 4.5 * atoms[:, 1]
        c, s = np.cos(angle), np.sin(angle)
        where = np.stack([s * x + c * y, c * x - s * y], -1) + shift
        return draw_atoms(where[None], atoms[:, 2], sigma, shape)[0].astype(np.float32)

    return make


@pytest.fixture
def shared_data() -> Path:
    """Folder of the shared simulated data; skips loudly without it."""
    root = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("RONCHI_SHARED_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set RONCHI_SHARED_DATA to run this test")
    return folder

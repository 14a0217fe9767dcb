"""Peaks of a deformed lattice, exact or spoilt on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import xarray as xr

from ronchi.api import Context
from ronchi.schema import peaks as schema
from ronchi_lattice.params import LatticeParams
from ronchi_lattice.solver import LatticeSolver

SQUARE = np.array([[0.03, 0.24], [0.25, -0.02]])
"""Columns g1, g2; rows (y, x); about 4 angstrom."""


@dataclass
class Crystal:
    """What a scan sees: one deformation gradient a position, textbook order (x, y), and how it is spoilt."""

    F: np.ndarray  # (n, 2, 2)
    G: np.ndarray
    q_max: float = 1.0
    sigma: float = 0.0
    origin: tuple[float, float] = (0.004, -0.007)
    missing: float = 0.0
    spurious: float = 0.0

    def peaks(self, rng: np.random.Generator) -> list[np.ndarray]:
        """(peaks, 2) positions (y, x) of each scan position."""
        order = np.arange(-9, 10)
        hk = np.stack(np.meshgrid(order, order), axis=-1).reshape(-1, 2)
        out = []
        for F in self.F:
            G_xy = np.linalg.inv(F).T @ self.G[::-1]  # g = F^-T g_ref holds in any one order of the axes
            q = (hk @ G_xy.T)[:, ::-1]
            q = q[np.hypot(*q.T) < self.q_max]
            q = q[rng.random(len(q)) >= self.missing]
            stray = rng.uniform(-self.q_max, self.q_max, (rng.binomial(len(q), self.spurious), 2))
            q = np.concatenate([q + rng.normal(0, self.sigma, q.shape), stray]) + self.origin
            out.append(rng.permutation(q))
        return out


def dataset(patterns: list[np.ndarray], scan_shape: tuple[int, int], **more: Any) -> xr.Dataset:
    """``peaks/1`` from one (peaks, 2) array a position."""
    flat = np.concatenate([*patterns, np.empty((0, 2))])
    more = {"q_units": "1/angstrom", "q_step": (0.02, 0.02), "q_shape": (100, 100)} | more
    counts = [len(pattern) for pattern in patterns]
    return schema.make(counts=counts, qy=flat[:, 0], qx=flat[:, 1], scan_shape=scan_shape, **more)


@pytest.fixture
def ctx() -> Context:
    return Context(rng=np.random.default_rng(0))


@pytest.fixture
def solve(ctx: Context) -> Callable[..., tuple[xr.Dataset, xr.Dataset]]:
    """Solve with the given parameters; strain and lattice."""

    def run(peaks: xr.Dataset, **params: Any) -> tuple[xr.Dataset, xr.Dataset]:
        result = LatticeSolver(LatticeParams(**params)).solve(peaks, ctx)
        return result.data, result.sides["lattice"]

    return run


@pytest.fixture
def strained_scan() -> Callable[..., xr.Dataset]:
    """A scan of 3 rows: unstrained columns 0 to 5, then columns with the deformations given."""

    def make(F: np.ndarray, G: np.ndarray = SQUARE, seed: int = 1, attrs: Any = None, **crystal: Any) -> xr.Dataset:
        F = np.atleast_3d(F).reshape(-1, 2, 2)
        row = np.concatenate([np.tile(np.eye(2), (6, 1, 1)), F])
        patterns = Crystal(np.tile(row, (3, 1, 1)), G, **crystal).peaks(np.random.default_rng(seed))
        return dataset(patterns, (3, len(row)), attrs=attrs)

    return make

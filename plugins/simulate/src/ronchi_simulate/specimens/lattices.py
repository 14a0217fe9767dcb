"""Atoms of an infinite crystal inside a box."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["fill_box", "turn"]

Floats = NDArray[np.float64]


def turn(angle_rad: float) -> Floats:
    """(3, 3) matrix that turns row vectors (x, y, z) about the beam, from x towards y: ``vectors @ turn(angle)``."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])


def fill_box(vectors: Any, basis: Any, low: Any, high: Any) -> tuple[Floats, NDArray[np.int64]]:
    """Place the atoms of a crystal that lie in a box.

    Parameters
    ----------
    vectors : (k, 3) array
        Lattice vectors (x, y, z) in angstrom; two of them make a sheet, three a crystal.
    basis : (m, 3) array
        Atoms of a cell in angstrom.
    low, high : (3,) array
        Corners of the box in angstrom; an atom at ``high`` is outside.

    Returns
    -------
    (n, 3) float64
        Positions in angstrom.
    (n,) int64
        Number of each atom in the basis.
    """
    vectors, basis = np.asarray(vectors, float), np.asarray(basis, float)
    low, high = np.asarray(low, float), np.asarray(high, float)
    corners = np.array(list(itertools.product(*zip(low, high, strict=True))))
    reach = (corners[:, None] - basis).reshape(-1, 3) @ np.linalg.pinv(vectors)
    first, last = np.floor(reach.min(0)).astype(int), np.ceil(reach.max(0)).astype(int)
    steps, *others = (np.arange(a, b + 1) for a, b in zip(first, last, strict=True))
    # Plane after plane of cells: a long box across a skew cell has many times as many cells around it as in it.
    plane = np.stack(np.meshgrid(*others, indexing="ij"), -1).reshape(-1, len(others)) @ vectors[1:]
    nearest, farthest = basis.min(0), basis.max(0)
    kept = []
    for step in steps:
        cell = plane + step * vectors[0]
        kept.append(cell[((cell >= low - farthest) & (cell < high - nearest)).all(-1)])
    where = np.concatenate(kept)[:, None] + basis
    inside = ((where >= low) & (where < high)).all(-1)
    number = np.broadcast_to(np.arange(len(basis)), inside.shape)
    return where[inside], number[inside]

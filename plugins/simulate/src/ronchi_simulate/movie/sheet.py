"""The sheet before the beam: grains of graphene that meet in chains of pentagons and heptagons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ronchi_simulate.movie.network import RING_ANGSTROM, settle

__all__ = ["Sheet", "make_sheet"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_CLOSEST = 0.75 * RING_ANGSTROM
"""Ring centres of two grains that would be closer are one ring too many."""
_LOOSE = 2.6 * RING_ANGSTROM
"""Rings this close to another grain find their own place."""


@dataclass(frozen=True)
class Sheet:
    """Ring centres in (y, x) angstrom, and how they turn.

    Parameters
    ----------
    points : (m, 2) float64
        On the lattices of their grains.
    grain : (m,) int64
    angle_deg : (grains,) float64
        Direction of a zigzag row, from x towards y.
    pivot : (grains, 2) float64
        Point about which a grain turns.
    free : (m,) bool
        Rings at boundaries.
    """

    points: Floats
    grain: Ints
    angle_deg: Floats
    pivot: Floats
    free: NDArray[np.bool_]

    def turned(self, by_deg: Floats) -> Floats:
        """Ring centres (m, 2) with every grain turned, and its boundaries settled."""
        angle = np.deg2rad(by_deg)[self.grain]
        arm = self.points - self.pivot[self.grain]
        sine, cosine = np.sin(angle), np.cos(angle)
        # x towards y: positions are (y, x).
        rigid = self.pivot[self.grain] + np.stack(
            [cosine * arm[:, 0] + sine * arm[:, 1], cosine * arm[:, 1] - sine * arm[:, 0]], 1
        )
        return settle(rigid, self.free)


def make_sheet(low: Floats, high: Floats, seeds: Floats, angle_deg: Floats, offsets: Floats) -> Sheet:
    """Fill a box with grains.

    Parameters
    ----------
    low, high : (2,) float64
        Corners (y, x) of the box in angstrom.
    seeds : (grains, 2) float64
        Every point belongs to the grain of the nearest seed.
    angle_deg : (grains,) float64
    offsets : (grains, 2) float64
        A ring centre of each lattice.

    Returns
    -------
    Sheet
    """
    parts: list[Floats] = []
    owner: list[Ints] = []
    tree = cKDTree(seeds)
    for number, (angle, offset) in enumerate(zip(np.deg2rad(angle_deg), offsets, strict=True)):
        lattice = _lattice(low, high, float(angle), offset)
        mine = lattice[tree.query(lattice)[1] == number]
        if parts:
            crowded = cKDTree(np.concatenate(parts)).query(mine)[0] < _CLOSEST
            mine = mine[~crowded]
        parts.append(mine)
        owner.append(np.full(len(mine), number))
    points, grain = np.concatenate(parts), np.concatenate(owner)
    free = np.zeros(len(points), bool)
    for number in range(len(seeds)):
        inside, outside = points[grain == number], points[grain != number]
        if len(inside) and len(outside):
            free[grain == number] = cKDTree(outside).query(inside)[0] < _LOOSE
    pivot = np.stack(
        [points[grain == number].mean(0) if (grain == number).any() else seeds[number] for number in range(len(seeds))]
    )
    return Sheet(points, grain, np.asarray(angle_deg, float), pivot, free)


def _lattice(low: Floats, high: Floats, angle: float, offset: Floats) -> Floats:
    """Triangular lattice points (y, x) in a box, a row of them along ``angle``."""
    a = RING_ANGSTROM * np.array([np.sin(angle), np.cos(angle)])
    b = RING_ANGSTROM * np.array([np.sin(angle + np.pi / 3), np.cos(angle + np.pi / 3)])
    reach = int(np.ceil(np.hypot(*(high - low)) / RING_ANGSTROM * 1.2)) + 2
    centre = (low + high) / 2
    basis = np.stack([a, b])
    start = np.rint(np.linalg.solve(basis.T, centre - offset))
    i, j = np.meshgrid(*[np.arange(-reach, reach + 1)] * 2, indexing="ij")
    points = offset + (np.stack([i.ravel(), j.ravel()], 1) + start) @ basis
    kept: Floats = points[((points >= low) & (points <= high)).all(1)]
    return kept

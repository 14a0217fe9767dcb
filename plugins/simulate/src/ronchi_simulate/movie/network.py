"""A sheet of threefold bonded carbon as the dual of a triangulation.

Every triangle between the centres of three rings is an atom, and two triangles with a common side are bonded. Any set
of ring centres thus gives a closed network: hexagons where they lie on a triangular lattice, chains of pentagons and
heptagons where lattices of different rotation meet. An edge of the triangulation that flips when the centres move is a
Stone-Wales rotation of a bond.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay, cKDTree

__all__ = ["BOND_ANGSTROM", "RING_ANGSTROM", "Network", "settle", "triangulate"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

BOND_ANGSTROM = 1.42
RING_ANGSTROM = BOND_ANGSTROM * np.sqrt(3)
"""Distance of the centres of neighbouring hexagons."""


@dataclass(frozen=True)
class Network:
    """Atoms and bonds.

    Parameters
    ----------
    keys : (n,) int64
        Ascending; the same three rings have the same key in every network over the same points.
    corners : (n, 3) int64
        Rings around each atom.
    centroids : (n, 2) float64
        Middle of each triangle: the exact place of an atom in a perfect lattice.
    neighbours : (n, 3) int64
        Bonded atoms, -1 beyond the hull.
    ring_sizes : (points,) int64
        Atoms around each ring.
    """

    keys: Ints
    corners: Ints
    centroids: Floats
    neighbours: Ints
    ring_sizes: Ints


def triangulate(points: Floats) -> Network:
    """Network of ring centres (m, 2)."""
    made = Delaunay(points)
    corners = np.sort(made.simplices.astype(np.int64), axis=1)
    count = len(points)
    keys = (corners[:, 0] * count + corners[:, 1]) * count + corners[:, 2]
    order = np.argsort(keys)
    place = np.empty(len(order) + 1, np.int64)
    place[order] = np.arange(len(order))
    place[-1] = -1
    corners = corners[order]
    return Network(
        keys[order],
        corners,
        points[corners].mean(1),
        place[made.neighbors[order]],
        np.bincount(corners.ravel(), minlength=count),
    )


def settle(points: Floats, free: Bools, rounds: int = 5) -> Floats:
    """Push free ring centres to the distance of hexagons from their neighbours; the others stay.

    Parameters
    ----------
    points : (m, 2) float64
        Left as they are.
    free : (m,) bool
    rounds : int
        Triangulations, with six steps each.

    Returns
    -------
    (m, 2) float64
    """
    moved = points.copy()
    if not free.any():
        return moved
    near = np.zeros(len(points), bool)
    near[np.unique(np.concatenate(cKDTree(points).query_ball_point(points[free], 3 * RING_ANGSTROM)).astype(int))] = (
        True
    )
    some = np.flatnonzero(near)
    loose = free[some]
    for _ in range(rounds):
        indptr, indices = Delaunay(moved[some]).vertex_neighbor_vertices
        first = np.repeat(np.arange(len(some)), np.diff(indptr))
        for _ in range(6):
            here = moved[some]
            apart = here[indices] - here[first]
            length = np.hypot(apart[:, 0], apart[:, 1])
            # Sides of the hull and of holes in the selection are no neighbours.
            pull = np.where(length < 1.6 * RING_ANGSTROM, 1 - RING_ANGSTROM / length, 0.0)[:, None] * apart
            force = np.stack([np.bincount(first, pull[:, axis], len(some)) for axis in (0, 1)], 1)
            moved[some[loose]] += 0.15 * force[loose]
    return moved

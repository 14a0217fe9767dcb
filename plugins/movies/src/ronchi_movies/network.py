"""The network of bonds of one frame, and the rings in it: faces of a planar graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import Delaunay, QhullError, cKDTree

from ronchi_movies.assignment import spacing_of

__all__ = ["Network", "bond_cutoff", "network_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_FARTHEST = 2.4
"""Distances up to so many spacings are looked at: beyond the second neighbours of any lattice in a plane."""
_BIN = 0.02
_SMOOTH = 2.5
_SHORTEST, _LONGEST = 1.1, 1.6
"""Where the first minimum may lie, in spacings: second neighbours are 1.41 (square) to 1.73 (honeycomb) away."""


@dataclass(frozen=True)
class Network:
    """Bonds, and the rings that they close.

    Parameters
    ----------
    bonds : (b, 2) int64
        Pairs of atoms; no two bonds cross.
    rings : (r,) int64
        Number of atoms of each ring; a ring has no atom inside, and no atom twice.
    members : (m, 2) int64
        Ring and atom, one row for each atom of each ring.
    n_larger : int
        Closed faces with more than ``max_size`` sides: holes.
    """

    bonds: Ints
    rings: Ints
    members: Ints
    n_larger: int


def bond_cutoff(frames: list[Floats]) -> float:
    """Longest bond: the first minimum of the distances between atoms per area, pooled over frames.

    Parameters
    ----------
    frames : list of (n, 2) float
        Positions.

    Returns
    -------
    float
        In the units of the positions; NaN if no frame has two atoms.
    """
    spacing = spacing_of(frames)
    if not spacing > 0:
        return float("nan")
    edges = np.arange(0, _FARTHEST + _BIN, _BIN)
    counts = np.zeros(len(edges) - 1)
    for points in frames:
        tree = cKDTree(points)
        near = tree.sparse_distance_matrix(tree, _FARTHEST * spacing, output_type="ndarray")
        counts += np.histogram(near["v"][near["i"] < near["j"]] / spacing, edges)[0]
    middle = (edges[:-1] + edges[1:]) / 2
    density = gaussian_filter1d(counts / middle, _SMOOTH)
    allowed = np.flatnonzero((middle >= _SHORTEST) & (middle <= _LONGEST))
    least = allowed[density[allowed] <= density[allowed].min() * (1 + 1e-9) + 1e-12]
    # Of an empty gap the middle.
    return spacing * float(middle[least].mean())


def network_of(points: Floats, cutoff: float, max_size: int) -> Network:
    """Bonds and rings of one frame.

    Bonds are the edges of the Delaunay triangulation that are short enough, so that none cross. Triangles on both
    sides of an edge that is no bond belong to one face. A face of ``k`` atoms that holds no other atom consists of
    ``k - 2`` triangles.

    Parameters
    ----------
    points : (n, 2) float
        Positions.
    cutoff : float
        Longest bond.
    max_size : int
        Most atoms of a ring.
    """
    nothing = np.zeros((0, 2), np.int64)
    empty = Network(nothing, np.zeros(0, np.int64), nothing, 0)
    if len(points) < 3 or not cutoff > 0:
        return empty
    try:
        made = Delaunay(points - points.mean(0))
    except QhullError:  # all atoms on one line
        return empty
    corners, beside = made.simplices.astype(np.int64), made.neighbors.astype(np.int64)
    n = len(corners)
    # The edge opposite of each corner of each triangle: `side` numbers (triangle, corner).
    ends = np.sort(np.stack([corners[:, [1, 2, 0]], corners[:, [2, 0, 1]]], -1), -1).reshape(-1, 2)
    across = beside.reshape(-1)
    own = np.repeat(np.arange(n), 3)
    bonded = np.hypot(*(points[ends[:, 0]] - points[ends[:, 1]]).T) <= cutoff
    inner = ~bonded & (across >= 0)
    graph = coo_array((np.ones(int(inner.sum()), bool), (own[inner], across[inner])), shape=(n, n))
    count, face = connected_components(graph, directed=False)
    open_face = np.zeros(count, bool)
    open_face[face[own[~bonded & (across < 0)]]] = True
    # A bond with the same face on both sides ends inside of it.
    loose = np.zeros(count, bool)
    loose[face[own[bonded & (across >= 0) & (face[own] == face[across])]]] = True
    sides = np.bincount(face[own[bonded]], minlength=count)
    simple = ~open_face & ~loose & (np.bincount(face, minlength=count) == sides - 2)
    is_ring = simple & (sides <= max_size)
    number = np.cumsum(is_ring) - 1
    members = np.unique(np.stack([np.repeat(face, 3), corners.reshape(-1)], 1)[is_ring[np.repeat(face, 3)]], axis=0)
    members[:, 0] = number[members[:, 0]]
    bonds = np.unique(ends[bonded], axis=0)
    larger = int((~open_face & (sides > max_size)).sum())
    return Network(bonds, sides[is_ring].astype(np.int64), members, larger)

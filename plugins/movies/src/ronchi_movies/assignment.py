"""One-to-one pairs of points that are close, at the least sum of squared distances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

__all__ = ["pair_off", "spacing_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def pair_off(
    first: Floats, second: Floats, reach: float, kinds: tuple[NDArray[np.generic], NDArray[np.generic]] | None = None
) -> tuple[Ints, Ints]:
    """Pair points of two sets.

    Every pair saves ``reach`` squared less its squared distance; of all ways to pair the one that saves most is
    chosen. A point without a partner saves nothing. Pairs within ``reach`` fall into small groups that share no
    point, and each group is solved alone, so that the time grows with the number of points.

    Parameters
    ----------
    first, second : (n, 2), (m, 2) float
        Positions.
    reach : float
        No pair is farther apart.
    kinds : pair of (n,), (m,) arrays, optional
        Only points of one kind are paired.

    Returns
    -------
    i, j : (k,) int64
        Pairs, ascending in ``i``.
    """
    nothing = np.zeros(0, np.int64)
    if not len(first) or not len(second):
        return nothing, nothing
    near = cKDTree(first).sparse_distance_matrix(cKDTree(second), reach, output_type="ndarray")
    i, j, saved = near["i"].astype(np.int64), near["j"].astype(np.int64), reach**2 - near["v"] ** 2
    if kinds is not None:
        same = kinds[0][i] == kinds[1][j]
        i, j, saved = i[same], j[same], saved[same]
    n = len(first)
    total = n + len(second)
    graph = coo_array((np.ones(len(i), bool), (i, n + j)), shape=(total, total))
    group = connected_components(graph, directed=False)[1][i]
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    sizes = np.diff(starts, append=len(order))
    chosen = [order[starts[sizes == 1]]]
    for start, size in zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
        chosen.append(_best(order[start : start + size], i, j, saved))
    edges = np.concatenate(chosen)
    edges = edges[np.argsort(i[edges], kind="stable")]
    return i[edges], j[edges]


def _best(edges: Ints, i: Ints, j: Ints, saved: Floats) -> Ints:
    """Of the candidate pairs ``edges`` of one group those that save most."""
    rows, row = np.unique(i[edges], return_inverse=True)
    columns, column = np.unique(j[edges], return_inverse=True)
    gain = np.zeros((len(rows), len(columns)))
    number = np.full(gain.shape, -1, np.int64)
    gain[row, column], number[row, column] = saved[edges], edges
    found = number[linear_sum_assignment(gain, maximize=True)]
    return found[found >= 0]


def spacing_of(frames: list[Floats]) -> float:
    """Median distance of nearest neighbours over all frames; NaN if no frame has two points."""
    distances = [cKDTree(points).query(points, k=2)[0][:, 1] for points in frames if len(points) > 1]
    return float(np.median(np.concatenate(distances))) if distances else float("nan")

"""Find the basis that the patterns of a scan agree on.

Differences between peaks of one pattern do not know where its origin is. Over the scan they pile up at
the nodes of the lattice, whatever reflections a single pattern misses; stray peaks spread thin.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ronchi.api import DataError
from ronchi_lattice.cell import canonical, reduce_cell
from ronchi_lattice.peaklist import Peaks

__all__ = ["find_basis", "find_basis_of_part"]

Floats = NDArray[np.float64]

_POSITIONS = 400  # spread over the scan: more of them tell nothing new
_PARTS, _PART = 9, (16, 4)  # parts of a scan that are asked by themselves; positions of each, fewer in a second try
_PAIRS = 400_000  # bounds memory where patterns hold hundreds of peaks
_REACHES = (6.0, 24.0)  # spacings: the longest differences looked at; the further ones if the nearer lie on one line
_BIN = 0.05  # spacings
_BLUR = 1.5  # bins
_CANDIDATES = 20  # highest pile-ups that are tried as basis vectors
_NEAR = 0.15  # spacings: a pile-up this close to a node belongs to it
_FAINT = 0.15  # of the highest pile-up: lower ones do not vote
_CONTRAST = 3.0  # height over the mean about it: at 0.2 spacings of scatter a lattice still has 4
_AGREEMENT = 0.4  # share of the height on nodes, beyond chance; a crystal gives 0.8 and more, n alike 0.8 / n each


def find_basis(peaks: Peaks, min_peaks: int, n_lattices: int = 1) -> Floats | None:
    """Reduced basis of the lattice that most differences between peaks lie on.

    Parameters
    ----------
    peaks : Peaks
    min_peaks : int
        Positions with fewer are not asked.
    n_lattices : int
        Lattices that may share the peaks: each has less of the differences then.

    Returns
    -------
    (2, 2) float64 or None
        Columns g1 and g2, rows (y, x), as `ronchi_lattice.cell.canonical` orders them; None if no position has
        ``min_peaks``.

    Raises
    ------
    DataError
        The peaks of the scan agree on no lattice, or lie on one line.
    """
    return _find(peaks, min_peaks, n_lattices)[0]


def find_basis_of_part(peaks: Peaks, min_peaks: int) -> Floats | None:
    """Basis that neighbouring patterns agree on best, where the scan agrees on none: of a crystal that turns across it.

    Of a few parts of the scan the one whose peaks agree on a lattice best is asked; None if those of none do.
    """
    enough = np.flatnonzero(peaks.counts >= min_peaks)
    place = np.stack(np.divmod(peaks.flat_index[enough], peaks.scan_shape[1]), axis=1)
    centres = np.linspace(0, len(enough) - 1, min(_PARTS, len(enough))).astype(np.int64)
    for size in _PART:
        best: tuple[float, Floats | None] = (0.0, None)
        for centre in centres:
            near = np.argsort(np.abs(place - place[centre]).max(axis=1), kind="stable")[:size]
            try:
                basis, agreement = _find(peaks.at(np.sort(enough[near]))[1], min_peaks, 1)
            except DataError:
                continue
            if agreement > best[0]:
                best = agreement, basis
        if best[1] is not None:
            return best[1]
    return None


def _find(peaks: Peaks, min_peaks: int, n_lattices: int) -> tuple[Floats | None, float]:
    """Basis as `find_basis` has it, and how much of what the patterns have in common lies on it."""
    # Several patterns may be of several grains; of several lattices in each, a denser one is kept from winning.
    may_mix = n_lattices == 1 and int(np.count_nonzero(peaks.counts >= min_peaks)) > 1
    for reach in _REACHES:
        differences, spacing = _differences(peaks, min_peaks, reach)
        if spacing is None:
            return None, 0.0
        nodes, height = _pile_ups(differences, spacing, reach) if np.isfinite(spacing) else (differences, np.empty(0))
        best, agreement = _consensus(nodes, height, spacing, n_lattices, may_mix=may_mix)
        if best is not None or not _are_on_a_line(differences, spacing):
            break
    else:
        raise DataError(
            "the peaks of the patterns lie on one line, or on parallel ones far apart: they span no lattice",
            where="peaks",
            fix="have disks beside the line found: lower the detector's thresholds, or record another zone axis",
        )
    if best is None or agreement < _AGREEMENT / n_lattices:
        raise DataError(
            f"no lattice explains the peaks of this scan: the best one, {max(agreement, 0):.0%} of the differences "
            "they have in common",
            where="peaks",
            fix="look at the peaks with `ronchi preview`, or give the parameter basis: {g1: [y, x], g2: [y, x]}",
        )
    return canonical(_refined(best, nodes, height, spacing)), agreement


def _differences(peaks: Peaks, min_peaks: int, reach: float) -> tuple[Floats, float | None]:
    """Differences within ``reach`` spacings, and the spacing: the median distance to the nearest peak.

    The spacing is None without patterns to ask, and infinite if their peaks all coincide.
    """
    enough = np.flatnonzero(peaks.counts >= min_peaks)
    if not len(enough):
        return np.empty((0, 2)), None
    chosen = enough[np.unique(np.linspace(0, len(enough) - 1, min(_POSITIONS, len(enough))).astype(np.int64))]
    affordable = max(1, int(_PAIRS / np.mean(peaks.counts[chosen] ** 2)))
    chosen = chosen[:: -(-len(chosen) // affordable)]
    nearest, differences = [], []
    for n in chosen:
        q = peaks.q[peaks.offsets[n] : peaks.offsets[n + 1]]
        d = (q[:, None] - q[None]).reshape(-1, 2)
        length = np.hypot(*d.T)
        # Half of evenly spread peaks lie within this radius; much nearer than their density says are duplicates.
        radius = np.median(np.hypot(*(q - np.median(q, axis=0)).T))
        apart = length > 0.3 * radius * np.sqrt(2 * np.pi / len(q))
        nearest.append(np.where(apart, length, np.inf).reshape(len(q), len(q)).min(axis=1))
        differences.append(d[apart])
    spacing = float(np.median(np.concatenate(nearest)))
    every = np.concatenate(differences)
    return every[np.hypot(*every.T) < reach * spacing], spacing


def _are_on_a_line(differences: Floats, spacing: float) -> bool:
    if not len(differences):
        return False
    squares = np.linalg.eigvalsh(differences.T @ differences / len(differences))
    return bool(squares[0] < (_NEAR * spacing) ** 2)


def _pile_ups(differences: Floats, spacing: float, reach: float) -> tuple[Floats, Floats]:
    """Where the differences pile up, (n, 2), and how high, highest first."""
    half = round(reach / _BIN)
    bins = np.rint(differences / (_BIN * spacing)).astype(np.int64) + half
    size = 2 * half + 1
    counts = np.bincount(bins[:, 0] * size + bins[:, 1], minlength=size * size).reshape(size, size)
    density = ndimage.gaussian_filter(counts.astype(np.float64), _BLUR, mode="constant")
    peak = (density == ndimage.maximum_filter(density, size=7)) & (density > 0)
    y, x = np.nonzero(peak)
    height = density[y, x]
    place = (np.stack([y, x], axis=1) - half) * (_BIN * spacing)
    mean = ndimage.gaussian_filter(density, 0.5 / _BIN, mode="constant")[y, x]
    kept = (height >= _FAINT * height.max()) & (height > _CONTRAST * mean) & (np.hypot(*place.T) > 0.4 * spacing)
    order = np.lexsort((place[kept][:, 1], place[kept][:, 0], -height[kept]))
    return place[kept][order], height[kept][order]


def _consensus(
    nodes: Floats, height: Floats, spacing: float, n_lattices: int, *, may_mix: bool
) -> tuple[Floats | None, float]:
    """Basis from two pile-ups that puts most of the height on nodes, less what so dense a lattice gets by chance.

    Where there are several lattices, a denser one holds nodes of more than one of them: the height counts by what a
    node of the lattice tells about a place, log(1 / chance). A single lattice is to hold its superlattice reflections.
    Where it ``may_mix``, grains side by side may lie on a denser lattice that none of them has: no pattern shows its
    shortest vectors, and the lattice of one grain goes before it.
    """
    best, agreement, highest = None, 0.0, (False, 0.0)
    half_plane = [v for v in nodes if (v[0], v[1]) > (0, 0)][:_CANDIDATES]
    for a, b in combinations(half_plane, 2):
        area = abs(a[0] * b[1] - a[1] * b[0])
        if area < 0.1 * spacing**2:
            continue
        G = reduce_cell(np.stack([a, b], axis=1))
        if G[:, 0] @ G[:, 0] < (0.4 * spacing) ** 2:
            continue
        shown = not may_mix or any((np.hypot(*(nodes - vector).T) < _NEAR * spacing).any() for vector in G.T)
        # The near nodes first: a pile-up far out lies off by the error of G, once for each step.
        G = _refined(G, nodes, height, spacing, reach=2)
        explained = float(height[_on_lattice(G, nodes, spacing)].sum() / height.sum())
        chance = np.pi * (_NEAR * spacing) ** 2 / area
        score = (explained - chance) * (1.0 if n_lattices == 1 else -np.log(chance))
        preferred = shown and explained - chance >= _AGREEMENT / n_lattices
        if (preferred, score - 1e-9) > highest:
            best, agreement, highest = G, explained - chance, (preferred, score)
    return best, agreement


def _on_lattice(G: Floats, nodes: Floats, spacing: float, reach: float = np.inf) -> NDArray[np.bool_]:
    """Which pile-ups lie at nodes, of indices up to ``reach``."""
    indices = np.rint(np.linalg.solve(G, nodes.T))
    near = np.hypot(*(nodes.T - G @ indices)) < _NEAR * spacing
    return np.asarray(near & (np.abs(indices).max(axis=0) <= reach))


def _refined(G: Floats, nodes: Floats, height: Floats, spacing: float, reach: float = np.inf) -> Floats:
    """Least squares over the pile-ups on the lattice, weighted by their height."""
    marked = _on_lattice(G, nodes, spacing, reach)
    indices = np.rint(np.linalg.solve(G, nodes[marked].T)).T
    weight = height[marked, None]
    normal = indices.T @ (weight * indices)
    if not np.linalg.det(normal) > 1e-6 * np.trace(normal) ** 2:
        return G
    refined: Floats = np.linalg.solve(normal, indices.T @ (weight * nodes[marked])).T
    return refined

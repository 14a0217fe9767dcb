"""Search in windows around the sites of a known lattice.

It pays where disks are few and small for their detector, and where faint ones matter: a site that is
known may be tested at a lower threshold than any of ten thousand places.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.api import DataError
from ronchi_crosscorr.blind import BlindSearch, Candidates, not_finite
from ronchi_crosscorr.params import CrossCorrParams
from ronchi_crosscorr.search import COLUMNS, REASONS
from ronchi_crosscorr.template import Template
from ronchi_disks.noise import Noise

__all__ = ["Lattice", "SeededSearch", "find_lattice", "lattice_sites"]

Lattice = NDArray[np.float64]
"""(3, 2) array: origin, g1, g2, each (y, x) in px."""

_CENTRAL = 200
"""Disks nearest to the centre that the lattice vectors are looked for among."""
_NEIGHBOURS = 8
"""Nearest disks of each, the differences to which may be lattice vectors."""
_OFF_SITE = 0.2
"""A disk farther from its site than this, in shortest distances, is not on the lattice."""
_SUPPORT = 0.5
"""Least share of the best candidate's support that another one needs to be preferred."""


def lattice_sites(lattice: Lattice, frame: tuple[int, int], edge_px: float) -> NDArray[np.float64]:
    """(n, 2) sites of a lattice that lie in a frame, ``edge_px`` from its edge."""
    corners = np.array([(y, x) for y in (0, frame[0] - 1) for x in (0, frame[1] - 1)])
    index = (corners - lattice[0]) @ np.linalg.inv(lattice[1:])
    first, last = np.floor(index.min(0)), np.ceil(index.max(0))
    hk = np.stack(np.meshgrid(*map(np.arange, first, last + 1), indexing="ij"), -1).reshape(-1, 2)
    sites = lattice[0] + hk @ lattice[1:]
    inside = (sites >= edge_px) & (sites <= np.array(frame) - 1 - edge_px)
    return np.asarray(sites[inside.all(1)])


def find_lattice(y: NDArray[np.float64], x: NDArray[np.float64], centre_px: tuple[float, float]) -> Lattice:
    """Lattice of the disks of a mean pattern.

    The shortest difference that carries many disks onto others, and the shortest such one that is not along it: a
    disk that is not on the lattice has differences of its own, which nobody shares. Then a least-squares fit to the
    disks that lie on the lattice.

    Parameters
    ----------
    y, x : (n,) float64 arrays
        Positions of the disks, px.
    centre_px : tuple of float
        The disk nearest to it is the origin.

    Raises
    ------
    DataError
        Three disks that are not in a row are needed.
    """
    points = np.stack([y, x], 1)
    if len(points) < 3:
        raise DataError(
            f"{len(points)} disks in the mean pattern do not make a lattice",
            fix="give `origin`, `g1` and `g2`, or search: blind",
        )
    central = points[np.hypot(*(points - centre_px).T).argsort(kind="stable")[:_CENTRAL]]
    difference, support, tolerance = _shared_differences(central)
    g1 = difference[_trusted(support)][0]
    across = np.abs(g1[0] * difference[:, 1] - g1[1] * difference[:, 0])
    off_axis = across > 0.3 * np.hypot(*g1) * np.hypot(*difference.T)
    if not off_axis.any():
        raise DataError(
            "the disks of the mean pattern lie in a row", fix="give `origin`, `g1` and `g2`, or search: blind"
        )
    g2 = difference[off_axis][_trusted(support[off_axis])][0]
    index = (central[:, None] - central) @ np.linalg.inv(np.stack([g1, g2]))
    agree = (np.hypot(*((index - np.rint(index)) @ np.stack([g1, g2])).transpose(2, 0, 1)) < tolerance).sum(0)
    lattice = np.stack([central[_trusted(agree)][0], g1, g2])
    for _ in range(3):
        index = np.rint((points - lattice[0]) @ np.linalg.inv(lattice[1:]))
        residual = np.hypot(*(points - lattice[0] - index @ lattice[1:]).T)
        on = residual < tolerance
        design = np.column_stack([np.ones(on.sum()), index[on]])
        if np.linalg.matrix_rank(design) < 3:
            break
        lattice = np.linalg.lstsq(design, points[on], rcond=None)[0]
    return np.asarray(lattice)


def _shared_differences(
    points: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
    """Differences (n, 2) of neighbours, shortest first, how many disks each carries onto others, and how nearly, px."""
    from scipy.spatial import cKDTree

    tree = cKDTree(points)
    distance, near = tree.query(points, k=min(_NEIGHBOURS + 1, len(points)))
    tolerance = _OFF_SITE * float(np.median(distance[:, 1]))
    difference = (points[near[:, 1:]] - points[:, None]).reshape(-1, 2)
    difference = difference[np.hypot(*difference.T).argsort(kind="stable")]
    carried = [np.isfinite(tree.query(points + d, distance_upper_bound=tolerance)[0]).sum() for d in difference]
    return difference, np.array(carried), tolerance


def _trusted(support: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which candidates have about as much support as the best."""
    return np.asarray(support >= _SUPPORT * support.max())


def _shortest_vector(g1: NDArray[np.float64], g2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shortest vector of a lattice, by Lagrange's reduction."""
    while True:
        if g1 @ g1 > g2 @ g2:
            g1, g2 = g2, g1
        steps = np.rint((g1 @ g2) / (g1 @ g1))
        if steps == 0:
            return g1
        g2 = g2 - steps * g1


class SeededSearch:
    """Finds one disk in a window around each site.

    Parameters
    ----------
    lattice : (3, 2) array
        Origin, g1, g2 in px.
    """

    def __init__(
        self,
        params: CrossCorrParams,
        template: Template,
        frame: tuple[int, int],
        bad_pixel: NDArray[np.bool_] | None,
        device: str,
        lattice: Lattice,
    ) -> None:
        radius = template.shape.radius_px
        shortest = float(np.hypot(*_shortest_vector(*lattice[1:])))
        if shortest < radius:
            raise DataError(
                f"the sites of the lattice are {shortest:.3g} px apart, closer than the radius of the disks, "
                f"{radius:.3g} px",
                fix="give `g1` and `g2` as (y, x) in px",
            )
        sites = lattice_sites(lattice, frame, params.edge * radius)
        if not len(sites):
            raise DataError("no site of the lattice lies in the pattern", fix="check `origin`, `g1`, `g2` (y, x in px)")
        # Windows of neighbours must not catch the same disk.
        self._capture = min(params.capture * radius, 0.45 * shortest)
        half = int(np.ceil(self._capture + 1.6 * radius + 5))
        self._half, self._sites = half, sites
        self._corner = np.rint(sites).astype(int)
        side = 2 * half + 1
        # What is too faint or too much is known when all windows have been searched.
        window = params.model_copy(update={"min_relative": 0.0})
        self._window = BlindSearch(window, template, (side, side), None, device, edge_px=half - self._capture)
        self._whole = BlindSearch(params, template, frame, bad_pixel, "cpu")
        share = np.kron(self._whole.bad_share[0], np.ones((self._whole.grid.binning,) * 2, np.float32))
        beyond = [(half, half + n - m) for n, m in zip(frame, share.shape, strict=True)]
        share = np.pad(share, beyond, mode="edge")
        k = self._window.grid.binning
        used = self._window.grid.used
        self._window.bad_share = np.stack(
            [share[y : y + side : k, x : x + side : k][: used[0], : used[1]] for y, x in self._corner]
        )
        self._max_peaks, self._min_relative = params.max_peaks, params.min_relative

    def candidates(self, frames: NDArray[Any], *, explain: bool = False) -> Candidates:
        """See `BlindSearch.candidates`."""
        counts, noise = np.zeros(len(frames), np.int32), self._whole.noise(frames)
        side, parts = 2 * self._half + 1, []
        windows = np.empty((len(self._corner), side, side), np.float32)
        for i in range(len(frames)):
            frame = self._whole.filled(frames[i : i + 1])
            padded = np.pad(frame[0].astype(np.float32), self._half, mode="edge")
            if not np.isfinite(padded.sum()):
                raise not_finite(i)
            for j, (y, x) in enumerate(self._corner):
                windows[j] = padded[y : y + side, x : x + side]
            of_frame = Noise(*(np.full(len(windows), column[i]) for column in noise))
            found = self._window.candidates(windows, explain=explain, noise=of_frame)
            parts.append(self._judged(found, explain))
            counts[i] = len(parts[-1])
        table = np.concatenate(parts) if parts else np.empty((0, len(COLUMNS)))
        return Candidates(table, counts, noise)

    def _judged(self, found: Candidates, explain: bool) -> NDArray[np.float64]:
        """Candidates near the sites, one accepted a site at most, then what is too faint or too much."""
        table, site = found.table, np.repeat(np.arange(len(self._sites)), found.counts)
        table[:, :2] += self._corner[site] - self._half
        near = np.hypot(*(table[:, :2] - self._sites[site]).T) <= self._capture
        table, site = table[near], site[near]
        reason, intensity = table[:, COLUMNS.index("reason")], table[:, COLUMNS.index("intensity")]
        accepted = np.flatnonzero(reason == 0)
        brightest_first = accepted[np.argsort(-intensity[accepted], kind="stable")]
        of_site = brightest_first[np.sort(np.unique(site[brightest_first], return_index=True)[1])]
        faint = of_site[intensity[of_site] < self._min_relative * intensity[of_site].max(initial=0.0)]
        reason[accepted] = REASONS.index("over-cap")
        reason[of_site[: self._max_peaks]] = 0
        reason[faint] = REASONS.index("faint")
        return np.asarray(table if explain else table[reason == 0])

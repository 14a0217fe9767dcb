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
from ronchi_crosscorr.noise import measure_gain
from ronchi_crosscorr.params import CrossCorrParams
from ronchi_crosscorr.search import COLUMNS
from ronchi_crosscorr.template import Template

__all__ = ["Lattice", "SeededSearch", "find_lattice", "lattice_sites"]

Lattice = NDArray[np.float64]
"""(3, 2) array: origin, g1, g2, each (y, x) in px."""

_MAX_INDEX = 64


def lattice_sites(lattice: Lattice, frame: tuple[int, int], edge_px: float) -> NDArray[np.float64]:
    """(n, 2) sites of a lattice that lie in a frame, ``edge_px`` from its edge."""
    n = np.arange(-_MAX_INDEX, _MAX_INDEX + 1)
    hk = np.stack(np.meshgrid(n, n, indexing="ij"), -1).reshape(-1, 2)
    sites = lattice[0] + hk @ lattice[1:]
    inside = (sites >= edge_px) & (sites <= np.array(frame) - 1 - edge_px)
    return np.asarray(sites[inside.all(1)])


def find_lattice(y: NDArray[np.float64], x: NDArray[np.float64], centre_px: tuple[float, float]) -> Lattice:
    """Lattice of the disks of a mean pattern.

    The shortest difference of two disks that carries others along, and the shortest that is not along it,
    then a least-squares fit to the disks that lie on the lattice.

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
    origin = points[np.hypot(*(points - centre_px).T).argmin()]
    difference = (points[:, None] - points[None]).reshape(-1, 2)
    length = np.hypot(*difference.T)
    difference = difference[np.argsort(length, kind="stable")][len(points) :]
    g1 = difference[0]
    across = np.abs(g1[0] * difference[:, 1] - g1[1] * difference[:, 0])
    off_axis = difference[across > 0.3 * np.hypot(*g1) * np.hypot(*difference.T)]
    if not len(off_axis):
        raise DataError(
            "the disks of the mean pattern lie in a row", fix="give `origin`, `g1` and `g2`, or search: blind"
        )
    lattice = np.stack([origin, g1, off_axis[0]])
    for _ in range(3):
        index = np.rint((points - lattice[0]) @ np.linalg.inv(lattice[1:]))
        residual = np.hypot(*(points - lattice[0] - index @ lattice[1:]).T)
        on = residual < 0.2 * np.hypot(*g1)
        design = np.column_stack([np.ones(on.sum()), index[on]])
        if np.linalg.matrix_rank(design) < 3:
            break
        lattice = np.linalg.lstsq(design, points[on], rcond=None)[0]
    return np.asarray(lattice)


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
        sites = lattice_sites(lattice, frame, params.edge * radius)
        if not len(sites):
            raise DataError("no site of the lattice lies in the pattern", fix="check `origin`, `g1`, `g2` (y, x in px)")
        shortest = min(np.hypot(*v) for v in (lattice[1], lattice[2], lattice[1] - lattice[2], lattice[1] + lattice[2]))
        # Windows of neighbours must not catch the same disk.
        self._capture = min(params.capture * radius, 0.45 * float(shortest))
        half = int(np.ceil(self._capture + 1.6 * radius + 5))
        self._half, self._sites = half, sites
        self._corner = np.rint(sites).astype(int)
        one = params.model_copy(update={"max_peaks": 1})
        side = 2 * half + 1
        self._window = BlindSearch(one, template, (side, side), None, device, edge_px=half - self._capture)
        whole = BlindSearch(params, template, frame, bad_pixel, "cpu")
        self._fill = whole.fill
        share = np.pad(np.kron(whole.bad_share[0], np.ones((whole.grid.binning,) * 2, np.float32)), half, mode="edge")
        k = self._window.grid.binning
        used = self._window.grid.used
        self._window.bad_share = np.stack(
            [share[y : y + side : k, x : x + side : k][: used[0], : used[1]] for y, x in self._corner]
        )
        self._gain = params.counts_per_electron

    def candidates(self, frames: NDArray[Any], *, explain: bool = False) -> Candidates:
        """See `BlindSearch.candidates`."""
        counts, gains = np.zeros(len(frames), np.int32), np.zeros(len(frames))
        side, parts = 2 * self._half + 1, []
        windows = np.empty((len(self._corner), side, side), np.float32)
        for i in range(len(frames)):
            frame = frames[i : i + 1] if self._fill is None else self._fill(frames[i : i + 1])
            padded = np.pad(frame[0].astype(np.float32), self._half, mode="edge")
            if not np.isfinite(padded.sum()):
                raise not_finite(i)
            inner = np.ascontiguousarray(padded[self._half : -self._half, self._half : -self._half])
            gains[i] = self._gain or measure_gain(inner, *inner.shape)
            for j, (y, x) in enumerate(self._corner):
                windows[j] = padded[y : y + side, x : x + side]
            self._window.rules = self._window.rules._replace(gain=gains[i] or 1e-20)
            found = self._window.candidates(windows, explain=explain)
            table = found.table
            table[:, :2] += np.repeat(self._corner - self._half, found.counts, axis=0)
            away = np.hypot(*(table[:, :2] - np.repeat(self._sites, found.counts, axis=0)).T)
            parts.append(table[away <= self._capture])
            counts[i] = len(parts[-1])
        table = np.concatenate(parts) if parts else np.empty((0, len(COLUMNS)))
        return Candidates(table, counts, gains)

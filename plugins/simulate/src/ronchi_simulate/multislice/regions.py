"""Which part of a specimen each probe sees, and which probes share a potential."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ronchi_simulate.multislice.atoms import is_whole
from ronchi_simulate.multislice.grid import WaveGrid, fast_size

__all__ = ["Region", "divide"]

_MARGIN_ANGSTROM = 3.0
"""Around the windows of a region: the potential is periodic, and atoms beyond one edge reach over the other."""


@dataclass(frozen=True)
class Region:
    """A rectangle of the specimen with the probes whose windows lie in it.

    Parameters
    ----------
    positions : numpy.ndarray
        int (n,): index of each probe position in the whole list.
    origin_angstrom : tuple of float
        (y, x) corner in the specimen.
    grid : WaveGrid
        Of the potential, with the pixels of the waves.
    first_px : numpy.ndarray or None
        int (n, 2): first row and column of each window; None where all windows are the whole region.
    probe_px : numpy.ndarray
        float64 (n, 2): the probe in its window.
    """

    positions: NDArray[np.int64]
    origin_angstrom: tuple[float, float]
    grid: WaveGrid
    first_px: NDArray[np.int64] | None
    probe_px: NDArray[np.float64]


def divide(
    positions_angstrom: NDArray[np.float64], cell_angstrom: tuple[float, float], window: WaveGrid
) -> list[Region]:
    """Group probes so that those near to each other share one potential.

    Parameters
    ----------
    positions_angstrom : numpy.ndarray
        (n, 2), (y, x).
    cell_angstrom : tuple of float
        (y, x) of the specimen.
    window : WaveGrid
        What one probe sees.

    Returns
    -------
    list of Region
        One, of all probes, where the window is a whole number of cells: it is periodic as the specimen is. Else
        regions whose windows begin within one window of each other, so that a region has up to four windows' area.
    """
    step = np.asarray(window.step_angstrom)
    shape = np.asarray(window.shape)
    if all(is_whole(n * s, cell) for n, s, cell in zip(shape, step, cell_angstrom, strict=True)):
        return [Region(np.arange(len(positions_angstrom)), (0.0, 0.0), window, None, positions_angstrom / step)]
    first = np.round(positions_angstrom / step).astype(np.int64) - shape // 2
    corner = first.min(axis=0)
    tiles = (first - corner) // shape
    margin = np.ceil(_MARGIN_ANGSTROM / step).astype(np.int64)
    found = []
    for tile in np.unique(tiles, axis=0):
        members = np.flatnonzero((tiles == tile).all(axis=1))
        origin = first[members].min(axis=0) - margin
        size = first[members].max(axis=0) + shape + margin - origin
        grid = WaveGrid((fast_size(int(size[0])), fast_size(int(size[1]))), window.step_angstrom)
        found.append(
            Region(
                members,
                (float(origin[0] * step[0]), float(origin[1] * step[1])),
                grid,
                first[members] - origin,
                positions_angstrom[members] / step - first[members],
            )
        )
    return found

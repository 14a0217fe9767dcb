"""What `diffract` was asked for, checked: both engines get this."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ronchi.api import ConfigError
from ronchi_simulate.multislice.atoms import Columns, slice_count
from ronchi_simulate.multislice.grid import WaveGrid, fast_size

__all__ = ["Request", "make_request"]


@dataclass(frozen=True)
class Request:
    """Grid, positions and thicknesses.

    Parameters
    ----------
    pattern_shape : tuple of int
    q_step_inv_angstrom : float
    grid : WaveGrid
        Of the waves: the window of a probe.
    positions_angstrom : numpy.ndarray
        float64 (position, 2), (y, x).
    tilts_mrad : numpy.ndarray
        float64 (position, 2), (y, x): on top of the beams' own.
    n_slices : int
    exit_slices : numpy.ndarray
        int (exit,): after how many slices a pattern is taken.
    """

    pattern_shape: tuple[int, int]
    q_step_inv_angstrom: float
    grid: WaveGrid
    positions_angstrom: NDArray[np.float64]
    tilts_mrad: NDArray[np.float64]
    n_slices: int
    exit_slices: NDArray[np.int64]


def make_request(
    atoms: Columns,
    *,
    pattern_shape: tuple[int, int],
    q_step_inv_angstrom: float,
    positions_angstrom: ArrayLike | None,
    tilts_mrad: ArrayLike | None,
    exits_angstrom: Sequence[float] | None,
    slice_angstrom: float,
    wave_shape: tuple[int, int] | None,
) -> Request:
    """Check the numbers and fill in what was left open.

    Raises
    ------
    ConfigError
        A number is out of its range.
    """
    for name, value in (("q_step_inv_angstrom", q_step_inv_angstrom), ("slice_angstrom", slice_angstrom)):
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name} is {value}", where="diffract", fix="give a finite number above 0")
    if min(pattern_shape) < 1:
        raise ConfigError(f"pattern_shape is {pattern_shape}", where="diffract", fix="give two sizes of 1 or more")
    if wave_shape is None:
        # Square, as the window is: the band is a circle that the coarser axis limits.
        wave_shape = (fast_size(math.ceil(1.5 * max(pattern_shape))),) * 2
    if wave_shape[0] < pattern_shape[0] or wave_shape[1] < pattern_shape[1]:
        raise ConfigError(
            f"wave_shape {wave_shape} is below pattern_shape {pattern_shape}",
            where="diffract",
            fix="give a grid of the waves that holds the patterns",
        )
    window_angstrom = 1 / q_step_inv_angstrom
    grid = WaveGrid(wave_shape, (window_angstrom / wave_shape[0], window_angstrom / wave_shape[1]))
    height, *cell = atoms.cell_angstrom
    n_slices = slice_count(height, slice_angstrom)
    positions = _positions(positions_angstrom, (cell[0], cell[1]))
    return Request(
        pattern_shape,
        q_step_inv_angstrom,
        grid,
        positions,
        _tilts(tilts_mrad, len(positions)),
        n_slices,
        _exit_slices(exits_angstrom, height, n_slices),
    )


def _positions(positions_angstrom: ArrayLike | None, cell_angstrom: tuple[float, float]) -> NDArray[np.float64]:
    if positions_angstrom is None:
        return np.asarray(cell_angstrom)[None] / 2
    positions = np.asarray(positions_angstrom, dtype=np.float64)
    if positions.ndim != 2 or positions.shape[1] != 2 or not len(positions) or not np.isfinite(positions).all():
        raise ConfigError(
            f"positions_angstrom has the shape {positions.shape}, or is not finite",
            where="diffract",
            fix="give one (y, x) a row, in angstrom",
        )
    return positions


def _tilts(tilts_mrad: ArrayLike | None, n_positions: int) -> NDArray[np.float64]:
    if tilts_mrad is None:
        return np.zeros((n_positions, 2))
    tilts = np.asarray(tilts_mrad, dtype=np.float64)
    if tilts.shape != (n_positions, 2) or not np.isfinite(tilts).all():
        raise ConfigError(
            f"tilts_mrad has the shape {tilts.shape}, or is not finite",
            where="diffract",
            fix=f"give one (y, x) for each of the {n_positions} positions, in mrad",
        )
    return tilts


def _exit_slices(exits_angstrom: Sequence[float] | None, height_angstrom: float, n_slices: int) -> NDArray[np.int64]:
    if exits_angstrom is None:
        return np.array([n_slices])
    exits = np.asarray(exits_angstrom, dtype=np.float64)
    slices = np.round(exits * (n_slices / height_angstrom)).astype(np.int64)
    if exits.ndim != 1 or not len(exits) or slices.min() < 0 or slices.max() > n_slices:
        raise ConfigError(
            f"exits_angstrom is {exits_angstrom}, of a specimen {height_angstrom:.6g} angstrom thick",
            where="diffract",
            fix="give thicknesses from 0 to that of the specimen",
        )
    return slices

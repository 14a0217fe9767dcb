"""How a scan is divided into tiles, each over a crystal at an angle of its own.

Neighbouring crystals meet half-way between their scans. With a margin of 0 the scans join to one even grid across the
boundaries; with a margin beyond the reach of the probe every pattern belongs to one crystal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ronchi.api import ConfigError
from ronchi_simulate.params.tiles import TilesParams

__all__ = ["Tiles"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Tiles:
    """Where tiles lie and are scanned, in (y, x) angstrom of the specimen.

    Parameters
    ----------
    rotation_deg : (rows, columns) float
        Of each tile's grain, from x towards y.
    scan_shape : tuple of int
        Positions of a tile along y and x.
    step_angstrom : (2,) float
    margin_angstrom : float
        From the edge of a tile to the outermost positions, or half a step outside of them.
    border_angstrom : float
        Width of the specimen around all tiles.
    """

    rotation_deg: Floats
    scan_shape: tuple[int, int]
    step_angstrom: Floats
    margin_angstrom: float
    border_angstrom: float

    @classmethod
    def of(cls, params: TilesParams) -> Self:
        """Tiles of a scan, with a border as wide as the reach of its probe."""
        return cls(
            np.array(params.rotation_deg),
            params.tile_scan_shape,
            np.array(params.scan_step_angstrom),
            params.margin_angstrom,
            params.reach_angstrom,
        )

    @property
    def pitch_angstrom(self) -> Floats:
        """(2,) size of a tile."""
        pitch: Floats = np.array(self.scan_shape) * self.step_angstrom + 2 * self.margin_angstrom
        return pitch

    @property
    def size_angstrom(self) -> Floats:
        """(2,) size of the specimen."""
        size: Floats = np.array(self.rotation_deg.shape) * self.pitch_angstrom + 2 * self.border_angstrom
        return size

    def corner(self, tile: int) -> Floats:
        """(2,) corner of a tile with the lowest y and x."""
        place = np.unravel_index(tile, self.rotation_deg.shape)
        corner: Floats = self.border_angstrom + np.array(place) * self.pitch_angstrom
        return corner

    def centre(self, tile: int) -> Floats:
        """(2,) middle of a tile."""
        return self.corner(tile) + 0.5 * self.pitch_angstrom

    def start(self, tile: int) -> Floats:
        """(2,) first position of a tile."""
        return self.corner(tile) + self.margin_angstrom + 0.5 * self.step_angstrom

    def owner(self, where: Floats) -> Ints:
        """(n,) tile that points (n, 2) belong to; the border belongs to the outer tiles."""
        place = np.floor((where - self.border_angstrom) / self.pitch_angstrom).astype(int)
        place = np.clip(place, 0, np.array(self.rotation_deg.shape) - 1)
        number: Ints = np.ravel_multi_index((place[:, 0], place[:, 1]), self.rotation_deg.shape)
        return number

    def positions(self, moved_angstrom: tuple[float, float] = (0.0, 0.0)) -> Floats:
        """(scan_y, scan_x, 2) positions, rows and columns through all tiles.

        Parameters
        ----------
        moved_angstrom : (2,) float
            How far (y, x) from where the scans of the tiles are in their middles.

        Raises
        ------
        ConfigError
            A position is off the specimen.
        """
        last = np.array(self.rotation_deg.shape) - 1
        first = self.start(0)
        axes = [
            (first[i] + np.arange(last[i] + 1)[:, None] * self.pitch_angstrom[i] + np.arange(n) * self.step_angstrom[i])
            for i, n in enumerate(self.scan_shape)
        ]
        where = np.stack(np.meshgrid(*(axis.ravel() for axis in axes), indexing="ij"), -1) + moved_angstrom
        if (where < 0).any() or (where >= self.size_angstrom).any():
            raise ConfigError(
                f"moved by {moved_angstrom} the scan leaves the specimen of {self.size_angstrom.round(1).tolist()}",
                where="scan_start_angstrom",
                fix="move it less, or make margin_angstrom larger",
            )
        return where

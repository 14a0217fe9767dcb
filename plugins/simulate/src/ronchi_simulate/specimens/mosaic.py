"""Crystals side by side in one specimen: tiles, each turned by an angle of its own and scanned in its middle.

Neighbouring crystals meet half-way between their scans. With a margin of 0 the scans join to one even grid across the
boundaries; with a margin beyond the reach of the probe every pattern belongs to one crystal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import cKDTree

__all__ = ["Crystal", "Mosaic", "Tiles"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Tiles:
    """Where tiles lie and are scanned, in (y, x) angstrom of the specimen.

    Parameters
    ----------
    rotation_deg : (rows, columns) float
        Of each tile's crystal, from x towards y.
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

    def positions(self) -> tuple[Floats, Ints]:
        """(scan_y, scan_x, 2) positions, rows and columns through all tiles, and (scan_y, scan_x) their tiles."""
        last = np.array(self.rotation_deg.shape) - 1
        first = self.start(0)
        axes = [
            (first[i] + np.arange(last[i] + 1)[:, None] * self.pitch_angstrom[i] + np.arange(n) * self.step_angstrom[i])
            for i, n in enumerate(self.scan_shape)
        ]
        where = np.stack(np.meshgrid(*(axis.ravel() for axis in axes), indexing="ij"), -1)
        number = np.arange(self.rotation_deg.size).reshape(self.rotation_deg.shape)
        return where, number.repeat(self.scan_shape[0], 0).repeat(self.scan_shape[1], 1)


@dataclass(frozen=True)
class Crystal:
    """Atoms of one tile.

    Parameters
    ----------
    numbers : (n,) int
        Atomic numbers.
    positions_angstrom : (n, 3) float
        (x, y, z) in the specimen.
    sublattice : (n,) int
        -1 for an atom that is on none.
    u_angstrom : (n,) float
        Rms thermal displacement along one axis.
    vectors_angstrom : (2, 2) float
        Projected lattice vectors (x, y) in rows.
    origin_angstrom : (2,) float
        A lattice point (x, y).
    defect : int
        Kind of the tile's defect, 0 for none.
    defect_angstrom : (2,) float, optional
        Its place (x, y).
    """

    numbers: Ints
    positions_angstrom: Floats
    sublattice: Ints
    u_angstrom: Floats
    vectors_angstrom: Floats
    origin_angstrom: Floats
    defect: int = 0
    defect_angstrom: Floats | None = None

    def keep(self, chosen: NDArray[np.bool_]) -> Self:
        """Keep some of the atoms."""
        names = ("numbers", "positions_angstrom", "sublattice", "u_angstrom")
        return replace(self, **{f.name: getattr(self, f.name)[chosen] for f in fields(self) if f.name in names})

    def atoms(self, size_angstrom: Floats, thickness_angstrom: float) -> Atoms:
        """Atoms in a cell of the size (y, x), as an engine wants them."""
        cell = [size_angstrom[1], size_angstrom[0], thickness_angstrom]
        made = Atoms(numbers=self.numbers, positions=self.positions_angstrom, cell=cell, pbc=[True, True, False])
        made.set_array("u_angstrom", self.u_angstrom)
        return made


@dataclass(frozen=True)
class Mosaic:
    """Crystals that were cut along the edges of their tiles.

    Parameters
    ----------
    tiles : Tiles
    crystals : tuple of Crystal
        One a tile.
    thickness_angstrom : float
        Height of the cell.
    """

    tiles: Tiles
    crystals: tuple[Crystal, ...]
    thickness_angstrom: float

    @classmethod
    def joined(
        cls, crystals: Sequence[Crystal], tiles: Tiles, thickness_angstrom: float, least_angstrom: float
    ) -> Self:
        """Cut crystals that cover their tiles, and drop atoms that then lie too close to those of another tile.

        Parameters
        ----------
        least_angstrom : float
            Too close is less than this; the atom of the later tile goes.
        """
        kept: list[Crystal] = []
        for number, crystal in enumerate(crystals):
            mine = crystal.keep(tiles.owner(crystal.positions_angstrom[:, 1::-1]) == number)
            if kept:
                others = np.concatenate([other.positions_angstrom for other in kept])
                mine = mine.keep(cKDTree(others).query(mine.positions_angstrom)[0] >= least_angstrom)
            kept.append(mine)
        return cls(tiles, tuple(kept), thickness_angstrom)

    def atoms(self) -> Atoms:
        """All atoms in one cell."""
        size = self.tiles.size_angstrom
        made = self.crystals[0].atoms(size, self.thickness_angstrom)
        for crystal in self.crystals[1:]:
            made += crystal.atoms(size, self.thickness_angstrom)
        return made

    def sublattice(self) -> Ints:
        """(n,) of the same atoms."""
        return np.concatenate([crystal.sublattice for crystal in self.crystals])

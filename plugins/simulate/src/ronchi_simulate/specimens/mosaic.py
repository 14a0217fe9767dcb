"""Crystals of tiles side by side in one specimen: grains, cut where they meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ronchi_simulate.specimens.tiles import Tiles

__all__ = ["Grain", "Mosaic"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Grain:
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
    grains : tuple of Grain
        One a tile.
    thickness_angstrom : float
        Height of the cell.
    """

    tiles: Tiles
    grains: tuple[Grain, ...]
    thickness_angstrom: float

    @classmethod
    def joined(cls, grains: Sequence[Grain], tiles: Tiles, thickness_angstrom: float, least_angstrom: float) -> Self:
        """Cut crystals that cover their tiles, and drop atoms that then lie too close to those of another tile.

        Parameters
        ----------
        least_angstrom : float
            Too close is less than this; the atom of the later tile goes.
        """
        kept: list[Grain] = []
        for number, grain in enumerate(grains):
            mine = grain.keep(tiles.owner(grain.positions_angstrom[:, 1::-1]) == number)
            if kept:
                others = np.concatenate([other.positions_angstrom for other in kept])
                mine = mine.keep(cKDTree(others).query(mine.positions_angstrom)[0] >= least_angstrom)
            kept.append(mine)
        return cls(tiles, tuple(kept), thickness_angstrom)

    def atoms(self) -> Atoms:
        """All atoms in one cell."""
        size = self.tiles.size_angstrom
        made = self.grains[0].atoms(size, self.thickness_angstrom)
        for grain in self.grains[1:]:
            made += grain.atoms(size, self.thickness_angstrom)
        return made

    def sublattice(self) -> Ints:
        """(n,) of the same atoms."""
        return np.concatenate([grain.sublattice for grain in self.grains])

"""Atoms as the engines want them: columns, periodic images that fill a region, slices, thermal displacements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ronchi.api import DataError

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["Columns", "configurations", "fill_region", "from_ase", "is_whole", "repeated", "slice_count", "slice_index"]

_SAME_LENGTH = 1e-5
"""Relative difference up to which a window counts as a whole number of cells."""


@dataclass(frozen=True)
class Columns:
    """Atoms in an orthorhombic cell, column by column.

    Parameters
    ----------
    z_angstrom, y_angstrom, x_angstrom : numpy.ndarray
        float64 (n,).
    number : numpy.ndarray
        int64 (n,) atomic numbers.
    u_angstrom : numpy.ndarray
        float64 (n,): rms thermal displacement along one axis.
    cell_angstrom : tuple of float
        (z, y, x).
    occupancy : numpy.ndarray, optional
        float64 (n,): the part of each atom that is there, as in a mean alloy. All of it by default.
    """

    z_angstrom: NDArray[np.float64]
    y_angstrom: NDArray[np.float64]
    x_angstrom: NDArray[np.float64]
    number: NDArray[np.int64]
    u_angstrom: NDArray[np.float64]
    cell_angstrom: tuple[float, float, float]
    occupancy: NDArray[np.float64] | None = None

    def select(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Columns:
        """Return the atoms of an index or mask."""
        return replace(
            self,
            z_angstrom=self.z_angstrom[index],
            y_angstrom=self.y_angstrom[index],
            x_angstrom=self.x_angstrom[index],
            number=self.number[index],
            u_angstrom=self.u_angstrom[index],
            occupancy=None if self.occupancy is None else self.occupancy[index],
        )


def from_ase(atoms: Atoms) -> Columns:
    """Read the columns of an ASE specimen.

    Raises
    ------
    DataError
        The cell is not orthorhombic along ASE's axes, or a position or a displacement is not finite.
    """
    cell = np.asarray(atoms.cell.array, dtype=np.float64)
    lengths = np.diag(cell)
    if np.any(lengths <= 0) or np.abs(cell - np.diag(lengths)).max() > 1e-6 * lengths.max():
        raise DataError(
            f"the cell is not orthorhombic along x, y and z: {cell.round(4).tolist()}",
            where="specimen",
            fix="cut the specimen into a box with edges along x, y and z, the beam along z",
        )
    u_angstrom = np.asarray(atoms.arrays.get("u_angstrom", np.zeros(len(atoms))), dtype=np.float64)
    if not (np.isfinite(atoms.positions).all() and np.isfinite(u_angstrom).all() and (u_angstrom >= 0).all()):
        raise DataError(
            "a position or a thermal displacement is not finite, or a displacement is negative",
            where="specimen",
            fix="look at atoms.positions and at the array 'u_angstrom'",
        )
    x, y, z = np.asarray(atoms.positions, dtype=np.float64).T
    cell_angstrom = (lengths[2], lengths[1], lengths[0])
    occupancy = atoms.arrays.get("occupancy")
    if occupancy is not None and not (np.isfinite(occupancy).all() and (np.asarray(occupancy) >= 0).all()):
        raise DataError(
            "an occupancy is negative or not finite",
            where="specimen",
            fix="look at the array 'occupancy': 1 is a whole atom",
        )
    return Columns(z, y, x, np.asarray(atoms.numbers, np.int64), u_angstrom, cell_angstrom, occupancy)


def configurations(atoms: Columns, n_configurations: int, rng: np.random.Generator | None) -> Iterator[Columns]:
    """Yield the specimen as it is for 0, else as many specimens with atoms displaced and then still."""
    if n_configurations == 0:
        yield atoms
        return
    assert rng is not None
    site = _sites(atoms)
    for _ in range(n_configurations):
        shift = rng.normal(size=(3, site.max(initial=-1) + 1))[:, site] * atoms.u_angstrom
        yield replace(
            atoms,
            z_angstrom=atoms.z_angstrom + shift[0],
            y_angstrom=atoms.y_angstrom + shift[1],
            x_angstrom=atoms.x_angstrom + shift[2],
            u_angstrom=np.zeros_like(atoms.u_angstrom),
        )


def _sites(atoms: Columns) -> NDArray[np.int64]:
    """Site (n,) of each atom: parts of atoms at one place are of one site, where they move together."""
    if atoms.occupancy is None:
        return np.arange(len(atoms.number))
    places = np.stack([atoms.z_angstrom, atoms.y_angstrom, atoms.x_angstrom], -1)
    return np.unique(places, axis=0, return_inverse=True)[1].reshape(-1)


def repeated(atoms: Columns, window_angstrom: float) -> Columns:
    """As many cells as a window holds at least, so that each copy of an atom can be displaced by itself."""
    down, along = (_copies(window_angstrom, cell) for cell in atoms.cell_angstrom[1:])
    if down == along == 1:
        # In the order given: displacements are drawn atom by atom.
        return atoms
    return fill_region(atoms, (0.0, 0.0), (down * atoms.cell_angstrom[1], along * atoms.cell_angstrom[2]))


def _copies(size: float, cell: float) -> int:
    return round(size / cell) if is_whole(size, cell) else int(size // cell) + 1


def fill_region(atoms: Columns, origin_angstrom: tuple[float, float], size_angstrom: tuple[float, float]) -> Columns:
    """Atoms and their periodic images inside a rectangle, with positions from its corner.

    Parameters
    ----------
    atoms : Columns
    origin_angstrom, size_angstrom : tuple of float
        (y, x). Where the size is a whole number of cells, each atom comes in exactly as often.

    Returns
    -------
    Columns
        The cell is the rectangle; positions lie within [0, size).
    """
    y, index_y = _images(atoms.y_angstrom - origin_angstrom[0], atoms.cell_angstrom[1], size_angstrom[0])
    x, index_x = _images(atoms.x_angstrom - origin_angstrom[1], atoms.cell_angstrom[2], size_angstrom[1])
    # Every image along y meets every image along x of the same atom.
    order = np.argsort(index_x, kind="stable")
    x, index_x = x[order], index_x[order]
    first = np.searchsorted(index_x, index_y)
    count = np.searchsorted(index_x, index_y, side="right") - first
    y, index_y = np.repeat(y, count), np.repeat(index_y, count)
    along = np.arange(len(y)) - np.repeat(np.cumsum(count) - count, count)
    filled = atoms.select(index_y)
    cell = (atoms.cell_angstrom[0], *size_angstrom)
    return replace(filled, y_angstrom=y, x_angstrom=x[np.repeat(first, count) + along], cell_angstrom=cell)


def _images(position: NDArray[np.float64], cell: float, size: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Positions of the periodic images within [0, size), and the atom that each is of."""
    wrapped = position - np.floor(position / cell) * cell
    images = wrapped + cell * np.arange(_copies(size, cell))[:, None]
    index = np.broadcast_to(np.arange(len(position)), images.shape)
    if is_whole(size, cell):
        return images.ravel(), index.ravel()
    inside = images < size
    return images[inside], index[inside]


def is_whole(size_angstrom: float, cell_angstrom: float) -> bool:
    """Whether a length is one or more whole cells."""
    n_cells = round(size_angstrom / cell_angstrom)
    return n_cells > 0 and abs(size_angstrom - n_cells * cell_angstrom) <= _SAME_LENGTH * size_angstrom


def slice_count(height_angstrom: float, slice_angstrom: float) -> int:
    """Return the number of equal slices, none of them thicker than ``slice_angstrom``."""
    return max(1, int(np.ceil(height_angstrom / slice_angstrom - 1e-6)))


def slice_index(atoms: Columns, n_slices: int) -> NDArray[np.int64]:
    """Slice (n,) of each atom: one at a boundary lies in the lower slice, one outside of the cell in the nearest."""
    depth = atoms.z_angstrom * (n_slices / atoms.cell_angstrom[0])
    return np.clip(np.floor(depth + 1e-6).astype(np.int64), 0, n_slices - 1)

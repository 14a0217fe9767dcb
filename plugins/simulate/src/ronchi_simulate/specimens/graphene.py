"""Graphene: a sheet at any rotation, with a vacancy or a silicon atom.

Sources: C-C bond 1.42 A; silicon in graphene at three- and fourfold sites: Zhou et al. 2012, Phys. Rev. Lett. 109,
206803, doi:10.1103/PhysRevLett.109.206803.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ronchi_simulate.params.graphene import Defect
from ronchi_simulate.specimens.lattices import fill_box, turn
from ronchi_simulate.specimens.mosaic import Grain, Mosaic
from ronchi_simulate.specimens.tiles import Tiles

__all__ = ["BOND_ANGSTROM", "DEFECTS", "N_FOLD", "THICKNESS_ANGSTROM", "graphene", "sheets_in_tiles", "with_defect"]

Floats = NDArray[np.float64]

DEFECTS: tuple[Defect, ...] = ("none", "vacancy", "silicon", "silicon-4")
BOND_ANGSTROM = 1.42
THICKNESS_ANGSTROM = 2.0
"""Height of the cell, with the sheet in its middle: one slice."""
N_FOLD = 6
_SILICON_BOND_ANGSTROM = 1.69
"""From a silicon atom on a carbon site to its neighbours, seen along the beam: it stands out of the sheet."""
_CARBON, _SILICON = 6, 14
_LEAST_ANGSTROM = 1.1
"""Atoms of two grains closer than this would not both be there: bonds in boundaries are 1.3 A and longer."""


def graphene(
    rotation_deg: float, origin_angstrom: Floats, low_angstrom: Floats, high_angstrom: Floats, u_angstrom: float
) -> Grain:
    """Sheet in a box.

    Parameters
    ----------
    rotation_deg : float
        From x towards y; at 0 a lattice vector (a zigzag row) lies along x.
    origin_angstrom : (2,) float
        Centre (y, x) of a hexagon.
    low_angstrom, high_angstrom : (2,) float
        Corners (y, x) of the box.
    u_angstrom : float
        Rms thermal displacement along one axis.
    """
    across = np.sqrt(3) * BOND_ANGSTROM
    vectors = np.array([[across, 0, 0], [across / 2, 1.5 * BOND_ANGSTROM, 0]]) @ turn(np.deg2rad(rotation_deg))
    origin = np.array([origin_angstrom[1], origin_angstrom[0], THICKNESS_ANGSTROM / 2])
    # A third of the way along the long diagonal of the cell, and two thirds, lie the atoms.
    basis = origin + np.array([vectors.sum(0) / 3, vectors.sum(0) * 2 / 3])
    low, high = (np.array([corner[1], corner[0]]) for corner in (low_angstrom, high_angstrom))
    where, sublattice = fill_box(vectors, basis, [*low, 0], [*high, THICKNESS_ANGSTROM])
    n = len(where)
    return Grain(np.full(n, _CARBON), where, sublattice, np.full(n, u_angstrom), vectors[:, :2], origin[:2])


def with_defect(grain: Grain, kind: Defect, near_angstrom: Floats) -> Grain:
    """Put a defect at the atom, or bond, nearest to a point (2,) in (y, x) angstrom.

    ``vacancy`` takes an atom out and moves no other. ``silicon`` puts silicon in the place of an atom and pushes the
    others outwards, to its bond length next to it and less in proportion to the distance, as a centre of dilatation
    does in a sheet. ``silicon-4`` puts it in the middle of a bond instead of both atoms: the four around it are then
    1.88 A away, which is its bond length there.
    """
    if kind == "none":
        return grain
    flat = grain.positions_angstrom[:, :2]
    apart = np.hypot(*(flat - np.asarray(near_angstrom)[::-1]).T)
    first = int(apart.argmin())
    taken = np.zeros(len(flat), bool)
    taken[first] = True
    if kind == "silicon-4":
        reach = np.hypot(*(flat - flat[first]).T)
        reach[first] = np.inf
        taken[int(reach.argmin())] = True
    place = flat[taken].mean(0)
    made = replace(grain.keep(~taken), defect=DEFECTS.index(kind), defect_angstrom=place)
    if kind == "vacancy":
        return made
    where = made.positions_angstrom.copy()
    if kind == "silicon":
        radial = where[:, :2] - place
        distance = np.hypot(*radial.T)
        push = (_SILICON_BOND_ANGSTROM - BOND_ANGSTROM) * BOND_ANGSTROM / distance
        where[:, :2] += radial * (push / distance)[:, None]
    return replace(
        made,
        numbers=np.append(made.numbers, _SILICON),
        positions_angstrom=np.concatenate([where, [[*place, THICKNESS_ANGSTROM / 2]]]),
        sublattice=np.append(made.sublattice, -1 if kind == "silicon-4" else grain.sublattice[first]),
        u_angstrom=np.append(made.u_angstrom, grain.u_angstrom[first]),
    )


def sheets_in_tiles(
    tiles: Tiles, origins_angstrom: Floats, near_angstrom: Floats, defects: Sequence[Defect], u_angstrom: float
) -> Mosaic:
    """Put a sheet into every tile.

    Parameters
    ----------
    tiles : Tiles
    origins_angstrom : (n, 2) float
        Centre (y, x) of a hexagon, a tile.
    near_angstrom : (n, 2) float
        Point (y, x) to which the tile's defect is nearest.
    defects : sequence of str
        Kind of the defect of each tile.
    u_angstrom : float
        Rms thermal displacement along one axis.
    """
    size = tiles.size_angstrom
    grains = [
        with_defect(graphene(rotation, origin, np.zeros(2), size, u_angstrom), defect, point)
        for rotation, origin, defect, point in zip(
            tiles.rotation_deg.ravel(), origins_angstrom, defects, near_angstrom, strict=True
        )
    ]
    return Mosaic.joined(grains, tiles, THICKNESS_ANGSTROM, _LEAST_ANGSTROM)

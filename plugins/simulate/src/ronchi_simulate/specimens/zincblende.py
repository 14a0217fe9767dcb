"""Zincblende seen along [001] or [110], at any rotation, with a column that lacks atoms or holds silicon."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from ronchi.api import ConfigError
from ronchi_simulate.specimens.lattices import fill_box, turn
from ronchi_simulate.specimens.mosaic import Grain

__all__ = ["DEFECTS", "N_FOLD", "Defect", "Zone", "beam_period", "with_column_defect", "zincblende"]

Floats = NDArray[np.float64]
Zone = Literal["001", "110"]
Defect = Literal["none", "vacancy", "silicon"]

DEFECTS: tuple[Defect, ...] = ("none", "vacancy", "silicon")
N_FOLD: dict[Zone, int] = {"001": 4, "110": 1}
"""Rotation symmetry of the projection. Along [110] pairs of a cation and an anion all point the same way."""
_AXES = {
    "001": np.eye(3),
    "110": np.array([[0, 0, 1], [1, -1, 0], [1, 1, 0]]) / np.array([[1], [np.sqrt(2)], [np.sqrt(2)]]),
}
"""Rows: the crystal's directions along x, y and the beam at rotation 0."""
_FACE_CENTRED = np.array([[0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
_COLUMN_ANGSTROM = 0.3
"""Atoms that lie closer than this to a line along the beam are in its column."""


def beam_period(zone: Zone, lattice_angstrom: float) -> float:
    """Length after which the crystal repeats along the beam."""
    return lattice_angstrom if zone == "001" else lattice_angstrom / np.sqrt(2)


def zincblende(
    species: tuple[str, str],
    lattice_angstrom: float,
    zone: Zone,
    rotation_deg: float,
    origin_angstrom: Floats,
    low_angstrom: Floats,
    high_angstrom: Floats,
    thickness_angstrom: float,
    u_angstrom: tuple[float, float],
) -> Grain:
    """Grain in a box.

    Parameters
    ----------
    species : tuple of str
        Cation and anion; sublattices 0 and 1.
    zone : str
        Along the beam.
    rotation_deg : float
        From x towards y. At 0, [100] lies along x for the zone 001, and for 110 the direction [001], from a cation to
        the anion next to it.
    origin_angstrom : (2,) float
        A column of cations (y, x).
    low_angstrom, high_angstrom : (2,) float
        Corners (y, x) of the box.
    thickness_angstrom : float
        Whole periods along the beam.
    u_angstrom : tuple of float
        Rms thermal displacement of cations and of anions along one axis.

    Raises
    ------
    ConfigError
        A species is no element.
    """
    frame = _AXES[zone].T @ turn(np.deg2rad(rotation_deg))
    vectors = lattice_angstrom * _FACE_CENTRED @ frame
    # A little below the surface: no plane of atoms on it, which rounding would put in or out.
    origin = np.array([origin_angstrom[1], origin_angstrom[0], 0.1 * lattice_angstrom])
    basis = origin + np.array([np.zeros(3), lattice_angstrom / 4 * np.ones(3) @ frame])
    low, high = (np.array([corner[1], corner[0]]) for corner in (low_angstrom, high_angstrom))
    where, sublattice = fill_box(vectors, basis, [*low, 0], [*high, thickness_angstrom])
    numbers = np.array([_number(name) for name in species])
    return Grain(numbers[sublattice], where, sublattice, np.array(u_angstrom)[sublattice], vectors[1:, :2], origin[:2])


def with_column_defect(
    grain: Grain, kind: Defect, near_angstrom: Floats, fraction: float, rng: np.random.Generator
) -> Grain:
    """Take atoms out of the column nearest to a point (2,) in (y, x) angstrom, or put silicon in their place.

    Parameters
    ----------
    fraction : float
        Part of the atoms of the column, drawn at random; one at least.
    """
    if kind == "none":
        return grain
    flat = grain.positions_angstrom[:, :2]
    place = flat[np.hypot(*(flat - np.asarray(near_angstrom)[::-1]).T).argmin()]
    column = np.flatnonzero(np.hypot(*(flat - place).T) < _COLUMN_ANGSTROM)
    hit = np.zeros(len(flat), bool)
    hit[rng.choice(column, max(1, round(fraction * len(column))), replace=False)] = True
    known = replace(grain, defect=DEFECTS.index(kind), defect_angstrom=place)
    if kind == "vacancy":
        return known.keep(~hit)
    return replace(known, numbers=np.where(hit, atomic_numbers["Si"], known.numbers))


def _number(name: str) -> int:
    try:
        return int(atomic_numbers[name])
    except KeyError:
        raise ConfigError(f"no element {name!r}", where="species", fix="give symbols, e.g. [Ga, As]") from None

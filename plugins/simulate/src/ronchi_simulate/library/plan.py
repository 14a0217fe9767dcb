"""Which crystal, orientation and beam every run of a library has: all drawn before anything is simulated.

A run is a function of the seed and of its number alone, so it does not matter who makes it, nor when.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ronchi.api import DataError
from ronchi_simulate.library.common import common_crystals
from ronchi_simulate.library.crystals import Crystal, Split, crystals, split_of, with_kin
from ronchi_simulate.library.orientation import beam_along, random_rotation, zone_axes
from ronchi_simulate.params.library import LibraryParams

__all__ = ["Run", "plan_runs"]

RANDOM = (0, 0, 0)
"""Zone axis of a run whose orientation is random."""

_ORIENTATIONS, _DRAWS = 0, 1
"""Streams of random numbers: of a crystal, the order of its orientations; of a run, everything else."""


@dataclass(frozen=True, eq=False)
class Run:
    """One crystal in one orientation and one beam energy.

    Parameters
    ----------
    index : int
    crystal : Crystal
    split : str
    zone_axis : tuple of int
        [uvw] along the beam before the tilt; (0, 0, 0) where the orientation is random.
    tilt_mrad : tuple of float
        (y, x) tilt off the zone axis.
    rotation : (3, 3) float64
        Crystal to laboratory, tilt included.
    origin : (3,) float64
        Where the corner of a unit cell lies, in fractions of the cell: the probe stands anywhere in the cell.
    beam_energy_eV : float
    semiangles_mrad : tuple of float
    u_angstrom : float
        Rms thermal displacement along one axis.
    seed : tuple of int
        Of the thermal displacements.
    """

    index: int
    crystal: Crystal
    split: Split
    zone_axis: tuple[int, int, int]
    tilt_mrad: tuple[float, float]
    rotation: NDArray[np.float64]
    origin: NDArray[np.float64]
    beam_energy_eV: float
    semiangles_mrad: tuple[float, ...]
    u_angstrom: float
    seed: tuple[int, ...]


def plan_runs(params: LibraryParams, seed: int) -> Iterator[Run]:
    """Yield the runs in order.

    Every crystal comes once before any comes again, in another of its orientations; those are shuffled, so that a
    part of the runs has zone axes and random orientations alike. After all orientations the crystals come again with
    other draws.

    Raises
    ------
    DataError
        No crystal is for the wanted splits.
    """
    known = [crystal for crystal in _crystals(params) if _is_wanted(crystal, params)]
    if not known:
        what = f"none of the crystals ({params.materials}) is for {', '.join(params.splits)}"
        raise DataError(what, where="splits", fix="" if params.materials == "prototypes" else "materials: prototypes")
    axes: dict[int, list[tuple[int, int, int]]] = {}
    for index in range(params.runs):
        number = index % len(known)
        crystal = known[number]
        if number not in axes:
            axes[number] = [*zone_axes(crystal, params.zone_axes), *([RANDOM] * params.random_orientations)]
            np.random.default_rng([seed, _ORIENTATIONS, number]).shuffle(axes[number])
        zone = tuple(axes[number][index // len(known) % len(axes[number])])
        yield _draw(index, crystal, zone, params, seed)


def _crystals(params: LibraryParams) -> Iterable[Crystal]:
    match params.materials:
        case "prototypes":
            return crystals(params.variants)
        case "common":
            return common_crystals()
        case "common-structures":
            return with_kin(common_crystals(), params.variants)


def _is_wanted(crystal: Crystal, params: LibraryParams) -> bool:
    return not params.splits or split_of(crystal.prototype, params.validation, params.test) in params.splits


def _draw(index: int, crystal: Crystal, zone: tuple[int, int, int], params: LibraryParams, seed: int) -> Run:
    rng = np.random.default_rng([seed, _DRAWS, index])
    tilt = (0.0, 0.0)
    if zone == RANDOM:
        rotation = random_rotation(rng)
    else:
        # Even over a disk: a larger tilt has more directions.
        radius, angle = params.tilt_max_mrad * np.sqrt(rng.random()), 2 * np.pi * rng.random()
        tilt = (float(radius * np.sin(angle)), float(radius * np.cos(angle)))
        rotation = beam_along(crystal, zone, in_plane_deg=float(rng.uniform(0, 360)), tilt_mrad=tilt)
    energies = params.beam_energies_eV
    energy = rng.choice(energies) if energies else rng.uniform(*params.beam_energy_range_eV)
    semiangles = params.semiangles_mrad
    if params.semiangle_range_mrad:
        low, high = np.log(params.semiangle_range_mrad)
        semiangles = tuple(sorted(float(value) for value in np.exp(rng.uniform(low, high, len(semiangles)))))
    return Run(
        index=index,
        crystal=crystal,
        split=split_of(crystal.prototype, params.validation, params.test),
        zone_axis=zone,
        tilt_mrad=tilt,
        rotation=rotation,
        origin=rng.random(3),
        beam_energy_eV=float(energy),
        semiangles_mrad=semiangles,
        u_angstrom=float(rng.uniform(*params.u_range_angstrom)),
        seed=(seed, _DRAWS, index, 0),
    )

"""Atoms of hexagonal boron nitride along [0001]."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ronchi_simulate.params.hbn import HbnParams
from ronchi_simulate.specimens.lattices import fill_box, turn

__all__ = ["hbn_atoms", "sheet_vectors"]

Floats = NDArray[np.float64]

BORON, NITROGEN = 5, 7

_SITES = [(1 / 3, 2 / 3, 1 / 4), (2 / 3, 1 / 3, 1 / 4), (1 / 3, 2 / 3, 3 / 4), (2 / 3, 1 / 3, 3 / 4)]
"""In parts of the lattice vectors. The sheets lie inside: none is at a surface, or between two slices."""

_SPECIES = np.array([BORON, NITROGEN, NITROGEN, BORON])
"""AA' stacking: nitrogen lies over boron."""


def sheet_vectors(params: HbnParams) -> Floats:
    """(2, 3) lattice vectors (x, y, z) of a sheet in angstrom, 120 degrees apart."""
    angle = np.deg2rad([0.0, 120.0])
    vectors = params.a_angstrom * np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1)
    turned: Floats = vectors @ turn(np.deg2rad(params.rotation_deg))
    return turned


def hbn_atoms(params: HbnParams) -> Atoms:
    """The crystal in a box of the size of the window: for probes within a lattice cell about its centre."""
    side = params.binning / params.q_step_inv_angstrom
    periods = max(1, round(params.thickness_angstrom / params.c_angstrom))
    vectors = np.vstack([sheet_vectors(params), [0, 0, params.c_angstrom]])
    box = [side, side, periods * params.c_angstrom]
    sites, which = fill_box(vectors, _SITES @ vectors, [0, 0, 0], box)
    atoms = Atoms(_SPECIES[which], sites, cell=box, pbc=True)
    atoms.arrays["u_angstrom"] = np.full(len(atoms), params.u_angstrom)
    return atoms

"""The simulator ``hbn``: a scan over a single crystal of hexagonal boron nitride, which has no strain to measure."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ronchi.api import Context, Result
from ronchi_simulate.params_hbn import HbnParams
from ronchi_simulate.scan import record_scan, scan_positions
from ronchi_simulate.specimens.lattices import fill_box, turn
from ronchi_simulate.specimens.tilt import helical_tilt
from ronchi_simulate.specimens.truth import strain_truth

__all__ = ["Hbn", "hbn_atoms"]

Floats = NDArray[np.float64]

BORON, NITROGEN = 5, 7

_SITES = [(1 / 3, 2 / 3, 1 / 4), (2 / 3, 1 / 3, 1 / 4), (1 / 3, 2 / 3, 3 / 4), (2 / 3, 1 / 3, 3 / 4)]
"""In parts of the lattice vectors. The sheets lie inside: none is at a surface, or between two slices."""

_SPECIES = np.array([BORON, NITROGEN, NITROGEN, BORON])
"""AA' stacking: nitrogen lies over boron."""


class Hbn:
    """Simulator ``hbn``."""

    def __init__(self, params: HbnParams) -> None:
        self.params = params

    def simulate(self, ctx: Context) -> Result:
        """Record the scan, with the side ``truth``: zero strain."""
        params = self.params
        vectors = sheet_vectors(params)
        atoms = hbn_atoms(params)
        data = record_scan(
            atoms,
            params,
            ctx,
            positions_angstrom=_equivalents(scan_positions(params), vectors, atoms),
            tilts_mrad=helical_tilt(params),
            title="hexagonal boron nitride, [0001]",
        )
        truth = strain_truth(data, params, {}, {}, reference="the crystal itself", zone_axis="[0001]")
        return Result(data, {"truth": truth})


def sheet_vectors(params: HbnParams) -> Floats:
    """(2, 3) lattice vectors (x, y, z) of a sheet in angstrom, 120 degrees apart."""
    angle = np.deg2rad([0.0, 120.0])
    vectors = params.a_angstrom * np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1)
    turned: Floats = vectors @ turn(np.deg2rad(params.rotation_deg))
    return turned


def hbn_atoms(params: HbnParams) -> Atoms:
    """A box of the crystal that holds the windows of all probe positions within a lattice cell about its centre."""
    side = params.binning / params.q_step_inv_angstrom + 2 * params.a_angstrom
    periods = max(1, round(params.thickness_angstrom / params.c_angstrom))
    vectors = np.vstack([sheet_vectors(params), [0, 0, params.c_angstrom]])
    box = [side, side, periods * params.c_angstrom]
    sites, which = fill_box(vectors, _SITES @ vectors, [0, 0, 0], box)
    atoms = Atoms(_SPECIES[which], sites, cell=box, pbc=True)
    atoms.set_array("u_angstrom", np.full(len(atoms), params.u_angstrom))
    return atoms


def _equivalents(positions: Floats, vectors: Floats, atoms: Atoms) -> Floats:
    """Positions (y, x) moved by lattice vectors to within a cell about the centre of the box."""
    basis = vectors[:, 1::-1]
    centre = atoms.cell.lengths()[1::-1] / 2
    cells = (positions - centre) @ np.linalg.inv(basis)
    return centre + (cells - np.rint(cells)) @ basis

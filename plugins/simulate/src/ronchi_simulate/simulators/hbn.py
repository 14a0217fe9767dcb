"""The simulator ``hbn``: a scan over a single crystal of hexagonal boron nitride, which has no strain to measure."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ronchi.api import Context, Result
from ronchi_simulate.params.hbn import HbnParams
from ronchi_simulate.scan.positions import scan_positions
from ronchi_simulate.scan.record import record_scan
from ronchi_simulate.specimens.hbn import hbn_atoms, sheet_vectors
from ronchi_simulate.specimens.tilt import helical_tilt
from ronchi_simulate.specimens.truth import strain_truth

__all__ = ["Hbn", "equivalent_positions"]

Floats = NDArray[np.float64]


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
            positions_angstrom=equivalent_positions(scan_positions(params), vectors, atoms),
            tilts_mrad=helical_tilt(params),
            scan_step_angstrom=params.scan_step_angstrom,
            title="hexagonal boron nitride, [0001]",
        )
        truth = strain_truth(data, params, {}, {}, reference="the crystal itself", zone_axis="[0001]")
        return Result(data, {"truth": truth})


def equivalent_positions(positions: Floats, vectors: Floats, atoms: Atoms) -> Floats:
    """Positions (y, x) moved by lattice vectors to within a cell about the centre of the box."""
    basis = vectors[:, 1::-1]
    centre = atoms.cell.lengths()[1::-1] / 2
    cells = (positions - centre) @ np.linalg.inv(basis)
    moved: Floats = centre + (cells - np.rint(cells)) @ basis
    return moved

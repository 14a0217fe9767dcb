"""Atoms of a Si / SiGe multilayer along [011], site by site."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ronchi_simulate.multislice.atoms import is_whole
from ronchi_simulate.params.sige import SigeParams
from ronchi_simulate.scan.positions import scan_positions
from ronchi_simulate.specimens.sige_stack import Stack

__all__ = ["sige_atoms"]

Floats = NDArray[np.float64]

SILICON, GERMANIUM = 14, 32

_PLACES = np.array([[0.0, 0.0], [0.0, 0.5], [0.5, 0.5], [0.5, 0.0]])
"""(y, z) of the atom of the planes 0 to 3 along <100>, in periods a / sqrt(2) along <011>."""

_MARGIN_ANGSTROM = 4.0
"""What the specimen has more, on either side, than the outermost windows need: tails of atoms reach this far."""


def sige_atoms(stack: Stack, params: SigeParams, rng: np.random.Generator) -> tuple[Atoms, float]:
    """Atoms of the part of the stack that the scan's probes see.

    Parameters
    ----------
    stack : Stack
    params : SigeParams
    rng : numpy.random.Generator
        Draws the species of every site.

    Returns
    -------
    atoms : ase.Atoms
        x along the growth, y and z along <011>; with the arrays ``u_angstrom`` and, for mean atoms, ``occupancy``.
    left : float
        Place in the stack, in angstrom, of the cell's x = 0.
    """
    window = params.binning / params.q_step_inv_angstrom
    period = stack.lattice_angstrom / np.sqrt(2)
    seen = scan_positions(params)[0, [0, -1], 1] + np.array([-1, 1]) * (window / 2 + _MARGIN_ANGSTROM)
    number, x, layer = stack.planes_between(seen[0], seen[1])
    rows, depth = _rows(window, period), max(1, round(params.thickness_angstrom / period))

    place = _PLACES[number % 4]
    shape = (len(x), rows, depth)
    # An eighth of a period below the surface: no atom lies on the border of two slices, whatever rounding does.
    z = (np.arange(depth) + 0.125 + place[:, None, None, 1]) * period
    y = (np.arange(rows)[:, None] + place[:, None, None, 0]) * period
    sites = np.stack(np.broadcast_arrays(x[:, None, None] - seen[0], y, z), -1).reshape(-1, 3)
    germanium = np.broadcast_to(stack.germanium[layer][:, None, None], shape).reshape(-1)
    cell = [seen[1] - seen[0], rows * period, depth * period]
    if params.alloy == "mean":
        return _mean_atoms(sites, germanium, cell, params), seen[0]
    is_germanium = rng.random(len(sites)) < germanium
    atoms = Atoms(np.where(is_germanium, GERMANIUM, SILICON), sites, cell=cell, pbc=True)
    atoms.arrays["u_angstrom"] = np.where(is_germanium, params.u_germanium_angstrom, params.u_silicon_angstrom)
    return atoms, seen[0]


def _rows(window: float, period: float) -> int:
    """Periods along y: those of the window where they are whole, and it has no seam; else enough to cut it from."""
    return round(window / period) if is_whole(window, period) else int(np.ceil(window / period)) + 1


def _mean_atoms(sites: Floats, germanium: Floats, cell: list[float], params: SigeParams) -> Atoms:
    """Both species on every site, each for its part."""
    parts = [(SILICON, 1 - germanium, params.u_silicon_angstrom), (GERMANIUM, germanium, params.u_germanium_angstrom)]
    atoms = Atoms(cell=cell, pbc=True)
    for number, part, u in parts:
        there = part > 0
        species = Atoms(np.full(there.sum(), number), sites[there])
        species.arrays["u_angstrom"] = np.full(there.sum(), u)
        species.arrays["occupancy"] = part[there]
        atoms += species
    return atoms

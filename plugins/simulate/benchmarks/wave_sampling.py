"""How coarse the grid of the waves may be: patterns of crystals on it against those on a grid of 0.06 angstrom.

Face-centred and diamond crystals, 100 angstrom thick, along [001], 3 mrad. The number is the sum of the absolute
differences of all pixels, over the sum of the pattern; a star marks steps that are told as too coarse::

    python plugins/simulate/benchmarks/wave_sampling.py
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray

from ronchi_simulate.multislice import diffract
from ronchi_simulate.multislice.grid import coarsest_step
from ronchi_simulate.optics import Beam

CRYSTALS = {"C": ("diamond", 3.57, 0.05), "Si": ("diamond", 5.43, 0.076), "Ge": ("diamond", 5.66, 0.085)}
CRYSTALS["Au"] = ("fcc", 4.08, 0.08)
"""Structure, lattice constant and thermal displacement in angstrom."""

WINDOW_ANGSTROM, THICKNESS_ANGSTROM, REFERENCE_ANGSTROM = 22.0, 100.0, 0.06
STEPS_ANGSTROM = (0.1, 0.12, 0.15, 0.18, 0.21, 0.25, 0.3)


def crystal(symbol: str) -> Atoms:
    """Block of whole cells, whose sides are those of the window."""
    structure, a, u_angstrom = CRYSTALS[symbol]
    across = round(WINDOW_ANGSTROM / a)
    atoms = bulk(symbol, structure, a=a, cubic=True).repeat((across, across, round(THICKNESS_ANGSTROM / a)))
    # No plane of atoms on the border of two slices.
    atoms.positions[:, 2] += 0.1 * a
    atoms.set_array("u_angstrom", np.full(len(atoms), u_angstrom))
    return atoms


def pattern(atoms: Atoms, beam_energy_eV: float, step_angstrom: float) -> NDArray[np.float32]:
    """Pattern of a probe that stands off the atoms."""
    side = float(atoms.cell.lengths()[0])
    waves = 2 * round(side / step_angstrom / 2)
    beam = Beam(energy_eV=beam_energy_eV, semiangle_mrad=3)
    where = [[side / 2 + 0.3, side / 2 + 0.7]]
    return diffract(
        atoms,
        [beam],
        pattern_shape=(24, 24),
        q_step_inv_angstrom=1 / side,
        positions_angstrom=where,
        wave_shape=(waves, waves),
    )[0, 0, 0]


def main() -> None:
    """Print a row a crystal and energy."""
    print("step in angstrom" + "".join(f"{step:8g} " for step in STEPS_ANGSTROM))
    for symbol in CRYSTALS:
        atoms = crystal(symbol)
        for energy in (80e3, 200e3):
            exact = pattern(atoms, energy, REFERENCE_ANGSTROM)
            told = ""
            for step in STEPS_ANGSTROM:
                off = np.abs(pattern(atoms, energy, step) - exact).sum() / exact.sum()
                told += f"{off:8.2%}" + ("*" if step > coarsest_step(atoms.numbers.max()) else " ")
            print(f"{symbol:3s} {energy / 1e3:5.0f} keV    {told}", flush=True)


if __name__ == "__main__":
    main()

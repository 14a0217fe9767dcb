"""How exact the projected potentials are, by frequency: the engine's and abTEM's against the sum over atoms.

4000 silicon atoms anywhere in one slice, on a grid of 192 x 192 pixels of 0.18 angstrom; the direct sum is in double
precision. In each band, the first number is the least-squares factor between a potential's spectrum and the sum's, the
second the relative rms of what that factor does not explain::

    python plugins/simulate/benchmarks/potential_accuracy.py
"""

from __future__ import annotations

from itertools import pairwise

import abtem
import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from ronchi_simulate.multislice.atoms import from_ase
from ronchi_simulate.multislice.fourier import BandTransform
from ronchi_simulate.multislice.grid import WaveGrid
from ronchi_simulate.multislice.potential import SlicedPotential
from ronchi_simulate.multislice.scattering import abtem_scattering, projected_form_factor

N_PX, STEP_ANGSTROM, N_ATOMS = 192, 0.18, 4000
BANDS = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.64])
"""In Nyquist frequencies; the band limit's taper begins at 0.647."""


def potentials(atoms: Atoms, grid: WaveGrid) -> dict[str, NDArray[np.float64]]:
    """Potentials (ny, nx) in volt angstrom."""
    direct = BandTransform(grid.band_limit, torch.device("cpu"))
    ((_, pair),) = SlicedPotential([from_ase(atoms)], [1], grid, direct, abtem_scattering()).pairs()
    ours = pair.real[0].numpy().astype(np.float64)
    found = {"engine": ours}
    for refinement in (1, 4):
        built = abtem.Potential(
            atoms,
            gpts=refinement * N_PX,
            slice_thickness=2.0,
            projection="infinite",
            parametrization="lobato",
        ).build(lazy=False)
        fine = np.fft.fft2(np.asarray(built.array, np.float64)[0].T) / refinement**2
        rows = np.fft.fftfreq(N_PX, 1 / N_PX).astype(int)
        found[f"abTEM, grid x {refinement}"] = np.fft.ifft2(fine[np.ix_(rows, rows)]).real
    return found


def main() -> None:
    """Print the table."""
    abtem.config.set({"fft": "fftw", "precision": "float32", "diagnostics.progress_bar": False})
    side = N_PX * STEP_ANGSTROM
    positions = np.random.default_rng(1).uniform(0, [side, side, 2], (N_ATOMS, 3))
    atoms = Atoms(["Si"] * N_ATOMS, positions, cell=[side, side, 2], pbc=True)
    grid = WaveGrid((N_PX, N_PX), (STEP_ANGSTROM, STEP_ANGSTROM))
    qy, qx = grid.q_inv_angstrom
    x, y = positions[:, 0], positions[:, 1]
    phases = np.exp(-2j * np.pi * qy * y) @ np.exp(-2j * np.pi * qx.T * x).T
    expected = phases * projected_form_factor(abtem_scattering(), 14, grid.q_squared) / STEP_ANGSTROM**2
    nyquist = np.sqrt(grid.q_squared) * 2 * STEP_ANGSTROM
    print("band / Nyquist      " + "".join(f"{low:5.2f}-{high:.2f}      " for low, high in pairwise(BANDS)))
    for name, volts in potentials(atoms, grid).items():
        spectrum = np.fft.fft2(volts)
        cells = []
        for low, high in pairwise(BANDS):
            band = (nyquist >= low) & (nyquist < high)
            gain = np.vdot(expected[band], spectrum[band]).real / np.vdot(expected[band], expected[band]).real
            rest = np.linalg.norm(spectrum[band] - gain * expected[band]) / np.linalg.norm(expected[band])
            cells.append(f"{gain:7.4f} {rest:7.1e}")
        print(f"{name:18s}" + " ".join(cells))


if __name__ == "__main__":
    main()

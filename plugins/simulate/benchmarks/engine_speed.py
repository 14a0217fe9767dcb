"""What a slice and a whole run for the library cost, beside the bare Fourier transforms and beside abTEM.

One core, CPU seconds of this process, the least of interleaved repeats::

    OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python plugins/simulate/benchmarks/engine_speed.py

abTEM is used as its documentation has it for speed: FFTW, single precision, the three probes as one ensemble, exit
planes from one run, no Dask; once with its potential built beforehand and once slice by slice. Its potential is made
on the grid of the waves here, where it is cheapest (and far from exact: see ``potential_accuracy.py``).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyfftw
import scipy.fft
import torch
from ase import Atoms
from ase.build import bulk

from ronchi.optics import wavelength_angstrom
from ronchi_simulate.multislice import diffract
from ronchi_simulate.multislice.fourier import BandTransform
from ronchi_simulate.multislice.grid import WaveGrid
from ronchi_simulate.multislice.propagation import propagators
from ronchi_simulate.optics import Beam

WINDOW_ANGSTROM = 46.08
BEAM_ENERGY_EV = 200e3
SEMIANGLES_MRAD = (1.0, 2.0, 4.0)
SLICE_ANGSTROM = 2.0
SLICES_AN_EXIT = 10
U_ANGSTROM = {"Ga": 0.07, "As": 0.06}


def least_ms(functions: dict[str, Callable[[], object]], n_repeats: int, n_inner: int = 1) -> dict[str, float]:
    """CPU milliseconds of each function: the least over repeats, the functions taking turns."""
    best = dict.fromkeys(functions, float("inf"))
    for function in functions.values():
        function()
    for _ in range(n_repeats):
        for name, function in functions.items():
            start = time.process_time()
            for _ in range(n_inner):
                function()
            best[name] = min(best[name], (time.process_time() - start) * 1e3 / n_inner)
    return best


def bare_pairs(n_px: int, n_waves: int) -> dict[str, Callable[[], object]]:
    """Forward and inverse transforms of a stack, by the libraries as they are."""
    stack = torch.randn(n_waves, n_px, n_px, dtype=torch.complex64)
    array = pyfftw.empty_aligned((n_waves, n_px, n_px), dtype="complex64")
    plans = [
        pyfftw.FFTW(array, array, axes=(1, 2), direction=direction, flags=("FFTW_MEASURE",))
        for direction in ("FFTW_FORWARD", "FFTW_BACKWARD")
    ]
    array[:] = stack.numpy()
    forward, back = torch.empty_like(stack), torch.empty_like(stack)

    def by_torch() -> None:
        torch.fft.fft2(stack, out=forward)
        torch.fft.ifft2(forward, out=back)

    def by_fftw() -> None:
        for plan in plans:
            plan.execute()

    return {
        "torch": by_torch,
        "scipy": lambda: scipy.fft.ifft2(scipy.fft.fft2(stack.numpy()), overwrite_x=True),
        "fftw": by_fftw,
    }


def slice_step(n_px: int, n_waves: int) -> Callable[[], None]:
    """One slice of the engine: transmission, transform, propagator, transform back."""
    grid = WaveGrid((n_px, n_px), (WINDOW_ANGSTROM / n_px,) * 2)
    transform = BandTransform(grid.band_limit, torch.device("cpu"))
    waves = transform.images(n_waves)
    waves[:] = torch.randn(n_waves, n_px, n_px, dtype=torch.complex64)
    phase = transform.images(1)[0].fill_(1)
    wavelength = wavelength_angstrom(BEAM_ENERGY_EV)
    propagator = propagators([wavelength], np.zeros((1, 1, 2)), [SLICE_ANGSTROM], grid, transform)[0, 0]
    at_once = transform.images_at_once
    stacks = [waves[first : first + at_once] for first in range(0, n_waves, at_once)]

    def step() -> None:
        for stack in stacks:
            stack.mul_(phase)
            transform.inverse(transform.forward(stack).mul_(propagator), stack)

    return step


def specimen(thickness_angstrom: float) -> Atoms:
    """GaAs [001] that fills the window."""
    unit = bulk("GaAs", "zincblende", a=5.65, cubic=True)
    atoms = unit.repeat([int(np.ceil(size / 5.65)) for size in (WINDOW_ANGSTROM, WINDOW_ANGSTROM, thickness_angstrom)])
    size = np.array([WINDOW_ANGSTROM, WINDOW_ANGSTROM, thickness_angstrom])
    atoms = atoms[(atoms.positions < size - 1e-6).all(axis=1)]
    atoms.set_cell(size)
    atoms.set_array("u_angstrom", np.array([U_ANGSTROM[symbol] for symbol in atoms.symbols]))
    return atoms


def library_runs(atoms: Atoms, n_px: int) -> dict[str, Callable[[], object]]:
    """The same run by the engine and by abTEM."""
    import abtem

    thickness = float(atoms.cell[2, 2])
    exits = np.arange(SLICES_AN_EXIT, round(thickness / SLICE_ANGSTROM) + 1, SLICES_AN_EXIT) * SLICE_ANGSTROM
    beams = [Beam(energy_eV=BEAM_ENERGY_EV, semiangle_mrad=semiangle) for semiangle in SEMIANGLES_MRAD]

    def by_engine() -> object:
        return diffract(
            atoms,
            beams,
            pattern_shape=(n_px, n_px),
            wave_shape=(n_px, n_px),
            q_step_inv_angstrom=1 / WINDOW_ANGSTROM,
            exits_angstrom=exits.tolist(),
            slice_angstrom=SLICE_ANGSTROM,
        )

    potential = abtem.Potential(
        atoms,
        gpts=n_px,
        slice_thickness=SLICE_ANGSTROM,
        projection="infinite",
        parametrization=abtem.parametrizations.LobatoParametrization(sigmas=U_ANGSTROM),
        exit_planes=SLICES_AN_EXIT,
    )
    probe = abtem.Probe(
        energy=BEAM_ENERGY_EV,
        semiangle_cutoff=abtem.distributions.from_values(SEMIANGLES_MRAD),
        extent=WINDOW_ANGSTROM,
        gpts=n_px,
    )
    center = abtem.CustomScan([[WINDOW_ANGSTROM / 2, WINDOW_ANGSTROM / 2]])
    detector = abtem.PixelatedDetector(max_angle="full")

    def by_abtem(source: Any) -> object:
        return probe.multislice(source, scan=center, detectors=detector, lazy=False)

    return {
        "torch engine": by_engine,
        "abTEM, potential built first": lambda: by_abtem(potential.build(lazy=False)),
        "abTEM, slice by slice": lambda: by_abtem(potential),
    }


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--thickness", type=float, default=500.0, help="angstrom")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    import abtem

    abtem.config.set({"fft": "fftw", "precision": "float32", "diagnostics.progress_bar": False})
    print("ms a wave and slice, of which the engine's is everything but the potential")
    print("grid  waves   torch  scipy   fftw | engine   / best pair")
    for n_px in (256, 512):
        for n_waves in (1, 3, 16):
            functions = bare_pairs(n_px, n_waves) | {"engine": slice_step(n_px, n_waves)}
            ms = {
                name: one / n_waves
                for name, one in least_ms(functions, arguments.repeats, 1 + 3 * (256 // n_px) ** 2).items()
            }
            best = min(ms["torch"], ms["scipy"], ms["fftw"])
            row = " ".join(f"{ms[name]:6.3f}" for name in ("torch", "scipy", "fftw"))
            print(f"{n_px:4d} {n_waves:5d}   {row} | {ms['engine']:6.3f}   {ms['engine'] / best:.2f}", flush=True)
    atoms = specimen(arguments.thickness)
    n_slices = round(arguments.thickness / SLICE_ANGSTROM)
    print(
        f"\nwhole run: {len(atoms)} atoms, {n_slices} slices, {n_slices // SLICES_AN_EXIT} exits, 3 probes, 256 x 256"
    )
    seconds = least_ms(library_runs(atoms, 256), arguments.repeats)
    fastest = min(one for name, one in seconds.items() if name.startswith("abTEM"))
    for name, one in seconds.items():
        print(f"  {name:30s} {one / 1e3:6.3f} s   {one / n_slices:5.2f} ms a slice")
    print(f"  the engine is {fastest / seconds['torch engine']:.2f} times faster than abTEM at its best")


if __name__ == "__main__":
    main()

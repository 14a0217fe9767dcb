"""One run: atoms in a box, patterns of all its beams and thicknesses, and what is true of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ronchi_simulate.library.plan import Run
from ronchi_simulate.library.reflections import Reflections, reflections
from ronchi_simulate.library.structure_factor import structure_factor_image
from ronchi_simulate.multislice.engine import diffract
from ronchi_simulate.multislice.grid import fast_size
from ronchi_simulate.optics import Beam, aperture_amplitude
from ronchi_simulate.params.library import LibraryParams
from ronchi_simulate.scan.binning import bin_patterns
from ronchi_simulate.specimens.lattices import fill_box

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["RunData", "atoms_of", "rounded", "simulate_run", "vacuum_probe", "wave_px"]


_HALF_SCALE = 2.0**7
"""Half precision has steps of 2^-24 at least; scaled by this they are 2^-31 of the beam."""


@dataclass(frozen=True, eq=False)
class RunData:
    """What a run gives.

    Parameters
    ----------
    intensity : (semiangle, thickness, qy, qx) float32
        Fraction of the beam in each pixel.
    probe : (semiangle, qy, qx) float32
        The same over vacuum.
    structure_factor : (qy, qx) float32
        In volt, per unit of thickness.
    points : Reflections
    """

    intensity: NDArray[np.float32]
    probe: NDArray[np.float32]
    structure_factor: NDArray[np.float32]
    points: Reflections


def simulate_run(
    run: Run,
    params: LibraryParams,
    *,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> RunData:
    """Simulate one run."""
    n, binning = params.pattern_px, params.binning
    fine, waves = _fine_px(params), wave_px(params)
    step = params.q_step_inv_angstrom / binning
    beams = [Beam(energy_eV=run.beam_energy_eV, semiangle_mrad=angle) for angle in run.semiangles_mrad]
    patterns = diffract(
        atoms_of(run, params),
        beams,
        pattern_shape=(fine, fine),
        q_step_inv_angstrom=step,
        exits_angstrom=params.thicknesses_angstrom,
        slice_angstrom=params.slice_angstrom,
        frozen_phonons=params.frozen_phonons,
        engine=params.engine,
        rng=np.random.default_rng(run.seed),
        device=device,
        progress=progress,
        wave_shape=(waves, waves),
        log=None,
    )[:, 0]
    probe = np.stack([vacuum_probe(beam, fine, step) for beam in beams])
    if binning > 1:
        shape = patterns.shape[:2]
        patterns = bin_patterns(patterns.reshape(-1, fine, fine), (n, n), binning).reshape(*shape, n, n)
        probe = bin_patterns(probe, (n, n), binning)
    points, centre = _points(run, params)
    image = structure_factor_image(
        points,
        pattern_shape=(n, n),
        q_step_inv_angstrom=params.q_step_inv_angstrom,
        weighed_from=params.weighed_from,
        sigma_inv_angstrom=params.sigma_inv_angstrom,
        tukey_alpha=params.tukey_alpha,
        phase_centre_angstrom=centre,
    )
    return RunData(rounded(patterns), probe, image, points)


def wave_px(params: LibraryParams) -> int:
    """Side of the grid of waves: its band, 2/3 of it, is the circle on the detector that touches its edges."""
    return max(_fine_px(params), fast_size(math.ceil(1.5 * params.binning * params.pattern_px)))


def _fine_px(params: LibraryParams) -> int:
    n, binning = params.pattern_px, params.binning
    return n if binning == 1 else binning * (n + 1)


def rounded(intensity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fractions of the beam with as many bits as matter, for the sake of what compression makes of the others.

    11 bits from 4.8e-7 on, below that steps of 4.7e-10: less than the shot noise in a pixel up to 4e6 electrons, and a
    200th of an electron at 1e7 in the pattern.
    """
    fewer = (intensity * np.float32(_HALF_SCALE)).astype(np.float16)
    return fewer.astype(np.float32) / np.float32(_HALF_SCALE)


def atoms_of(run: Run, params: LibraryParams) -> Atoms:
    """The run's crystal in the box that the probe sees, as the engine takes it.

    The crystal is not periodic in the box: where that ends the crystal meets its own other side, as at a grain
    boundary, which draws faint streaks through the disks along both axes. A window twice as wide as a detector pixel
    asks for keeps the probe off it. To let the crystal fade towards the rim does worse: a beam that has left the
    crystal's Bloch waves has another phase, and the direct beam gets a halo of three times the streaks' intensity.
    """
    from ase import Atoms

    side = params.binning / params.q_step_inv_angstrom
    box = (side, side, params.thicknesses_angstrom[-1])
    cell = run.crystal.lattice_angstrom @ run.rotation.T
    positions, site = fill_box(cell, (run.crystal.fractional + run.origin) @ cell, (0, 0, 0), box)
    atoms = Atoms(numbers=run.crystal.numbers[site], positions=positions, cell=box, pbc=(True, True, False))
    atoms.set_array("u_angstrom", np.full(len(atoms), run.u_angstrom))
    return atoms


def vacuum_probe(beam: Beam, n: int, q_step_inv_angstrom: float) -> NDArray[np.float32]:
    """(n, n) fraction of the beam in each pixel without a specimen."""
    intensity = np.fft.fftshift(aperture_amplitude(beam, (n, n), q_step_inv_angstrom) ** 2)
    probe: NDArray[np.float32] = intensity / intensity.sum()
    return probe


def _points(run: Run, params: LibraryParams) -> tuple[Reflections, tuple[float, float]]:
    """Reflections on the detector, and the centre (y, x) of the window from the crystal's origin."""
    points = reflections(
        run.crystal,
        run.rotation,
        beam_energy_eV=run.beam_energy_eV,
        # Waves have no higher frequencies, so that the corners of the pattern stay dark.
        q_max=params.pattern_px // 2 * params.q_step_inv_angstrom,
        distance_max=params.excitation_max_inv_angstrom,
        near=params.weighed_from,
        u_angstrom=run.u_angstrom,
    )
    corner = run.origin @ run.crystal.lattice_angstrom @ run.rotation.T
    middle = 0.5 * params.binning / params.q_step_inv_angstrom
    return points, (float(middle - corner[1]), float(middle - corner[0]))

"""The torch engine against abTEM on 20 specimens: light to heavy, 60 to 300 kV, 1 to 12 mrad, thin to thick, tilted.

Both limit potentials to the same band, so that they must agree whether or not the grid is fine enough for the
specimen. ``-s`` shows the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.signal import fftconvolve

from ronchi_simulate.multislice import diffract
from ronchi_simulate.optics import Beam

WINDOW_ANGSTROM = 24.0
WAVE_PX = 192
PATTERN_PX = 128


@dataclass(frozen=True)
class Sample:
    """A crystal, its orientation as a rotation (degrees, axis), and the beam."""

    name: str
    unit: Atoms
    turn: tuple[float, tuple[float, float, float]]
    thickness_angstrom: float
    beam: Beam


def cubic(symbols: str, structure: str, a: float) -> Atoms:
    return bulk(symbols, structure, a=a, cubic=True)


RUTILE = crystal(["Ti", "O"], [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136, cellpar=[4.594, 4.594, 2.959, 90, 90, 90])
PEROVSKITE = crystal(
    ["Ba", "Ti", "O"], [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)], spacegroup=221, cellpar=[4.0, 4.0, 4.0, 90, 90, 90]
)
QUARTZ = crystal(
    ["Si", "O"], [(0.4697, 0, 0), (0.4135, 0.2669, 0.1191)], spacegroup=152, cellpar=[4.916, 4.916, 5.405, 90, 90, 120]
)
Z, TO_011, TO_111 = (0.0, (0, 0, 1)), (45.0, (1, 0, 0)), (54.7356, (1, -1, 0))


def beam(kilovolt: float, semiangle_mrad: float, **more: Any) -> Beam:
    return Beam(energy_eV=kilovolt * 1e3, semiangle_mrad=semiangle_mrad, **more)


UNDERFOCUS = beam(120, 6, defocus_angstrom=150)
TILTED = beam(200, 4, tilt_mrad=(5, 5))
SAMPLES = [
    Sample("Si [001] thin", cubic("Si", "diamond", 5.431), Z, 20, beam(200, 1)),
    Sample("Si [011] 20 nm", cubic("Si", "diamond", 5.431), TO_011, 200, beam(200, 2)),
    Sample("Si [111] tilted", cubic("Si", "diamond", 5.431), TO_111, 100, beam(300, 3, tilt_mrad=(12, -7))),
    Sample("diamond off zone", cubic("C", "diamond", 3.567), (23.0, (1, 2, 0.3)), 150, beam(80, 4)),
    Sample("Al [001] 30 nm", cubic("Al", "fcc", 4.05), Z, 300, beam(200, 2)),
    Sample("Cu [011]", cubic("Cu", "fcc", 3.61), TO_011, 100, beam(120, 4)),
    Sample("Ni off zone", cubic("Ni", "fcc", 3.52), (31.0, (0.2, 1, 0.7)), 120, beam(300, 1)),
    Sample("Fe [001] 12 mrad", cubic("Fe", "bcc", 2.87), Z, 80, beam(200, 12)),
    Sample("Mo tilted", cubic("Mo", "bcc", 3.147), (17.0, (0, 0, 1)), 80, beam(200, 3, tilt_mrad=(-20, 15))),
    Sample("W off zone 80 kV", cubic("W", "bcc", 3.165), (12.0, (1, 0.4, 0.1)), 60, beam(80, 3)),
    Sample("Au [001] 60 kV", cubic("Au", "fcc", 4.08), Z, 40, beam(60, 4)),
    Sample("Au off zone 20 nm", cubic("Au", "fcc", 4.08), (28.0, (1, 1, 0.2)), 200, beam(300, 2)),
    Sample("Pt [111]", cubic("Pt", "fcc", 3.92), TO_111, 60, beam(200, 8)),
    Sample("GaAs [011]", cubic("GaAs", "zincblende", 5.653), TO_011, 150, beam(200, 1.5)),
    Sample("GaAs off zone defocus", cubic("GaAs", "zincblende", 5.653), (9.0, (1, 0.3, 0)), 100, UNDERFOCUS),
    Sample("NaCl [001]", cubic("NaCl", "rocksalt", 5.64), Z, 120, beam(60, 2)),
    Sample("CsCl tilted", cubic("CsCl", "cesiumchloride", 4.123), (5.0, (0, 1, 0)), 100, TILTED),
    Sample("TiO2 [001]", RUTILE, Z, 100, beam(300, 5)),
    Sample("BaTiO3 [011]", PEROVSKITE, TO_011, 80, beam(100, 2)),
    Sample("quartz off zone", QUARTZ, (40.0, (1, 0.2, 0.5)), 150, beam(200, 3)),
]  # fmt: skip


def specimen(sample: Sample) -> Atoms:
    """Box full of the crystal, its edges off the lattice planes, with displacements by element."""
    reach = np.sqrt(2 * WINDOW_ANGSTROM**2 + sample.thickness_angstrom**2)
    block = sample.unit.repeat([int(reach / length) + 2 for length in sample.unit.cell.lengths()])
    block.positions -= block.positions.mean(0) + np.array([0.11, 0.23, 0.37])
    block.rotate(*sample.turn)
    size = np.array([WINDOW_ANGSTROM, WINDOW_ANGSTROM, sample.thickness_angstrom])
    positions = block.positions + size / 2
    inside = ((positions >= 0) & (positions < size)).all(1)
    atoms = Atoms(block.numbers[inside], positions[inside], cell=size, pbc=True)
    atoms.set_array("u_angstrom", 0.05 + 0.02 * (atoms.numbers % 3))
    return atoms


def disk_intensities(pattern: NDArray[np.float64], radius_px: float) -> NDArray[np.float64]:
    """Sum of a pattern over a disk about every pixel."""
    reach = int(radius_px) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.asarray(fftconvolve(pattern, (np.hypot(y, x) <= radius_px).astype(float), "same"))


@pytest.mark.slow
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_patterns_and_disks_are_abtems(sample: Sample) -> None:
    atoms = specimen(sample)
    ours, abtems = (
        diffract(
            atoms,
            [sample.beam],
            pattern_shape=(PATTERN_PX, PATTERN_PX),
            wave_shape=(WAVE_PX, WAVE_PX),
            q_step_inv_angstrom=1 / WINDOW_ANGSTROM,
            engine=engine,
        )[0, 0, 0].astype(np.float64)
        for engine in ("torch", "abtem")
    )
    correlation = np.corrcoef(ours.ravel(), abtems.ravel())[0, 1]
    radius_px = max(1.5, sample.beam.disk_radius_inv_angstrom * WINDOW_ANGSTROM + 1)
    expected, found = disk_intensities(abtems, radius_px), disk_intensities(ours, radius_px)
    disks = (maximum_filter(expected, int(2 * radius_px) + 1) == expected) & (expected > 1e-4)
    error = np.abs(found[disks] / expected[disks] - 1)
    print(
        f"\n{sample.name:22s} {len(atoms):6d} atoms  correlation {correlation:.7f}  {disks.sum():3d} disks: "
        f"worst {100 * error.max():.3f} %, median {100 * np.median(error):.4f} %  "
        f"total {ours.sum():.5f} {abtems.sum():.5f}"
    )
    assert disks.any()
    assert correlation >= 0.999
    assert error.max() < 0.02

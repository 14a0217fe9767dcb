"""Orientation and signs: towards what, and on which side."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray

from ronchi_simulate.optics import Beam

CENTRE = 32
ASKEW = Beam(energy_eV=80e3, semiangle_mrad=25, defocus_angstrom=40, tilt_mrad=(20, -35))


def centre_of_mass(pattern: NDArray[np.float32]) -> tuple[float, float]:
    """(y, x) in px from the centre."""
    q = np.arange(64) - CENTRE
    return float(pattern.sum(1) @ q / pattern.sum()), float(pattern.sum(0) @ q / pattern.sum())


@pytest.mark.parametrize("engine", ["torch", "abtem"])
@pytest.mark.parametrize(("side", "expected"), [((0.4, 0.0), (1, 0)), ((0.0, 0.4), (0, 1)), ((-0.4, 0.0), (-1, 0))])
def test_beam_is_deflected_towards_an_atom(of_12_angstrom, engine, side, expected) -> None:
    atom = Atoms("Si", [[6, 6, 0.5]], cell=[12, 12, 1])
    position = (6 - side[0], 6 - side[1])  # the atom lies at +side of the probe
    pattern = of_12_angstrom(
        atom, Beam(energy_eV=80e3, semiangle_mrad=25), positions_angstrom=[position], engine=engine
    )
    moved = centre_of_mass(pattern[0, 0, 0])
    assert np.argmax(np.abs(moved)) == np.argmax(np.abs(expected))
    assert np.dot(moved, expected) > 0.05
    assert abs(np.dot(moved, expected[::-1])) < 1e-3


@pytest.mark.parametrize("engine", ["torch", "abtem"])
def test_rays_before_the_crossover_come_from_their_own_side(of_12_angstrom, engine) -> None:
    """Underfocus by D: the ray at +x in the specimen has q_x = -x / (wavelength D), where an atom's shadow falls."""
    beam = Beam(energy_eV=80e3, semiangle_mrad=30, defocus_angstrom=120)
    empty = Atoms(cell=[12, 12, 1])
    atom = Atoms("Au", [[6 + 1.5, 6, 0.5]], cell=[12, 12, 1])
    change = (of_12_angstrom(atom, beam, engine=engine) - of_12_angstrom(empty, beam, engine=engine))[0, 0, 0]
    row, column = np.unravel_index(change.argmin(), change.shape)
    expected = -1.5 / (beam.wavelength_angstrom * 120) * 12  # px: -3.6
    assert column - CENTRE == pytest.approx(expected, abs=1.6)  # the shadow is as wide as its distance
    assert row == CENTRE


@pytest.mark.parametrize("engine", ["torch", "abtem"])
def test_beam_drifts_towards_the_tilt(of_12_angstrom, engine) -> None:
    """An atom 40 angstrom deep is met in its middle if it lies at depth * tan(tilt) from the probe."""
    tilted = Beam(energy_eV=200e3, semiangle_mrad=20, tilt_mrad=(10, -20))
    drift = 40 * np.tan(np.array(tilted.tilt_mrad) * 1e-3)
    straight = Beam(energy_eV=200e3, semiangle_mrad=20)
    below = Atoms("Mo", [[6, 6, 40]], cell=[12, 12, 42])
    aside = Atoms("Mo", [[6 + drift[1], 6 + drift[0], 40]], cell=[12, 12, 42])
    options = {"engine": engine, "positions_angstrom": [[6, 6]]}
    met = of_12_angstrom(aside, tilted, **options)[0, 0, 0]
    np.testing.assert_allclose(met, of_12_angstrom(below, straight, **options)[0, 0, 0], atol=2e-3 * met.max())
    missed = of_12_angstrom(below, tilted, **options)[0, 0, 0]
    assert np.abs(missed - met).max() > 0.05 * met.max()


@pytest.mark.parametrize("axis", [0, 1])
def test_circle_of_laue_lies_opposite_to_the_tilt(of_12_angstrom, axis) -> None:
    """With t = tan(tilt), reflections at distance |t| / wavelength from -t / wavelength are in the Bragg condition."""
    crystal = bulk("Al", "fcc", a=4.0, cubic=True).repeat((3, 3, 25))
    g = 2 / 4.0
    tilt = [0.0, 0.0]
    beam = Beam(energy_eV=200e3, semiangle_mrad=1)
    tilt[axis] = 1e3 * np.arctan(g / 2 * beam.wavelength_angstrom)
    tilted = Beam(energy_eV=200e3, semiangle_mrad=1, tilt_mrad=(tilt[0], tilt[1]))
    pattern = of_12_angstrom(crystal, tilted, positions_angstrom=[[6.1, 6.2]])[0, 0, 0]
    px = round(g * 12)
    at = lambda n: pattern[CENTRE + n] if axis == 0 else pattern[:, CENTRE + n]  # noqa: E731
    assert at(-px)[CENTRE] > 5 * at(px)[CENTRE]

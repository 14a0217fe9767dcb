"""Atoms and truth of the multilayer: signs and axes first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from numpy.typing import NDArray

from ronchi.schema import fourd
from ronchi_simulate.params.sige import Layer, SigeParams, Substrate
from ronchi_simulate.simulators.sige import sige_truth
from ronchi_simulate.specimens.sige import sige_atoms
from ronchi_simulate.specimens.sige_stack import Stack

A = 5.6034
PERIOD = A / np.sqrt(2)
Floats = NDArray[np.float64]


def make(seed: int = 1, **changes: Any) -> tuple[Atoms, float]:
    params = SigeParams(**{"scan_shape": (2, 10), "thickness_angstrom": 20.0, "binning": 1, **changes})
    return sige_atoms(Stack.of(params), params, np.random.default_rng(seed))


def scan_of(params: SigeParams) -> xr.Dataset:
    patterns = np.zeros((*params.scan_shape, 4, 4), np.float32)
    return fourd.make(patterns, scan_step=params.scan_step_angstrom, thickness_angstrom=params.thickness_angstrom)


def structure_factor(atoms: Atoms, q: tuple[float, float, float]) -> float:
    """Per atom, for q (x, y, z)."""
    return float(abs(np.exp(2j * np.pi * atoms.positions @ np.array(q)).mean()))


def test_the_substrate_is_diamond_along_011() -> None:
    """Reflections of the diamond structure shine, and those that it forbids do not, in the frame of the scan."""
    bulk = SigeParams(
        scan_shape=(1, 2), layers=(), substrate=Substrate(germanium=0.0), thickness_angstrom=20.0, binning=1
    )
    atoms, _ = sige_atoms(Stack.of(bulk), bulk, np.random.default_rng(0))
    # Whole cells along x, so that sums of waves vanish where they should.
    atoms = atoms[atoms.positions[:, 0] < atoms.positions[:, 0].min() + 8 * A - 0.1]
    x, y, z = 1 / A, 1 / PERIOD, 1 / PERIOD
    assert structure_factor(atoms, (4 * x, 0, 0)) == pytest.approx(1)  # 400
    assert structure_factor(atoms, (0, y, 0)) == pytest.approx(0, abs=1e-9)  # odd with even
    assert structure_factor(atoms, (0, 2 * y, 0)) == pytest.approx(1)  # 0 2 -2
    assert structure_factor(atoms, (x, y, 0)) == pytest.approx(np.sqrt(0.5))  # 1 1 -1
    assert structure_factor(atoms, (2 * x, 0, 0)) == pytest.approx(0, abs=1e-9)  # 200, forbidden by the glide
    assert structure_factor(atoms, (0, 0, z)) == pytest.approx(0, abs=1e-9)
    assert structure_factor(atoms, (x, 0, z)) == pytest.approx(np.sqrt(0.5))  # 111 of the first Laue zone
    # Eight atoms in a cubic cell.
    assert len(atoms) / (8 * A * 8 * PERIOD * 5 * PERIOD) == pytest.approx(8 / A**3)
    np.testing.assert_allclose(atoms.cell.lengths()[1:], [8 * PERIOD, 5 * PERIOD])


@pytest.mark.parametrize("strain", [-0.02, 0.03])
def test_strain_stretches_the_layer_along_x_alone(strain: float) -> None:
    """Expansion is positive: 400 moves inwards along x by it, and 022 along y stays."""
    layer = Layer(thickness_angstrom=500.0, germanium=0.0, strain=strain)
    atoms, _ = make(layers=(layer,))
    atoms = atoms[atoms.positions[:, 0] < atoms.positions[:, 0].min() + 8 * A * (1 + strain) - 0.1]
    assert structure_factor(atoms, (4 / A / (1 + strain), 0, 0)) == pytest.approx(1)
    assert structure_factor(atoms, (4 / A, 0, 0)) < 0.95
    assert structure_factor(atoms, (0, 2 / PERIOD, 0)) == pytest.approx(1)


def test_cell_and_atoms_hold_the_windows_of_all_probes() -> None:
    params = SigeParams(scan_shape=(1, 3), scan_step_angstrom=(5.0, 20.0), scan_start_angstrom=(0.0, 35.0))
    atoms, left = sige_atoms(Stack.of(params), params, np.random.default_rng(0))
    window = 3 / params.q_step_inv_angstrom
    assert left <= 35 - window / 2
    assert left + atoms.cell.lengths()[0] >= 75 + window / 2
    x = atoms.positions[:, 0] + left
    # The interface at 44.4 angstrom is where it belongs: planes left of it are closer than those right of it.
    planes = np.unique(np.round(x, 3))
    gap = np.diff(planes)
    np.testing.assert_allclose(gap[planes[:-1] < 44.2], 0.99 * A / 4, atol=2e-3)
    np.testing.assert_allclose(gap[(planes[:-1] > 44.3) & (planes[:-1] < 89)], 1.01 * A / 4, atol=2e-3)


def test_species_follow_the_composition_and_the_seed() -> None:
    params: dict[str, Any] = {"scan_shape": (1, 40), "thickness_angstrom": 60.0}
    atoms, left = make(**params)
    x = atoms.positions[:, 0] + left
    germanium = atoms.numbers == 32
    stack = Stack.of(SigeParams())
    for number, part in enumerate([0.0, 0.5, 0.0, 0.5, 0.25]):
        inside = stack.layer_at(x + 1e-6) == number
        # Some 2500 sites a layer: a standard deviation of 0.01; seed 1.
        assert germanium[inside].mean() == pytest.approx(part, abs=0.03)
    np.testing.assert_array_equal(atoms.get_array("u_angstrom"), np.where(germanium, 0.085, 0.076))
    np.testing.assert_array_equal(make(**params)[0].numbers, atoms.numbers)
    assert (make(2, **params)[0].numbers != atoms.numbers).any()


def test_no_atom_lies_on_the_border_of_a_slice() -> None:
    atoms, _ = make()
    height = atoms.cell.lengths()[2]
    for slices in (10, 20):
        z = atoms.positions[:, 2] / (height / slices)
        assert np.abs(z - np.rint(z)).min() > 0.2, slices


def test_truth_says_what_the_probe_stands_on() -> None:
    params = SigeParams(tilt_magnitude_deg=(4.4, 0.4), tilt_direction_deg=(315, 45))
    stack = Stack.of(params)
    truth = sige_truth(stack, params, scan_of(params))
    assert truth.attrs["is_truth"] == 1
    assert truth["e_xx"].dims == ("scan_y", "scan_x")
    x = truth["scan_x"].values
    expected = stack.strain[stack.layer_at(x)]
    for row in range(2):
        np.testing.assert_allclose(truth["e_xx"].values[row], expected, rtol=1e-6)
    for name in ("e_yy", "e_xy", "theta"):
        assert not truth[name].values.any()
    np.testing.assert_array_equal(truth["is_substrate"].values[1], x > stack.start_angstrom[-1])
    np.testing.assert_allclose(truth["dist_interface"].values[0, :3], stack.start_angstrom[1] - x[:3], rtol=1e-6)
    tilt = np.hypot(truth["tilt_y"], truth["tilt_x"]).values[0]
    np.testing.assert_allclose(tilt, np.linspace(4.4, 0.4, 40), rtol=1e-6)
    # 315 degrees is up on the page, -y, and to the right; 45 degrees down and to the right.
    assert truth["tilt_y"].values[0, 0] == pytest.approx(-4.4 * np.sqrt(0.5), rel=1e-6)
    assert truth["tilt_x"].values[0, 0] == pytest.approx(4.4 * np.sqrt(0.5), rel=1e-6)
    assert truth["tilt_y"].values[0, -1] == pytest.approx(0.4 * np.sqrt(0.5), rel=1e-6)


def test_strain_under_the_probe_blurs_the_interfaces_and_nothing_else() -> None:
    params = SigeParams(scan_shape=(1, 235), scan_step_angstrom=(5.0, 1.0))
    truth = sige_truth(Stack.of(params), params, scan_of(params))
    local, seen = truth["e_xx"].values[0], truth["e_xx_probe"].values[0]
    far = truth["dist_interface"].values[0] > 14
    # An Airy disk of 9 angstrom radius has 16 % of its energy beyond its first ring.
    np.testing.assert_allclose(seen[far], local[far], atol=6e-4)
    assert np.abs(seen - local).max() > 5e-3
    # It crosses the middle of two layers at their interface.
    edge = Stack.of(params).start_angstrom[1]
    assert np.interp(edge, truth["scan_x"], seen) == pytest.approx(0, abs=6e-4)


def test_through_a_leaning_specimen_the_probe_goes_to_where_it_leans_from() -> None:
    """The layers lean towards +x on their way down, so that the straight beam meets ever more of those at the left."""
    layers = (Layer(thickness_angstrom=60.0, germanium=0.0, strain=-0.01),)
    leaning = SigeParams(scan_shape=(1, 60), scan_step_angstrom=(5.0, 2.0), layers=layers, tilt_magnitude_deg=(5, 5))
    straight = leaning.model_copy(update={"tilt_magnitude_deg": (0.0, 0.0)})
    stack = Stack.of(leaning)
    seen, plain = (sige_truth(stack, p, scan_of(p))["e_xx_probe"].values[0] for p in (leaning, straight))
    x = 2.0 * np.arange(60)
    middle, shifted = (np.interp(-0.005, strain, x) for strain in (plain, seen))
    # Half of 127 angstrom times tan(5 deg); the steps of the grid leave less than 0.1 angstrom.
    assert shifted - middle == pytest.approx(63.5 * np.tan(np.deg2rad(5)), abs=0.2)

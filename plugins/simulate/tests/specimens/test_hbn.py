"""Atoms of hexagonal boron nitride."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from scipy.spatial import cKDTree

from ronchi_simulate.params.hbn import HbnParams
from ronchi_simulate.simulators.hbn import equivalent_positions
from ronchi_simulate.specimens.hbn import hbn_atoms, sheet_vectors

BOND = 2.504 / np.sqrt(3)


def box(**changes: Any) -> tuple[HbnParams, Atoms]:
    params = HbnParams(**{"q_step_inv_angstrom": 0.08, "thickness_angstrom": 14.0, **changes})
    return params, hbn_atoms(params)


@pytest.mark.parametrize("rotation", [0.0, 23.0])
def test_every_atom_has_three_neighbours_of_the_other_kind_and_one_over_it(rotation: float) -> None:
    _, atoms = box(rotation_deg=rotation)
    tree = cKDTree(atoms.positions)
    low, high = np.full(3, 4.0), atoms.cell.lengths() - 4
    inside = np.flatnonzero(((atoms.positions > low) & (atoms.positions < high)).all(1))
    assert len(inside) > 50
    for i in inside:
        in_sheet = [j for j in tree.query_ball_point(atoms.positions[i], 1.01 * BOND) if j != i]
        assert len(in_sheet) == 3
        assert (atoms.numbers[in_sheet] != atoms.numbers[i]).all()
        above = tree.query_ball_point(atoms.positions[i] + [0, 0, 6.661 / 2], 1e-6)
        assert (atoms.numbers[above] != atoms.numbers[i]).all()
        assert len(above) == 1


def test_the_rotation_turns_x_towards_y() -> None:
    params, _ = box(rotation_deg=20.0)
    a1 = sheet_vectors(params)[0]
    assert np.rad2deg(np.arctan2(a1[1], a1[0])) == pytest.approx(20)
    assert np.linalg.norm(a1) == pytest.approx(2.504)


def test_thickness_is_whole_periods_and_no_atom_lies_at_a_surface() -> None:
    _, atoms = box()
    assert atoms.cell.lengths()[2] == pytest.approx(2 * 6.661)
    np.testing.assert_allclose(np.unique(atoms.positions[:, 2].round(6)), 6.661 * (np.arange(4) / 2 + 0.25))


def test_a_position_far_away_is_the_same_place_in_the_lattice() -> None:
    params, atoms = box(rotation_deg=11.0)
    where = np.array([[0.0, 0.0], [1234.5, -77.0], [0.3, 0.9]])
    moved = equivalent_positions(where, sheet_vectors(params), atoms)
    basis = sheet_vectors(params)[:, 1::-1]
    cells = (moved - where) @ np.linalg.inv(basis)
    np.testing.assert_allclose(cells - np.rint(cells), 0, atol=1e-9)
    assert (np.abs(moved - atoms.cell.lengths()[1::-1] / 2) < 2.504).all()


@pytest.mark.parametrize("binning", [1, 2])
def test_the_default_window_is_whole_cells(binning: int) -> None:
    """Atoms that leave it at one side come in at the other where their lattice has a site."""
    atoms = hbn_atoms(HbnParams(binning=binning, thickness_angstrom=7.0))
    side = atoms.cell.lengths()[0]
    np.testing.assert_allclose([side / 2.504, side / (2.504 * np.sqrt(3))], [26 * binning, 15 * binning], atol=0.02)
    # Eight atoms in a rectangle of two cells and two sheets.
    assert len(atoms) == 8 * 26 * 15 * binning**2

"""Tiles, and what is true of a position in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from ronchi.schema import fourd
from ronchi_simulate.graphene4d import sheet
from ronchi_simulate.params_graphene4d import Graphene4dParams
from ronchi_simulate.specimens.graphene import BOND_ANGSTROM
from ronchi_simulate.specimens.lattices import fill_box, turn
from ronchi_simulate.specimens.mosaic import Tiles
from ronchi_simulate.specimens.mosaic_truth import mosaic_truth, place_in_cell


@given(angle=st.floats(-360, 360), shift=st.floats(-20, 20), wide=st.floats(5, 15))
def test_a_box_holds_as_many_atoms_as_its_volume_has_cells(angle: float, shift: float, wide: float) -> None:
    vectors = np.diag([2.0, 1.5, 1.0]) @ turn(np.deg2rad(angle))
    where, number = fill_box(vectors, [[shift, 0, 0]], [0, 0, 0], [wide, wide, 4])
    assert ((where >= 0) & (where < [wide, wide, 4])).all()
    # A cell at the rim counts or not: its perimeter in cells, with a wide margin.
    assert abs(len(where) - 4 * wide**2 / 3) <= 4 * 4 * wide / 1.5
    assert set(number) == {0}
    if len(where) > 1:
        assert cKDTree(where).query(where, 2)[0][:, 1].min() > 1 - 1e-9


def test_turn_is_from_x_towards_y() -> None:
    np.testing.assert_allclose(np.array([1.0, 0, 0]) @ turn(np.pi / 2), [0, 1, 0], atol=1e-15)


@pytest.mark.parametrize("margin", [0.0, 12.0])
def test_positions_lie_in_their_tiles_and_on_one_grid_without_a_margin(margin: float) -> None:
    tiles = Tiles(np.zeros((2, 3)), (4, 5), np.array([0.3, 0.4]), margin, 15.0)
    where, tile = tiles.positions()
    assert where.shape == (8, 15, 2)
    assert tile.shape == (8, 15)
    np.testing.assert_array_equal(tiles.owner(where.reshape(-1, 2)), tile.ravel())
    np.testing.assert_allclose(where[tile == 4].mean(0), tiles.centre(4), atol=1e-12)
    steps = np.diff(where[..., 1], axis=1)
    assert np.ptp(steps) == pytest.approx(2 * margin, abs=1e-9)
    # Every probe has the border's width of specimen around it.
    assert where.min() >= 15
    assert (where <= tiles.size_angstrom - 15).all()


def test_truth_names_the_nearest_atom_and_the_place_in_the_cell() -> None:
    params = Graphene4dParams(defects=(("none", "none"), ("none", "none")))
    mosaic, places, tile = sheet(params, np.random.default_rng(3))
    truth = mosaic_truth(mosaic, places, tile, fourd.make(np.zeros((20, 20, 2, 2), "f4")), 6, ("none",))
    vector = np.stack([truth["nn_dy"], truth["nn_dx"]], -1)
    np.testing.assert_allclose(np.hypot(*vector.T), truth["nn_distance"].values.T, atol=1e-6)
    atoms = mosaic.atoms().positions[:, 1::-1]
    assert cKDTree(atoms).query((places + vector).reshape(-1, 2))[0].max() < 1e-5
    # No point of a hexagon is further from an atom than its centre.
    assert truth["nn_distance"].max() <= BOND_ANGSTROM
    for number, crystal in enumerate(mosaic.crystals):
        cell = place_in_cell(crystal, (places + vector)[tile == number])
        sublattice = truth["sublattice"].values[tile == number]
        # Atoms stand at one and two thirds of the long diagonal of the cell.
        np.testing.assert_allclose(cell, np.repeat((sublattice[:, None] + 1) / 3, 2, 1), atol=1e-5)
    assert np.isinf(truth["defect_distance"]).all()
    assert truth["angle"].attrs["n_fold"] == 6
    np.testing.assert_allclose(np.rad2deg(truth["angle"].values[::10, ::10]), [[5, 18], [31, 44]], rtol=1e-6)


def test_crystals_meet_without_atoms_too_close() -> None:
    params = Graphene4dParams(margin_angstrom=0, scan_shape=(40, 40), scan_step_angstrom=(0.5, 0.5))
    mosaic, places, _ = sheet(params, np.random.default_rng(0))
    atoms = mosaic.atoms()
    assert cKDTree(atoms.positions).query(atoms.positions, 2)[0][:, 1].min() >= 1.1
    # Of two atoms in a cell few are lost at the boundaries.
    density = len(atoms) / atoms.cell.lengths()[:2].prod() * (1.5 * np.sqrt(3) * BOND_ANGSTROM**2) / 2
    assert 0.96 < density < 1.01
    np.testing.assert_allclose(np.diff(places[0, :, 1]), 0.5, rtol=1e-9)
    assert (atoms.get_array("u_angstrom") == 0.06).all()

"""Tiles, and what is true of a position in them."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from ronchi.schema import fourd
from ronchi_simulate.params.graphene4d import Graphene4dParams
from ronchi_simulate.simulators.graphene4d import sheet
from ronchi_simulate.specimens.graphene import BOND_ANGSTROM
from ronchi_simulate.specimens.mosaic_truth import mosaic_truth, place_in_cell


def test_truth_names_the_nearest_atom_and_the_place_in_the_cell() -> None:
    params = Graphene4dParams(defects=(("none", "none"), ("none", "none")))
    mosaic, places = sheet(params, np.random.default_rng(3))
    truth = mosaic_truth(mosaic, places, fourd.make(np.zeros((20, 20, 2, 2), "f4")), 6, ("none",))
    vector = np.stack([truth["nn_dy"], truth["nn_dx"]], -1)
    np.testing.assert_allclose(np.hypot(*vector.T), truth["nn_distance"].values.T, atol=1e-6)
    atoms = mosaic.atoms().positions[:, 1::-1]
    assert cKDTree(atoms).query((places + vector).reshape(-1, 2))[0].max() < 1e-5
    # No point of a hexagon is further from an atom than its centre.
    assert truth["nn_distance"].max() <= BOND_ANGSTROM
    tile = truth["tile"].values
    for number, grain in enumerate(mosaic.grains):
        cell = place_in_cell(grain, (places + vector)[tile == number])
        sublattice = truth["sublattice"].values[tile == number]
        # Atoms stand at one and two thirds of the long diagonal of the cell.
        np.testing.assert_allclose(cell, np.repeat((sublattice[:, None] + 1) / 3, 2, 1), atol=1e-5)
    assert np.isinf(truth["defect_distance"]).all()
    assert truth["angle"].attrs["n_fold"] == 6
    np.testing.assert_allclose(np.rad2deg(truth["angle"].values[::10, ::10]), [[5, 18], [31, 44]], rtol=1e-6)


def test_truth_of_a_scan_that_was_moved_is_that_of_where_its_probes_are() -> None:
    """Without margins three steps to the right are three columns: into the next tile, to its lattice and its defect."""
    one_row = {"scan_shape": (2, 8), "rotation_deg": ((0.0, 20.0),), "defects": (("none", "vacancy"),)}
    wide = {"scan_step_angstrom": (1.0, 1.0), "margin_angstrom": 0.0}
    truths = []
    for start in (0.0, 3.0):
        params = Graphene4dParams(**one_row, **wide, scan_start_angstrom=(0.0, start))
        mosaic, places = sheet(params, np.random.default_rng(0))
        truths.append(mosaic_truth(mosaic, places, fourd.make(np.zeros((2, 8, 2, 2), "f4")), 6, ("none", "vacancy")))
    still, moved = truths
    assert moved["tile"].values[0].tolist() == [0] + [1] * 7
    for name in ("tile", "rotation", "angle", "label", "defect_type", "cell_1", "cell_2", "defect_distance"):
        np.testing.assert_allclose(moved[name][:, :-3], still[name][:, 3:], atol=1e-5, err_msg=name)


def test_crystals_meet_without_atoms_too_close() -> None:
    params = Graphene4dParams(margin_angstrom=0, scan_shape=(40, 40), scan_step_angstrom=(0.5, 0.5))
    mosaic, places = sheet(params, np.random.default_rng(0))
    atoms = mosaic.atoms()
    assert cKDTree(atoms.positions).query(atoms.positions, 2)[0][:, 1].min() >= 1.1
    # Of two atoms in a cell few are lost at the boundaries.
    density = len(atoms) / atoms.cell.lengths()[:2].prod() * (1.5 * np.sqrt(3) * BOND_ANGSTROM**2) / 2
    assert 0.96 < density < 1.01
    np.testing.assert_allclose(np.diff(places[0, :, 1]), 0.5, rtol=1e-9)
    assert (atoms.get_array("u_angstrom") == 0.06).all()

"""Sheets of carbon and their defects."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial import cKDTree

from ronchi_simulate.params.graphene import Defect
from ronchi_simulate.params.graphene4d import Graphene4dParams
from ronchi_simulate.params.graphene_pairs import GraphenePairsParams
from ronchi_simulate.simulators.graphene_pairs import turned_sheets
from ronchi_simulate.specimens.graphene import BOND_ANGSTROM, DEFECTS, graphene, with_defect
from ronchi_simulate.specimens.mosaic import Grain

CENTRE = np.array([20.0, 20.0])


def flake(rotation_deg: float = 0.0) -> Grain:
    return graphene(rotation_deg, CENTRE, np.zeros(2), np.full(2, 40.0), 0.06)


def around(grain: Grain, place: np.ndarray, n: int) -> np.ndarray:
    """(n, 2) vectors (x, y) to the nearest atoms."""
    found = cKDTree(grain.positions_angstrom[:, :2]).query(place, n)[1]
    return grain.positions_angstrom[found, :2] - place


@pytest.mark.parametrize("rotation_deg", [0.0, 17.0])
def test_a_hexagon_lies_around_the_origin_at_the_rotation(rotation_deg: float) -> None:
    six = around(flake(rotation_deg), CENTRE, 6)
    np.testing.assert_allclose(np.hypot(*six.T), BOND_ANGSTROM, rtol=1e-9)
    # Zigzag along x: atoms 30 degrees off it.
    direction = np.rad2deg(np.arctan2(six[:, 1], six[:, 0]))
    np.testing.assert_allclose((direction - rotation_deg) % 60, 30, atol=1e-9)


def test_every_atom_has_three_neighbours_of_the_other_sublattice() -> None:
    grain = flake(33.0)
    inside = (abs(grain.positions_angstrom[:, :2] - 20) < 15).all(1)
    distance, near = cKDTree(grain.positions_angstrom).query(grain.positions_angstrom[inside], 5)
    np.testing.assert_allclose(distance[:, 1:4], BOND_ANGSTROM, rtol=1e-9)
    assert distance[:, 4].min() > 2.4
    assert (grain.sublattice[near[:, 1:4]] != grain.sublattice[inside][:, None]).all()


@pytest.mark.parametrize(("kind", "lost"), [("none", 0), ("vacancy", 1), ("silicon", 0), ("silicon-4", 1)])
def test_defects_take_and_replace_atoms_where_asked(kind: Defect, lost: int) -> None:
    made = with_defect(flake(), kind, CENTRE + np.array([0.3, 1.2]))
    assert len(flake().numbers) - len(made.numbers) == lost
    assert (made.numbers == 14).sum() == kind.startswith("silicon")
    assert made.defect == DEFECTS.index(kind)
    if made.defect_angstrom is not None:
        assert np.hypot(*(made.defect_angstrom - CENTRE)) <= 2
        first = around(made, made.defect_angstrom, 5)
        bonds = np.hypot(*first.T)
        # One atom of silicon with three or four bonds of the length that it has there, or three atoms around a hole.
        expected = {"vacancy": [1.42] * 3, "silicon": [0] + [1.69] * 3, "silicon-4": [0] + [1.878] * 4}[kind]
        np.testing.assert_allclose(bonds[: len(expected)], expected, atol=2e-3)
        # No other atom before the second ring.
        assert bonds[-1] > (1.8 if kind == "silicon-4" else 2.4)


def test_strain_around_silicon_falls_off_with_distance() -> None:
    made, whole = with_defect(flake(), "silicon", CENTRE), flake()
    moved = cKDTree(whole.positions_angstrom).query(made.positions_angstrom)[0]
    distance = np.hypot(*(made.positions_angstrom[:, :2] - made.defect_angstrom).T)
    for low, high, most in ((1, 2, 0.28), (5, 6, 0.09), (12, 15, 0.035)):
        ring = (distance > low) & (distance < high)
        assert moved[ring].min() > 0
        assert moved[ring].max() < most


def test_turned_copies_are_one_object() -> None:
    turns = (0.0, 31.0, 90.0, 200.0)
    params = GraphenePairsParams(n_places=5, turns_deg=turns, rotation_deg=7.0, defect="vacancy")
    mosaic, places = turned_sheets(params, np.random.default_rng(1))
    atoms = mosaic.atoms().positions[:, 1::-1]
    for row in range(5):
        seen = []
        for column, angle in enumerate(np.deg2rad(turns)):
            near = atoms - places[row, column]
            near = near[np.hypot(*near.T) < 12]
            back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            seen.append(near @ back)
        for other in seen[1:]:
            assert len(other) == len(seen[0])
            assert cKDTree(other).query(seen[0])[0].max() < 1e-9
    np.testing.assert_array_equal(mosaic.tiles.owner(places.reshape(-1, 2)).reshape(5, 4), [[0, 1, 2, 3]] * 5)


def test_wrong_shapes_are_told() -> None:
    with pytest.raises(ValidationError, match="3 x 1 tiles"):
        Graphene4dParams(rotation_deg=((0.0,), (1.0,), (2.0,)), defects=(("none",),) * 3)
    with pytest.raises(ValidationError, match="as many rows and columns"):
        Graphene4dParams(defects=(("none", "none"),))
    with pytest.raises(ValidationError, match="rows of one length"):
        Graphene4dParams(rotation_deg=((0.0, 1.0), (2.0,)))

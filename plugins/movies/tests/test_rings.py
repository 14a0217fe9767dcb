"""Rings: perfect sheets, Stone-Wales defects, vacancies, and the true rings of simulated movies."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ronchi.api import Result
from ronchi.apply import apply
from ronchi.errors import DataError
from ronchi.schema import atoms
from ronchi_movies.network import bond_cutoff, network_of

BOND = 1.42


def sizes(points: np.ndarray, **more) -> dict[int, int]:
    found = network_of(points, more.get("cutoff", bond_cutoff([points])), 8)
    return dict(zip(*(v.tolist() for v in np.unique(found.rings, return_counts=True)), strict=True))


def rings(points: np.ndarray, **params) -> Result:
    return apply("transform", "rings", params, {"atoms": table(points)})


def table(points: np.ndarray):
    return atoms.make(frame=np.zeros(len(points)), y=points[:, 0], x=points[:, 1], units="angstrom")


def middle(points: np.ndarray) -> int:
    return int(np.argmin(np.hypot(*(points - points.mean(0)).T)))


@pytest.mark.parametrize("turn_deg", [0.0, 11.0, 45.0])
@pytest.mark.parametrize("noise", [0.0, 0.07])
def test_a_perfect_sheet_has_hexagons_alone(sheet, turn_deg, noise):
    points = sheet(12)
    c, s = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
    points = points @ np.array([[c, -s], [s, c]]) + np.random.default_rng(0).normal(0, noise, points.shape)
    # A patch of 12 x 12 cells of 2 atoms: every inner cell closes one hexagon.
    assert sizes(points) == {6: 110}


def cross(a: np.ndarray, b: np.ndarray) -> float:
    return float(a[0] * b[1] - a[1] * b[0])


def stone_wales(points: np.ndarray) -> tuple[np.ndarray, int, int]:
    """A sheet whose middle bond is turned by 90 degrees, at rest with springs; and the atoms at its ends."""
    order = np.argsort(np.hypot(*(points[:, None] - points).T), axis=1)
    length = np.sort(np.hypot(*(points[:, None] - points).T), axis=1)
    bonds = {(i, int(j)) for i in range(len(points)) for j in order[i, 1:4][length[i, 1:4] < 1.5] if i < j}
    a = middle(points)
    b = int(order[a, 1])
    arm = points[b] - points[a]
    side = {int(j): cross(arm, points[j] - points[i]) > 0 for i in (a, b) for j in order[i, 1:4] if j not in (a, b)}
    (a2,) = (j for j in order[a, 1:4].tolist() if j != b and not side[j])
    (b1,) = (j for j in order[b, 1:4].tolist() if j != a and side[j])
    bonds -= {tuple(sorted((a, a2))), tuple(sorted((b, b1)))}
    bonds |= {tuple(sorted((b, a2))), tuple(sorted((a, b1)))}
    made, centre = points.copy(), (points[a] + points[b]) / 2
    normal = np.array([-arm[1], arm[0]]) / 2
    upwards = np.sign(cross(arm, normal))
    made[a], made[b] = centre + upwards * normal, centre - upwards * normal
    i, j = np.array(sorted(bonds)).T
    near = [set() for _ in points]
    for first, other in bonds:
        near[first].add(other)
        near[other].add(first)
    second = {tuple(sorted(pair)) for some in near for pair in itertools.combinations(some, 2)}
    m, n = np.array(sorted(second)).T
    free = np.hypot(*(points - centre).T) < 9
    for _ in range(400):
        force = np.zeros_like(made)
        for first, other, rest, stiffness in ((i, j, BOND, 1.0), (m, n, BOND * np.sqrt(3), 0.2)):
            apart = made[other] - made[first]
            distance = np.hypot(*apart.T)
            pull = stiffness * (1 - rest / distance)[:, None] * apart
            np.add.at(force, first, pull)
            np.add.at(force, other, -pull)
        made[free] += 0.15 * force[free]
    return made, a, b


def test_a_stone_wales_defect_is_two_pentagons_and_two_heptagons(sheet):
    points = sheet(14)
    hexagons = sizes(points)[6]
    defect, a, b = stone_wales(points)
    assert sizes(defect) == {5: 2, 6: hexagons - 4, 7: 2}
    found = rings(defect)
    on = found.data["rings"]
    # Each end of the turned bond is on both heptagons and on one pentagon.
    for atom in (a, b):
        assert on.sel(ring_size=[5, 6, 7]).values[atom].tolist() == [1, 0, 2]
    assert int(on.sel(ring_size=5).sum()) == 10
    assert found.sides["counts"]["ring_counts"].sel(ring_size=7).values.tolist() == [2]


def test_a_vacancy_joins_three_hexagons_to_a_hole(sheet):
    points = sheet(12)
    missing = np.delete(points, middle(points), axis=0)
    found = network_of(missing, 1.9, 8)
    assert np.unique(found.rings).tolist() == [6]
    assert len(found.rings) == 110 - 3
    assert found.n_larger == 1
    # Twelve atoms around it: with larger rings allowed it is one.
    assert 12 in network_of(missing, 1.9, 12).rings
    bonds = [np.bincount(rings(each).data["bonds"].values, minlength=4) for each in (points, missing)]
    # One atom of three bonds is gone, and its three neighbours have two instead of three.
    assert (bonds[1] - bonds[0])[:4].tolist() == [0, 0, 3, -4]


def test_an_atom_inside_of_a_ring_spoils_it():
    turn = np.arange(20) * 2 * np.pi / 20
    circle = BOND / (2 * np.sin(np.pi / 20)) * np.stack([np.sin(turn), np.cos(turn)], 1)
    assert network_of(circle, 1.6, 30).rings.tolist() == [20]
    assert network_of(circle, 1.6, 12).n_larger == 1
    for inside in (np.zeros(2), circle[3] * (1 - BOND / np.hypot(*circle[3]))):  # on its own, and on one bond
        assert len(network_of(np.concatenate([circle, inside[None]]), 1.6, 30).rings) == 0


def test_a_square_lattice_has_squares():
    points = np.stack(np.meshgrid(np.arange(9.0), np.arange(7.0), indexing="ij"), -1).reshape(-1, 2)
    points = points + np.random.default_rng(0).normal(0, 0.03, points.shape)
    assert 1.1 < bond_cutoff([points]) < 1.41
    assert sizes(points) == {4: 48}


def test_the_cutoff_lies_between_first_and_second_neighbours(sheet):
    rng = np.random.default_rng(0)
    frames = [sheet(12) + rng.normal(0, 0.12, (288, 2)) for _ in range(3)]
    assert 1.1 * BOND < bond_cutoff(frames) < 1.6 * BOND
    assert bond_cutoff([10 * points for points in frames]) == pytest.approx(10 * bond_cutoff(frames))
    assert np.isnan(bond_cutoff([np.zeros((1, 2))]))


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.array([[0.0, 1.0]]), np.arange(10.0).reshape(5, 2)])
def test_few_atoms_and_atoms_on_a_line_have_no_rings(points):
    found = rings(points)
    assert found.data["rings"].values.sum() == 0


def test_positions_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="not finite"):
        rings(np.array([[0.0, np.nan], [1.0, 1.0]]))


def test_simulated_boundaries_have_the_pentagons_and_heptagons_that_the_truth_says():
    made = apply("simulator", "graphene-movie", {"n_frames": 3, "image_shape": [256, 256]}, {}, seed=1)
    truth = made.sides["truth"]
    result = apply("transform", "rings", {}, {"atoms": truth})
    found = result.data
    inside = found["rings"].values.sum(1) == 3
    odd = (found["rings"].sel(ring_size=[5, 7]).values > 0).any(1)
    assert inside.sum() > 1500
    assert truth["odd_ring"].values[inside].sum() > 50
    np.testing.assert_array_equal(odd[inside], truth["odd_ring"].values[inside] == 1)
    np.testing.assert_array_equal(found["bonds"].values[inside], truth["coordination"].values[inside])
    # Every ring of k atoms is on k atoms.
    on_atoms = found["rings"].groupby(truth["frame"]).sum().values
    counts = result.sides["counts"]
    np.testing.assert_array_equal(on_atoms, counts["ring_counts"].values * counts["ring_size"].values)
    assert (counts["n_larger"].values >= 1).all()

"""Networks: hexagons where they belong, pentagons and heptagons in between, and bonds of the right length."""

from __future__ import annotations

import numpy as np
import pytest

from ronchi_simulate.movie.network import BOND_ANGSTROM, Network, triangulate
from ronchi_simulate.movie.relax import SILICON_BOND_ANGSTROM, relax
from ronchi_simulate.movie.sheet import Sheet, make_sheet

SIZE = 90.0


def sheet(angles: tuple[float, ...]) -> Sheet:
    seeds = np.array([[25.0, 30.0], [60.0, 70.0]])[: len(angles)]
    offsets = np.array([[0.3, 0.4], [1.1, 0.2]])[: len(angles)]
    return make_sheet(np.zeros(2), np.full(2, SIZE), seeds, np.array(angles), offsets)


def inner(points: np.ndarray, margin: float = 12.0) -> np.ndarray:
    return ((points > margin) & (points < SIZE - margin)).all(1)


def bond_lengths(network: Network, positions: np.ndarray) -> np.ndarray:
    """Of the bonds of inner atoms."""
    atoms = np.flatnonzero(inner(positions))
    return np.hypot(*(positions[network.neighbours[atoms]] - positions[atoms][:, None]).reshape(-1, 2).T)


@pytest.mark.parametrize("angle", [0.0, 17.0])
def test_one_grain_is_perfect_graphene(angle: float) -> None:
    made = sheet((angle,))
    network = triangulate(made.points)
    assert (network.ring_sizes[inner(made.points)] == 6).all()
    np.testing.assert_allclose(bond_lengths(network, network.centroids), BOND_ANGSTROM, atol=1e-9)
    # A zigzag row, and with it a row of rings, lies along the angle, from x towards y.
    apart = made.points - made.points[np.argmin(np.hypot(*(made.points - SIZE / 2).T))]
    near = (np.hypot(*apart.T) > 1) & (np.hypot(*apart.T) < 3)
    directions = np.rad2deg(np.arctan2(apart[near, 0], apart[near, 1])) % 60
    np.testing.assert_allclose((directions - angle + 30) % 60 - 30, 0, atol=1e-6)


def test_grains_meet_in_pentagons_and_heptagons() -> None:
    made = sheet((3.0, 21.0))
    network = triangulate(made.turned(np.zeros(2)))
    sizes = network.ring_sizes[inner(made.points)]
    assert set(np.unique(sizes)) == {5, 6, 7}
    fives, sevens = (sizes == 5).sum(), (sizes == 7).sum()
    assert abs(int(fives) - int(sevens)) <= 1  # one may lie beyond the margin
    # Dislocations of a boundary of 18 degrees: one every 2.46 / (2 sin 9) = 7.9 angstrom, over some 80.
    assert 6 <= fives <= 14
    # All inner atoms have three bonds.
    assert (network.neighbours[inner(network.centroids)] >= 0).all()


def test_boundaries_relax_to_bonds() -> None:
    made = sheet((3.0, 21.0))
    network = triangulate(made.turned(np.zeros(2)))
    odd = (network.ring_sizes != 6)[network.corners].any(1)
    free = odd & inner(network.centroids, 6.0)
    for _ in range(4):
        free[network.neighbours[free]] = True
    positions = relax(network.centroids, network.neighbours, np.zeros(len(free), bool), free)
    before, after = (bond_lengths(network, where) for where in (network.centroids, positions))
    assert after.std() < 0.6 * before.std()
    assert np.abs(after - BOND_ANGSTROM).max() < 0.3
    np.testing.assert_array_equal(positions[~free], network.centroids[~free])


def test_silicon_pushes_its_neighbours_away() -> None:
    made = sheet((0.0,))
    network = triangulate(made.points)
    silicon = np.zeros(len(network.keys), bool)
    atom = int(np.argmin(np.hypot(*(network.centroids - SIZE / 2).T)))
    silicon[atom] = True
    free = np.hypot(*(network.centroids - network.centroids[atom]).T) < 12
    positions = relax(network.centroids, network.neighbours, silicon, free, steps=200)
    lengths = np.hypot(*(positions[network.neighbours[atom]] - positions[atom]).T)
    # The sheet gives way in part.
    assert (lengths > BOND_ANGSTROM + 0.1).all()
    assert (lengths <= SILICON_BOND_ANGSTROM).all()
    assert np.ptp(lengths) < 0.01


def test_the_same_rings_are_the_same_atom() -> None:
    made = sheet((3.0, 21.0))
    a, b = triangulate(made.turned(np.zeros(2))), triangulate(made.turned(np.array([0.4, -0.4])))
    _, i, j = np.intersect1d(a.keys, b.keys, return_indices=True)
    assert len(i) > 0.95 * len(a.keys)
    inside = inner(a.centroids[i])
    # 0.4 degrees at 50 angstrom are 0.35 angstrom.
    assert np.hypot(*(a.centroids[i] - b.centroids[j])[inside].T).max() < 1.0


def test_grains_turn_from_x_towards_y() -> None:
    made = sheet((0.0, 20.0))
    turned = made.turned(np.array([1.0, 0.0]))
    mine = (made.grain == 0) & ~made.free
    arm, moved = made.points[mine] - made.pivot[0], turned[mine] - made.pivot[0]
    angle = np.rad2deg(np.arctan2(moved[:, 0], moved[:, 1]) - np.arctan2(arm[:, 0], arm[:, 1]))
    np.testing.assert_allclose((angle + 180) % 360 - 180, 1.0, atol=1e-6)
    still = (made.grain == 1) & ~made.free
    np.testing.assert_allclose(turned[still], made.points[still], atol=1e-12)

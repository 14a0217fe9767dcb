"""The automatic basis: the same one from any order of peaks, through missing and stray ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ronchi.api import DataError
from ronchi_lattice.basis import find_basis
from ronchi_lattice.cell import canonical, reduce_cell, transform_to
from ronchi_lattice.peaklist import Peaks

from .conftest import SQUARE, Crystal

HEXAGONAL = 0.3 * np.array(
    [[np.sin(np.deg2rad(20)), np.sin(np.deg2rad(80))], [np.cos(np.deg2rad(20)), np.cos(np.deg2rad(80))]]
)
CENTRED = np.array([[0.25, -0.25], [0.177, 0.177]])
"""<111> vectors of a diamond lattice along [011]: 200, their sum, is hardly longer."""
LONG = np.array([[0.0, 0.5], [0.12, 0.01]])


def table(patterns):
    counts = [len(pattern) for pattern in patterns]
    q = np.concatenate(patterns)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return Peaks(
        q, np.tile([1e-6, 0, 1e-6], (len(q), 1)), np.ones(len(q)), offsets, np.arange(len(counts)), (1, len(counts))
    )


def crystal(G, n=60, **more):
    return Crystal(np.tile(np.eye(2), (n, 1, 1)), G, **more)


def on_one_lattice(found, G):
    """Whether two bases span the same lattice, to 2 % of a vector."""
    T = np.linalg.solve(G, found)
    return abs(T - np.rint(T)).max() < 0.02 and abs(abs(np.linalg.det(T)) - 1) < 0.05


@pytest.mark.parametrize("G", [SQUARE, HEXAGONAL, CENTRED, LONG], ids=["square", "hexagonal", "centred", "long"])
@pytest.mark.parametrize("spoilt", [{}, {"sigma": 0.005}, {"missing": 0.4, "spurious": 0.15, "sigma": 0.004}])
def test_finds_the_lattice(G, spoilt):
    patterns = crystal(G, origin=(0.06, -0.11), **spoilt).peaks(np.random.default_rng(4))
    assert on_one_lattice(find_basis(table(patterns), 5), G)


def test_one_pattern_is_enough():
    patterns = crystal(SQUARE, n=1, sigma=0.003).peaks(np.random.default_rng(0))
    assert on_one_lattice(find_basis(table(patterns), 5), SQUARE)


def test_direct_beam_missing_or_displaced_does_not_matter():
    rng = np.random.default_rng(0)
    patterns = crystal(SQUARE, origin=(0, 0)).peaks(rng)
    without = [q[np.hypot(*q.T) > 0.01] for q in patterns]
    displaced = [np.concatenate([q, [[0.1, 0.08]]]) for q in without]
    assert on_one_lattice(find_basis(table(without), 5), SQUARE)
    assert on_one_lattice(find_basis(table(displaced), 5), SQUARE)


def test_superlattice_reflections_are_part_of_the_lattice():
    fine = SQUARE / [2, 1]
    patterns = crystal(fine).peaks(np.random.default_rng(0))
    assert on_one_lattice(find_basis(table(patterns), 5), fine)


@pytest.mark.parametrize("aspect", [6.5, 9.0])
def test_rows_farther_apart_than_the_peaks_in_them_are_a_lattice(aspect):
    """Layered crystals along the layers: bismuth cuprates and MAX phases have such cells."""
    G = np.array([[0.0, 0.1 * aspect], [0.1, 0.02]])
    patterns = crystal(G, sigma=0.001).peaks(np.random.default_rng(0))
    assert on_one_lattice(find_basis(table(patterns), 5), G)


@pytest.mark.parametrize(("G", "degrees"), [(SQUARE, 18), (SQUARE, 35), (CENTRED, 14), (CENTRED, 30)])
def test_of_two_lattices_the_basis_is_that_of_one(G, degrees):
    """Turned so, they have many nodes nearly in common, and all of both lie near those of a denser lattice."""
    turn, rng = turned(degrees) @ G, np.random.default_rng(0)
    pairs = zip(*(crystal(g, sigma=0.002, missing=0.2, origin=(0, 0)).peaks(rng) for g in (G, turn)), strict=True)
    found = find_basis(table([np.concatenate(pair) for pair in pairs]), 5, n_lattices=2)
    assert on_one_lattice(found, G) or on_one_lattice(found, turn)


def test_the_order_of_the_peaks_does_not_matter():
    rng = np.random.default_rng(7)
    patterns = crystal(HEXAGONAL, sigma=0.004, missing=0.2).peaks(rng)
    first = find_basis(table(patterns), 5)
    shuffled = find_basis(table([rng.permutation(q) for q in patterns]), 5)
    np.testing.assert_array_equal(shuffled, first)


def test_no_basis_without_enough_peaks():
    assert find_basis(table([np.zeros((2, 2)), np.zeros((0, 2))]), 5) is None


def test_peaks_on_one_line_are_refused():
    line, rng = np.linspace(-1, 1, 9)[:, None] * [0.1, 0.3], np.random.default_rng(0)
    with pytest.raises(DataError, match="on one line"):
        find_basis(table([line + rng.normal(0, 1e-3, line.shape) for _ in range(20)]), 5)


def test_peaks_that_all_coincide_are_refused():
    with pytest.raises(DataError, match="no lattice explains"):
        find_basis(table([np.full((6, 2), 0.3)] * 5), 5)


def test_scattered_peaks_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="no lattice explains"):
        find_basis(table([rng.uniform(-1, 1, (30, 2)) for _ in range(200)]), 5)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(m=st.integers(-3, 3), n=st.integers(-3, 3), swap=st.booleans(), G=st.sampled_from([SQUARE, HEXAGONAL, LONG]))
def test_canonical_basis_does_not_depend_on_the_one_it_comes_from(m, n, swap, G):
    unimodular = np.array([[1, m], [0, 1]]) @ np.array([[1, 0], [n, 1]])
    other = (G @ unimodular)[:, :: -1 if swap else 1]
    np.testing.assert_allclose(canonical(other), canonical(G), atol=1e-12)


def test_canonical_basis_is_near_x_and_turns_to_y():
    for G in (SQUARE, HEXAGONAL, CENTRED, LONG):
        g1, g2 = canonical(G).T
        assert abs(np.arctan2(*g1)) <= np.deg2rad(60)
        assert g1[1] * g2[0] - g1[0] * g2[1] > 0


def test_noise_does_not_choose_between_equally_short_vectors():
    """The +-30 degrees of a hexagon that stands on its corner are a tie, which noise must not decide."""
    corner = 0.3 * np.array([[0.5, 0.5], [np.sqrt(0.75), -np.sqrt(0.75)]])
    rng = np.random.default_rng(1)
    bases = [canonical(corner + rng.normal(0, 0.003, (2, 2))) for _ in range(50)]
    assert np.ptp(bases, axis=0).max() < 0.05


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=4, max_size=4))
def test_reduced_vectors_are_the_two_shortest(entries):
    G = np.array(entries).reshape(2, 2)
    if abs(np.linalg.det(G)) < 0.05:
        return
    a, b = reduce_cell(G).T
    span = range(-4, 5)
    lengths = sorted(np.hypot(*(m * a + n * b)) for m in span for n in span if (m, n) > (0, 0))
    assert np.hypot(*a) <= lengths[0] + 1e-9
    assert abs(a @ b) <= 0.5 * min(a @ a, b @ b) + 1e-9
    assert abs(np.linalg.det([a, b])) == pytest.approx(abs(np.linalg.det(G)))


def test_transform_to_another_cell():
    T = np.array([[1, 1], [0, 1]])
    np.testing.assert_array_equal(transform_to(SQUARE, SQUARE @ T), T)
    assert transform_to(SQUARE, 0.6 * SQUARE) is None


def turned(degrees):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, -s], [s, c]])


@pytest.mark.parametrize("aspect", [1.41, 2.0, 3.0, 4.0])
def test_a_cell_turned_against_the_sample_is_still_named_by_its_own_vectors(aspect):
    """Nearest indices take g2 turned by 25 degrees for g1 + g2 where g2 is twice g1."""
    cell = np.array([[0, 0.2 * aspect], [0.2, 0]])
    for degrees in range(-80, 81, 5):
        sample = turned(degrees) @ np.array([[1.01, 0.002], [0.0, 0.995]]) @ cell
        np.testing.assert_array_equal(transform_to(cell, sample), np.eye(2), err_msg=str(degrees))


@pytest.mark.parametrize("degrees", [-40, -20, 0, 20, 40])
def test_of_the_ways_to_turn_a_square_cell_the_least_is_meant(degrees):
    np.testing.assert_array_equal(transform_to(SQUARE, turned(degrees) @ SQUARE), np.eye(2))


def test_a_slightly_tetragonal_cell_keeps_the_orientation_given():
    """A strain of 2 % makes the long axis of the sample the short one of the cell: no reason to swap them."""
    cell = np.diag([0.25, 0.255])
    np.testing.assert_array_equal(transform_to(cell, np.diag([1.02, 0.99]) @ cell), np.eye(2))


def test_a_cell_that_suits_in_two_ways_alike_is_refused():
    """Turned by 45 degrees, and strained half-way between the cell and its mirror image, either may be meant."""
    cell = np.diag([0.25, 0.28])
    assert transform_to(cell, turned(45) @ np.diag([0.265, 0.265])) is None


def test_a_cell_that_needs_more_stretch_than_a_crystal_bears_is_refused():
    assert transform_to(SQUARE, np.diag([1.3, 0.8]) @ SQUARE) is None

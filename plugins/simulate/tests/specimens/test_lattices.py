"""Atoms of crystals and sheets in boxes: all of them, each once, and no other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ronchi_simulate.specimens.lattices import fill_box, turn

TRICLINIC = np.array([[4.0, 0, 0], [1.0, 5.0, 0], [0.7, -0.9, 6.0]])
SITES = np.array([[0.1, 0.2, 0.3], [0.6, 0.6, 0.7]]) @ TRICLINIC


def turned(seed: int) -> np.ndarray:
    return Rotation.from_quat(np.random.default_rng(seed).standard_normal(4)).as_matrix().T


@given(seed=st.integers(0, 2**32), shift=st.floats(-30, 30))
@settings(max_examples=25, deadline=None)
def test_the_box_holds_every_atom_of_the_crystal_and_no_other(seed: int, shift: float) -> None:
    rotation, low, box = turned(seed), np.array([-3.0, 2.0, 0.0]), np.array([11.0, 14.0, 40.0])
    # The basis may lie outside of the cell, and the corner of the box elsewhere than at the origin.
    cell, sites = TRICLINIC @ rotation, (SITES + np.array([shift, 0, -shift])) @ rotation
    positions, number = fill_box(cell, sites, low, low + box)
    assert (positions >= low).all()
    assert (positions < low + box).all()
    for site, at in enumerate(sites):
        off = (positions[number == site] - at) @ np.linalg.inv(cell)
        np.testing.assert_allclose(off, np.round(off), atol=1e-8)
        assert len(np.unique(np.round(off).astype(int), axis=0)) == len(off)
    assert len(positions) == _count(cell, sites, low, box)


def _count(cell: np.ndarray, sites: np.ndarray, low: np.ndarray, box: np.ndarray) -> int:
    """Atoms in the box, of all cells about its middle that may reach it: planes lie 3 A apart or more, and it is 44 A
    from corner to corner."""
    planes_angstrom = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    assert planes_angstrom.min() > 3
    indices = np.stack(np.meshgrid(*[np.arange(-10, 11)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    total = 0
    for site in sites:
        middle = np.rint((low + box / 2 - site) @ np.linalg.inv(cell))
        where = site + (indices + middle) @ cell
        total += int(((where >= low) & (where < low + box)).all(axis=-1).sum())
    return total


def test_a_long_box_along_a_diagonal_is_full() -> None:
    axis = np.array([1, 1, 2]) @ TRICLINIC
    to_beam, _ = Rotation.align_vectors([[0, 0, 1]], [axis / np.linalg.norm(axis)])
    positions, _ = fill_box(to_beam.apply(TRICLINIC), to_beam.apply(SITES), [0, 0, 0], [46.0, 46.0, 500.0])
    assert len(positions) == pytest.approx(2 * 46**2 * 500 / np.linalg.det(TRICLINIC), rel=2e-3)


def test_atoms_come_cell_by_cell_the_last_index_first() -> None:
    # Alloys, phonons and noise are drawn atom by atom: another order would be another specimen.
    positions, number = fill_box(np.eye(3), [[0.1, 0.1, 0.1], [0.6, 0.6, 0.6]], [0, 0, 0], [2, 1, 2])
    assert number.tolist() == [0, 1] * 4
    np.testing.assert_allclose(positions[::2], [[0.1, 0.1, 0.1], [0.1, 0.1, 1.1], [1.1, 0.1, 0.1], [1.1, 0.1, 1.1]])


@given(angle=st.floats(-360, 360), shift=st.floats(-20, 20))
def test_a_sheet_has_its_density(angle: float, shift: float) -> None:
    vectors = np.array([[2.0, 0, 0], [0.5, 1.5, 0]]) @ turn(np.deg2rad(angle))
    where, _ = fill_box(vectors, [[shift, -shift, 1.0]], [0, 0, 0], [30, 40, 2])
    np.testing.assert_allclose(where[:, 2], 1.0)
    # Of 400; the rim counts or not, at random.
    assert len(where) == pytest.approx(30 * 40 / 3, abs=25)


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

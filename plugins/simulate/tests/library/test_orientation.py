"""Crystals lie in the beam as they are told to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ronchi_simulate.library.crystals import Crystal
from ronchi_simulate.library.orientation import beam_along, random_rotation, zone_axes

CUBIC = Crystal("A_cP1_221_a", "Po", np.eye(3) * 4.0, np.zeros((1, 3)), np.array([84]))
TRICLINIC = Crystal(
    "AB_aP2_1_a_a",
    "NaCl",
    np.array([[4.0, 0, 0], [1.0, 5.0, 0], [0.7, -0.9, 6.0]]),
    np.array([[0.1, 0.2, 0.3], [0.6, 0.6, 0.7]]),
    np.array([11, 17]),
)

turns = st.builds(lambda seed: random_rotation(np.random.default_rng(seed)), st.integers(0, 2**32))


def test_zone_axes_of_a_cube_are_distinct_by_symmetry() -> None:
    assert {tuple(sorted(map(abs, axis))) for axis in zone_axes(CUBIC, 5)} == {
        (0, 0, 1),
        (0, 1, 1),
        (1, 1, 1),
        (0, 1, 2),
        (1, 1, 2),
    }
    assert tuple(sorted(map(abs, zone_axes(CUBIC, 1)[0]))) == (0, 0, 1)
    assert zone_axes(CUBIC, 0) == []


def test_zone_axes_of_a_triclinic_cell_are_no_opposites() -> None:
    found = zone_axes(TRICLINIC, 5)
    assert len(found) == len(set(found)) == 5
    assert not {tuple(-i for i in axis) for axis in found} & set(found)


@given(angle=st.floats(0, 360), axis=st.sampled_from([(1, 0, 0), (1, -1, 2), (0, 1, 1), (2, 1, 0)]))
@settings(max_examples=30, deadline=None)
def test_the_zone_axis_points_along_the_beam(angle: float, axis: tuple[int, int, int]) -> None:
    rotation = beam_along(TRICLINIC, axis, in_plane_deg=angle)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    direction = rotation @ (np.array(axis) @ TRICLINIC.lattice_angstrom)
    np.testing.assert_allclose(direction / np.linalg.norm(direction), [0, 0, 1], atol=1e-12)


def test_a_turn_in_the_plane_goes_from_x_towards_y() -> None:
    still, turned = (beam_along(CUBIC, (0, 0, 1), in_plane_deg=angle) for angle in (0, 90))
    np.testing.assert_allclose(turned @ still.T @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_a_tilt_turns_the_zone_axis_towards_its_direction() -> None:
    rotation = beam_along(CUBIC, (0, 0, 1), tilt_mrad=(3.0, -8.0))
    axis = rotation @ [0, 0, 1]
    # Angle, not slope: they differ by a third of the cube, 2e-7 here.
    np.testing.assert_allclose(axis[:2], [-8e-3, 3e-3], atol=3e-7)

"""The field that a table of atoms is of."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from ronchi.schema import atoms
from ronchi_movies.tables import field_of


def field(frames: list[np.ndarray], units: str = "pixel", **attrs) -> list[list[float]]:
    y, x = np.concatenate(frames).T
    number = np.repeat(range(len(frames)), [len(frame) for frame in frames])
    table: xr.Dataset = atoms.make(frame=number, y=y, x=x, units=units, **attrs)
    return [side.tolist() for side in field_of(table, frames, 2.0)]


PARTICLE = 2.0 * np.stack(np.indices((4, 4)), -1).reshape(-1, 2) + [20.0, 10.0]


def test_the_images_are_the_field_of_a_particle_in_vacuum():
    assert field([PARTICLE] * 2, image_shape=[50, 40]) == [[-0.5, -0.5], [49.5, 39.5]]
    in_angstrom = {"units": "angstrom", "image_shape": [100, 80], "step_angstrom": [0.5, 0.5]}
    assert field([PARTICLE] * 2, **in_angstrom) == [[-0.25, -0.25], [49.75, 39.75]]
    assert field([PARTICLE + 100.0], image_shape=[50, 40], image_start=[100.0, 100.0])[0] == [99.5, 99.5]


def test_a_lattice_that_comes_to_the_rim_of_the_images_is_the_field_there():
    # Five spacings from the left border, three quarters of one from the right one.
    assert field([PARTICLE], image_shape=[50, 18]) == [[-0.5, -0.5], [49.5, 16.0]]


@pytest.mark.parametrize("attrs", [{}, {"image_shape": [50, 40]}, {"image_shape": [10, 40], "step_angstrom": 1.0}])
def test_images_that_do_not_hold_the_atoms_say_nothing(attrs):
    """Without the size of a pixel, or on axes that run backwards, where images end is not known."""
    assert field([PARTICLE] * 3, "angstrom", **attrs) == [[20.0, 10.0], [26.0, 16.0]]


def test_a_side_that_the_atoms_leave_and_come_to_is_vacuum():
    """A particle that walks along x has vacuum on both sides; a frame alone that sees more has not."""
    walked = [PARTICLE + np.array([0.0, 2.0 * step]) for step in range(7)]
    assert field(walked) == [[20.0, -10.0], [26.0, 48.0]]
    assert field([PARTICLE, PARTICLE, PARTICLE, PARTICLE[:4]]) == [[20.0, 10.0], [26.0, 16.0]]

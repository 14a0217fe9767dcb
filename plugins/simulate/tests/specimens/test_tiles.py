"""Where the tiles of a scan lie."""

from __future__ import annotations

import numpy as np
import pytest

from ronchi.errors import ConfigError
from ronchi_simulate.params.graphene4d import Graphene4dParams
from ronchi_simulate.specimens.tiles import Tiles


@pytest.mark.parametrize("margin", [0.0, 12.0])
def test_positions_lie_in_their_tiles_and_on_one_grid_without_a_margin(margin: float) -> None:
    tiles = Tiles(np.zeros((2, 3)), (4, 5), np.array([0.3, 0.4]), margin, 15.0)
    where = tiles.positions()
    assert where.shape == (8, 15, 2)
    tile = tiles.owner(where.reshape(-1, 2)).reshape(8, 15)
    np.testing.assert_array_equal(tile, np.arange(6).reshape(2, 3).repeat(4, 0).repeat(5, 1))
    np.testing.assert_allclose(where[tile == 4].mean(0), tiles.centre(4), atol=1e-12)
    steps = np.diff(where[..., 1], axis=1)
    assert np.ptp(steps) == pytest.approx(2 * margin, abs=1e-9)
    # Every probe has the border's width of specimen around it.
    assert where.min() >= 15
    assert (where <= tiles.size_angstrom - 15).all()


def test_tiles_of_a_scan_divide_it_and_keep_the_window_of_a_probe_inside() -> None:
    params = Graphene4dParams()
    tiles = Tiles.of(params)
    assert tiles.positions().shape == (20, 20, 2)
    assert tiles.rotation_deg.tolist() == [[5, 18], [31, 44]]
    assert tiles.border_angstrom == params.reach_angstrom == pytest.approx(15)


def test_a_scan_that_is_moved_off_the_specimen_is_refused() -> None:
    tiles = Tiles(np.zeros((1, 1)), (4, 5), np.array([0.3, 0.4]), 2.0, 15.0)
    np.testing.assert_allclose(tiles.positions((-16.0, 3.0)), tiles.positions() + np.array([-16.0, 3.0]))
    with pytest.raises(ConfigError, match="leaves the specimen"):
        tiles.positions((-18.0, 0.0))

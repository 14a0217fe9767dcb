"""Where the probe goes, and which positions are simulated together."""

from __future__ import annotations

import numpy as np

from ronchi_simulate.params.scan import ScanParams
from ronchi_simulate.scan.positions import position_blocks, scan_positions


def test_positions_are_rows_of_y_and_x() -> None:
    params = ScanParams(scan_shape=(3, 5), scan_step_angstrom=(2.0, 3.0), scan_start_angstrom=(1.0, 7.0))
    where = scan_positions(params)
    assert where.shape == (3, 5, 2)
    np.testing.assert_array_equal(where[0, 0], [1, 7])
    np.testing.assert_array_equal(where[0, 1], [1, 10])
    np.testing.assert_array_equal(where[1, 0], [3, 7])


def test_a_block_has_one_tilt_and_every_position_is_in_one() -> None:
    tilts = np.tile([[1.0, 2.0], [0.0, 5.0], [1.0, 2.0]], (4, 1))
    blocks = list(position_blocks(tilts, 3))
    assert sorted(np.concatenate(blocks)) == list(range(12))
    for block in blocks:
        assert 1 <= len(block) <= 3
        assert (tilts[block] == tilts[block[0]]).all()
    assert blocks[0].tolist() == [0, 2, 3], "in the order of the scan"

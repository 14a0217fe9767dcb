"""Where the probe goes."""

from __future__ import annotations

import numpy as np

from ronchi_simulate.params.scan import ScanParams
from ronchi_simulate.scan.positions import scan_positions


def test_positions_are_rows_of_y_and_x() -> None:
    params = ScanParams(scan_shape=(3, 5), scan_step_angstrom=(2.0, 3.0), scan_start_angstrom=(1.0, 7.0))
    where = scan_positions(params)
    assert where.shape == (3, 5, 2)
    np.testing.assert_array_equal(where[0, 0], [1, 7])
    np.testing.assert_array_equal(where[0, 1], [1, 10])
    np.testing.assert_array_equal(where[1, 0], [3, 7])

"""Simulated pixels in those of a detector."""

from __future__ import annotations

import numpy as np
import pytest

from ronchi_simulate.scan.binning import bin_patterns


@pytest.mark.parametrize("shape", [(6, 7), (5, 8)])
@pytest.mark.parametrize("binning", [2, 3, 4])
def test_binning_keeps_the_origin_and_the_sum(binning: int, shape: tuple[int, int]) -> None:
    larger = tuple(binning * (n + 1) for n in shape)
    centre = tuple(n // 2 for n in larger)
    fine = np.zeros((1, *larger), np.float32)
    fine[0, centre[0], centre[1]] = 1
    # As much on either side: what is symmetric stays symmetric.
    for step in range(1, binning):
        fine[0, centre[0] + step, centre[1]] = fine[0, centre[0] - step, centre[1]] = 2
    coarse = bin_patterns(fine, shape, binning)
    assert coarse.shape == (1, *shape)
    assert coarse.sum() == pytest.approx(fine.sum())
    row, column = np.array(np.indices(shape) * coarse[0]).sum((1, 2)) / coarse.sum()
    assert (row, column) == pytest.approx((shape[0] // 2, shape[1] // 2))

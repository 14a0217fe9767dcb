"""Disks with light in them, and dark lattice points."""

from __future__ import annotations

import numpy as np
import pytest

from ronchi_fcunet.light import LEAST_LIT, lit


@pytest.mark.parametrize("shape", [(64, 64), (61, 52)])
def test_light_counts_within_the_disk_and_not_beside_it(shape: tuple[int, int]) -> None:
    y, x = np.mgrid[: shape[0], : shape[1]]
    probe = np.hypot(y - shape[0] // 2, x - shape[1] // 2) < 3.0
    pattern = np.zeros(shape, np.float32)
    pattern[20, 30] = 1.0
    steps = np.array([(dy, dx) for dy in range(-4, 5) for dx in range(-4, 5)])
    inside = np.hypot(*steps.T) < 3.0
    np.testing.assert_array_equal(lit(pattern, probe * 0.1, np.array([20, 30]) + steps), inside)


def test_a_disk_needs_its_share_of_the_beam() -> None:
    pattern = np.zeros((32, 32), np.float32)
    pattern[16, 16], pattern[8, 8], pattern[24, 8] = 1e5, 1.2e5 * LEAST_LIT, 0.8e5 * LEAST_LIT
    probe = np.zeros((32, 32))
    probe[16, 16] = 1.0
    places = np.array([[16, 16], [8, 8], [24, 8], [4, 4]])
    assert lit(pattern, probe, places).tolist() == [1, 1, 0, 0]
    assert lit(7 * pattern, probe, places).tolist() == [1, 1, 0, 0]

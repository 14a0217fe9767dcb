"""What is read off the axes of images."""

from __future__ import annotations

import numpy as np
import pytest

from ronchi.schema import images
from ronchi_atomnet.frames import step_of


@pytest.mark.parametrize("shape", [(1, 1, 64), (1, 64, 1)])
def test_a_lone_row_of_pixels_is_square(shape: tuple[int, int, int]) -> None:
    assert step_of(images.make(np.ones(shape), step=(0.1, 0.1))) == pytest.approx((0.1, 0.1))

"""Bad pixels are filled from their neighbours, whatever the layout of the frames."""

from __future__ import annotations

import numpy as np
import pytest

from ronchi.bad_pixels import BadPixelFill, without_bad_pixels
from ronchi.errors import DataError


@pytest.mark.parametrize("order", ["C", "F", "transposed"])
def test_a_plane_is_filled_in_any_layout(order: str) -> None:
    y, x = np.mgrid[:12, :12]
    plane = (3.0 * y + 3.0 * x).astype(np.float32)
    bad = np.zeros((12, 12), bool)
    bad[5, 5] = True
    frames = np.repeat(np.where(bad, 999, plane)[None], 2, 0)
    if order == "F":
        frames = np.asfortranarray(frames)
    elif order == "transposed":
        frames = frames.transpose(0, 2, 1)
    filled = BadPixelFill(bad)(frames)
    np.testing.assert_allclose(filled, np.repeat(plane[None], 2, 0), atol=1e-4)
    assert frames[0, 5, 5] == 999


def test_no_frames_are_filled_without_complaint() -> None:
    bad = np.eye(4, dtype=bool)
    assert BadPixelFill(bad)(np.zeros((0, 4, 4))).shape == (0, 4, 4)


def test_a_detector_of_bad_pixels_is_refused() -> None:
    with pytest.raises(DataError, match="every pixel is marked bad"):
        BadPixelFill(np.ones((3, 3), bool))


def test_a_beam_stop_is_left_as_it_is() -> None:
    image, bad = np.ones((20, 20)), np.zeros((20, 20), bool)
    bad[4:14, 4:14] = True
    image[bad] = 7.0
    filled = without_bad_pixels(image, bad)
    assert filled[9, 9] == 7.0
    assert filled[4, 9] == pytest.approx(1.0)

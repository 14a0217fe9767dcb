"""Bad pixels are filled from their neighbours, whatever the layout of the frames."""

from __future__ import annotations

import numpy as np
import pytest

from ronchi.bad_pixels import BadPixelFill
from ronchi.disk import without_bad_pixels
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


def test_a_frame_is_filled_alike_whatever_the_block() -> None:
    """To the last bit, for a result must not depend on the size of blocks."""
    rng = np.random.default_rng(0)
    frames, bad = rng.gamma(2, 30, (7, 40, 50)).astype(np.float32), rng.random((40, 50)) < 0.1
    fill = BadPixelFill(bad)
    for length in (1, 2, 3):
        parts = [fill(frames[start : start + length]) for start in range(0, 7, length)]
        np.testing.assert_array_equal(np.concatenate(parts), fill(frames))


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i2", "f4", "f8"])
def test_the_stored_type_is_kept_and_the_largest_count_too(dtype: str) -> None:
    kind = np.dtype(dtype)
    high = np.iinfo(kind).max if kind.kind in "iu" else 1e30
    frames, bad = np.full((2, 3, 9, 9), high, kind), np.eye(9, dtype=bool)
    filled = BadPixelFill(bad).stored(frames)
    assert filled.dtype == kind
    np.testing.assert_allclose(filled, frames, rtol=0 if kind.kind in "iu" else 3e-7)


def test_a_mask_of_no_bad_pixels_changes_nothing() -> None:
    frames = np.random.default_rng(0).random((2, 5, 6), np.float32)
    np.testing.assert_array_equal(BadPixelFill(np.zeros((5, 6), bool))(frames), frames)


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

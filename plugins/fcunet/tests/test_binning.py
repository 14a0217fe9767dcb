"""Binned patterns have their disks where the large ones have them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ronchi.api import PeakBatch
from ronchi_fcunet.binning import binned, binned_template, unbinned


def _spot(shape: tuple[int, int], y: float, x: float) -> NDArray[np.float32]:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 3.0**2)).astype(np.float32)


def _mean(image: NDArray[np.float32]) -> tuple[float, float]:
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return float((rows * image).sum() / image.sum()), float((columns * image).sum() / image.sum())


@settings(max_examples=30, deadline=None)
@given(factor=st.integers(2, 4), y=st.floats(16, 40), x=st.floats(16, 40))
def test_there_and_back(factor: int, y: float, x: float) -> None:
    row, column = _mean(binned(_spot((60, 62), y, x)[None], factor)[0])
    ones = np.ones(1, np.float32)
    peaks = PeakBatch(
        counts=np.ones(1, np.int32),
        qy_px=np.array([row]),
        qx_px=np.array([column]),
        intensity=ones,
        score=ones,
        var_yy=ones,
        var_yx=0 * ones,
        var_xx=ones,
        flags=np.zeros(1, np.uint16),
    )
    back = unbinned(peaks, factor)
    # The spot is cut by less than a thousandth.
    assert (back.qy_px[0], back.qx_px[0]) == pytest.approx((y, x), abs=0.02)
    assert back.var_yy[0] == factor**2


@pytest.mark.parametrize("shape", [(64, 60), (63, 66), (65, 61)])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_template_stays_in_the_middle(shape: tuple[int, int], factor: int) -> None:
    small = binned_template(_spot(shape, shape[0] // 2, shape[1] // 2), factor)
    assert small.shape == (shape[0] // factor, shape[1] // factor)
    assert _mean(small) == pytest.approx((small.shape[0] // 2, small.shape[1] // 2), abs=0.02)


def test_no_count_is_lost() -> None:
    frames = np.random.default_rng(0).poisson(5, (3, 12, 15)).astype(np.uint16)
    assert np.array_equal(binned(frames, 3).sum((1, 2)), frames.sum((1, 2)))

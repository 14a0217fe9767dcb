"""Simulated pixels summed into those of a detector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["bin_patterns"]

Frames = NDArray[np.float32]


def bin_patterns(fine: Frames, shape: tuple[int, int], binning: int) -> Frames:
    """Sum simulated pixels into those of a detector, q = 0 in the middle of the pixel N // 2 before and after.

    Parameters
    ----------
    fine : (n, my, mx) float32
        At least ``binning * (N + 1)`` pixels along each axis.
    shape : tuple of int
        Rows and columns N of the detector.
    binning : int
        Of an even number, the pixels on the border between two detector pixels belong to both by half.

    Returns
    -------
    (n, ny, nx) float32
    """
    weight = np.ones(binning + 1 - binning % 2, np.float32)
    if binning % 2 == 0:
        weight[[0, -1]] = 0.5
    rows, columns = (
        slice(start := m // 2 - binning * (n // 2) - binning // 2, start + binning * (n - 1) + len(weight))
        for m, n in zip(fine.shape[1:], shape, strict=True)
    )
    windows = np.lib.stride_tricks.sliding_window_view(fine[:, rows, columns], (len(weight),) * 2, axis=(1, 2))
    summed: Frames = np.einsum("nyxij,i,j->nyx", windows[:, ::binning, ::binning], weight, weight, optimize=True)
    return summed

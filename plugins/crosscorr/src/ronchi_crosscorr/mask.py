"""Disks that lie on bad pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ronchi_crosscorr.grid import Grid
from ronchi_crosscorr.photometry import SECTORS, Aperture

__all__ = ["bad_share"]


def bad_share(bad: NDArray[np.bool_] | None, grid: Grid, ap: Aperture) -> NDArray[np.float32]:
    """Share of bad pixels in a disk centred on each pixel of the grid, as a (my, mx) array of its used part."""
    from scipy import ndimage

    if bad is None:
        return np.zeros(grid.used, np.float32)
    k = grid.binning
    whole = bad[: grid.used[0] * k, : grid.used[1] * k].astype(float)
    blocks = whole.reshape(grid.used[0], k, grid.used[1], k).mean((1, 3))
    disk = np.zeros((2 * ap.reach + 1, 2 * ap.reach + 1))
    n = ap.start[SECTORS]
    disk[ap.dy[:n] + ap.reach, ap.dx[:n] + ap.reach] = 1
    share = ndimage.convolve(blocks, disk / disk.sum(), mode="constant")
    # Rounding must not turn a clean disk into a masked one.
    return np.where(share > 1e-6, share, 0).astype(np.float32)

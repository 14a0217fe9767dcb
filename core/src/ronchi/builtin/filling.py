"""Bad pixels: where they are marked, and their values replaced by those of their neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.builtin.chunking import as_dask

__all__ = ["bad_mask", "fill_bad", "fill_lazily"]

Mask = NDArray[np.bool_]


def bad_mask(data: xr.Dataset) -> Mask:
    """Pixels (qy, qx) that ``bad_pixel`` of ``fourd/1`` data marks; none without it."""
    if "bad_pixel" in data:
        return data["bad_pixel"].values.astype(bool)
    return np.zeros((data.sizes["qy"], data.sizes["qx"]), bool)


def fill_bad(frames: NDArray[Any], bad: Mask) -> NDArray[Any]:
    """Replace bad pixels by the median of the good ones around, in the stored type.

    Parameters
    ----------
    frames : (..., qy, qx) array
        Never written to.
    bad : (qy, qx) bool
        Windows of 5 x 5 grow by 2 until they hold a good pixel.

    Returns
    -------
    (..., qy, qx) array
    """
    filled = frames.copy()
    for y, x in np.argwhere(bad):
        reach = 2
        while True:
            window = (slice(max(y - reach, 0), y + reach + 1), slice(max(x - reach, 0), x + reach + 1))
            good = ~bad[window]
            if good.any() or reach > max(bad.shape):
                break
            reach += 1
        median = np.median(frames[(..., *window)][..., good], axis=-1)
        filled[..., y, x] = np.rint(median) if frames.dtype.kind in "iu" else median
    return filled


def fill_lazily(intensity: xr.DataArray, bad: Mask) -> xr.DataArray:
    """Patterns (scan_y, scan_x, qy, qx) with bad pixels filled as by `fill_bad` when they are read."""
    lazy = as_dask(intensity)
    return lazy.copy(data=lazy.data.map_blocks(fill_bad, bad, dtype=lazy.dtype, meta=lazy.data._meta))

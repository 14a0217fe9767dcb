"""Bad pixels: where they are marked, and their values replaced by those of their neighbours."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.bad_pixels import BadPixelFill
from ronchi.chunking import as_dask

__all__ = ["bad_mask", "fill_bad", "fill_lazily", "is_filled"]

Mask = NDArray[np.bool_]


def bad_mask(data: xr.Dataset) -> Mask:
    """Pixels (qy, qx) that ``bad_pixel`` of ``fourd/1`` data marks; none without it."""
    if "bad_pixel" in data:
        return data["bad_pixel"].values.astype(bool)
    return np.zeros((data.sizes["qy"], data.sizes["qx"]), bool)


def is_filled(data: xr.Dataset) -> bool:
    """Whether marked pixels of ``fourd/1`` data hold values of their neighbours; see `ronchi.bad_pixels.left_out`."""
    return "bad_pixel" in data and bool(data["bad_pixel"].attrs.get("filled", 0))


def fill_bad(frames: NDArray[Any], bad: Mask) -> NDArray[Any]:
    """Replace bad pixels by those around as `BadPixelFill` does, in the stored type.

    Parameters
    ----------
    frames : (..., qy, qx) array
        Never written to.
    bad : (qy, qx) bool

    Returns
    -------
    (..., qy, qx) array

    Raises
    ------
    DataError
        No pixel is good.
    """
    return _fill(bad.shape, bad.tobytes()).stored(frames) if bad.any() else frames.copy()


def fill_lazily(intensity: xr.DataArray, bad: Mask) -> xr.DataArray:
    """Patterns (scan_y, scan_x, qy, qx) with bad pixels filled as by `fill_bad` when they are read."""
    lazy, fill = as_dask(intensity), _fill(bad.shape, bad.tobytes())
    return lazy.copy(data=lazy.data.map_blocks(fill.stored, dtype=lazy.dtype, meta=lazy.data._meta))


# All steps and blocks see one mask; on a large detector its neighbours take longer to find than a block to fill.
@functools.lru_cache(maxsize=4)
def _fill(shape: tuple[int, int], mask: bytes) -> BadPixelFill:
    return BadPixelFill(np.frombuffer(mask, bool).reshape(shape))

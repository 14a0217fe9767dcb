"""Bad pixels filled from their good neighbours, so that no disk is made or moved by them; for authors of plugins."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import DataError

__all__ = ["BadPixelFill", "left_out"]

_NEIGHBOURS = 8


class BadPixelFill:
    """Replaces bad pixels by the distance-weighted mean of the nearest good ones.

    The transform `bad-pixels` fills by the same rule. The mean of the nearest keeps disks of a
    few pixels and sparse counts, which the median of a larger window takes for background. Its
    price: a hot pixel that is not marked leaks into the bad ones beside it, so mark all of them.

    Parameters
    ----------
    bad : (qy, qx) bool array
        True where the detector is not to be trusted.

    Raises
    ------
    DataError
        No pixel is good.
    """

    def __init__(self, bad: NDArray[np.bool_]) -> None:
        from scipy.spatial import cKDTree

        if bad.all():
            raise DataError("every pixel is marked bad", where="bad_pixel", fix="correct the mask: 1 means bad")
        good = np.argwhere(~bad)
        nearest = 1 + np.arange(min(_NEIGHBOURS, len(good)))
        distance, index = cKDTree(good).query(np.argwhere(bad), k=nearest)
        weights = 1 / distance**2
        self._bad = np.flatnonzero(bad)
        # One row a neighbour, the nearest first: (neighbour, bad pixel).
        self._source = np.flatnonzero(~bad)[index].T
        self._weights = (weights / weights.sum(1, keepdims=True)).T

    def __call__(self, frames: NDArray[Any]) -> NDArray[np.float32]:
        """Filled float32 copy of ``frames`` (n, qy, qx)."""
        # In any other order `reshape` would copy, and the copy would be filled.
        return self._fill(np.array(frames, np.float32, order="C"))

    def stored(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Filled copy of ``frames`` (..., qy, qx) in their own type; counts are rounded."""
        return self._fill(np.array(frames, order="C"))

    def _fill(self, filled: NDArray[Any]) -> NDArray[Any]:
        flat = filled.reshape(-1, filled.shape[-2] * filled.shape[-1])
        real = np.result_type(filled.dtype, np.float32)
        value = np.zeros((len(flat), len(self._bad)), real)
        # Neighbour by neighbour, the sum is the same to the last bit whatever the number of frames.
        for source, weight in zip(self._source, self._weights.astype(real), strict=True):
            value += flat.take(source, axis=1) * weight
        flat[:, self._bad] = np.rint(value) if filled.dtype.kind in "iu" else value
        return filled


def left_out(bad_pixel: xr.DataArray) -> NDArray[np.bool_]:
    """Pixels that a sum over patterns leaves out: those marked, or none where the marked ones have been filled.

    The transform `bad-pixels` notes with the attribute ``filled`` that marked pixels hold the values of
    their neighbours. Sums and centres of mass take those, as the user asked for; what learns from pixels or judges
    noise, or knows a model of the pattern, gains nothing from them and leaves out all that is marked.

    Parameters
    ----------
    bad_pixel : (qy, qx) DataArray
        The variable ``bad_pixel`` of ``fourd/1`` data, or that coordinate of samples.
    """
    marked: NDArray[np.bool_] = bad_pixel.values.astype(bool)
    return marked & (not bad_pixel.attrs.get("filled", 0))

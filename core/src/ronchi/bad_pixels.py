"""Bad pixels filled from their good neighbours, so that no disk is made or moved by them; for authors of detectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.api import DataError

__all__ = ["BadPixelFill", "without_bad_pixels"]

_NEIGHBOURS = 8
_FILLED_PX = 2.5
"""Bad pixels of a single image that are farther from all good ones are left: neighbours do not tell their value."""


class BadPixelFill:
    """Replaces bad pixels by the distance-weighted mean of the nearest good ones.

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
        distance, index = cKDTree(good).query(np.argwhere(bad), k=min(_NEIGHBOURS, len(good)))
        weights = 1 / distance.reshape(len(distance), -1) ** 2
        self._bad = np.flatnonzero(bad)
        self._source = np.ravel_multi_index(tuple(good[index.reshape(weights.shape)].T), bad.shape).T
        self._weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)

    def __call__(self, frames: NDArray[Any]) -> NDArray[np.float32]:
        """Filled float32 copy of ``frames`` (n, qy, qx)."""
        # In any other order `reshape` would copy, and the copy would be filled.
        filled = np.array(frames, np.float32, order="C")
        flat = filled.reshape(len(frames), filled[0].size if len(frames) else 0)
        if not len(flat):
            return filled
        flat[:, self._bad] = (flat[:, self._source] * self._weights).sum(-1)
        return filled


def without_bad_pixels(image: NDArray[Any], bad: NDArray[np.bool_] | None) -> NDArray[Any]:
    """Probe or mean pattern with its bad pixels filled, lone ones and narrow gaps, if the mask (qy, qx) is its own.

    A beam stop is left as it is: a probe that was recorded without it holds a whole disk there.
    """
    from scipy import ndimage

    if bad is None or image.shape != bad.shape or not bad.any() or bad.all():
        return image
    near = bad & (ndimage.distance_transform_edt(bad) <= _FILLED_PX)
    filled = BadPixelFill(bad)(image[None])[0]
    return np.where(near, filled, image)

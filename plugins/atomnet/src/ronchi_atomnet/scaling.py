"""Frames as the network saw them when it learned: of its pixel, with a mean of 0 and a spread of 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter

__all__ = ["normalise", "resample"]

Array = NDArray[np.float64]


def normalise(frame: Array) -> NDArray[np.float32]:
    """A frame with mean 0 and standard deviation 1, as they are without its darkest and brightest pixels.

    Up to 15 % of a frame may be bright contamination, which then decides nothing; but of a frame that is even up to
    there, as with a few atoms on black, the rest decides.
    """
    clipped = np.clip(frame, *np.quantile(frame, (0.01, 0.85)))
    spread = float(clipped.std())
    if spread <= 1e-9 * float(np.ptp(frame)):
        clipped, spread = frame, float(frame.std())
    return ((frame - clipped.mean()) / (spread if spread > 0 else 1.0)).astype(np.float32)


def resample(frame: Array, factor: float) -> Array:
    """A frame (rows, columns) with ``factor`` times as many pixels along both axes.

    The centres of the first pixels lie on each other: what is at p in the frame is at ``factor * p`` in the result.
    What finer pixels hold and coarser ones cannot is filtered out before.
    """
    if factor == 1:
        return frame
    if factor < 1:
        frame = gaussian_filter(frame, 0.5 * np.sqrt(factor**-2 - 1), mode="nearest")
    shape = tuple(max(1, round((n - 1) * factor) + 1) for n in frame.shape)
    made: Array = affine_transform(
        frame, np.full(2, 1 / factor), output_shape=shape, order=1 if factor < 1 else 3, mode="nearest"
    )
    return made

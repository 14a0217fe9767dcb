"""Patterns whose disks are larger than any that a network has learned from, made smaller and their peaks put back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.api import PeakBatch

__all__ = ["binned", "binned_template", "unbinned"]


def binned(images: NDArray[Any], factor: int) -> NDArray[np.float32]:
    """Sum ``factor`` x ``factor`` pixels of images (n, qy, qx); rows and columns that are left over at the end go."""
    n, height, width = images.shape
    rows, columns = height // factor, width // factor
    kept = images[:, : rows * factor, : columns * factor].reshape(n, rows, factor, columns, factor)
    summed: NDArray[np.float32] = kept.sum((2, 4), dtype=np.float32)
    return summed


def binned_template(template: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Bin a template (qy, qx) that is centred at N // 2 so that the small one is, too."""
    from scipy.ndimage import shift

    middles = [factor * (side // factor // 2) + (factor - 1) / 2 - side // 2 for side in template.shape]
    return binned(shift(template, middles, order=1)[None], factor)[0]


def unbinned(peaks: PeakBatch, factor: int) -> PeakBatch:
    """Peaks in pixels of the patterns as they were."""
    places = {name: factor * getattr(peaks, name) + (factor - 1) / 2 for name in ("qy_px", "qx_px")}
    return replace(
        peaks, **places, **{name: factor**2 * getattr(peaks, name) for name in ("var_yy", "var_yx", "var_xx")}
    )

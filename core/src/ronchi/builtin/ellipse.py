"""Elliptical distortion of the projector: the matrix, and its measurement on a ring."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["ellipse_matrix"]

Array = NDArray[np.float64]


def ellipse_matrix(ratio: float, angle: float) -> Array:
    """Matrix that turns a ring seen as an ellipse back into a circle of equal area.

    Parameters
    ----------
    ratio : float
        Long over short axis, as seen.
    angle : float
        Direction of the long axis in rad, from x towards y.

    Returns
    -------
    (2, 2) float64
        A of q_true = A q_measured in (y, x) order; symmetric, det 1.
    """
    along = np.array([np.sin(angle), np.cos(angle)])
    projector = np.outer(along, along)
    matrix: Array = projector / np.sqrt(ratio) + (np.eye(2) - projector) * np.sqrt(ratio)
    return matrix

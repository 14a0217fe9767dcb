"""Which axes: from measured q to undistorted q, and from the detector's axes to the scan's.

``scan_rotation_deg`` is the angle from the detector's x axis to the scan's x axis, positive from x towards y.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["apply_to_covariance", "apply_to_points", "to_scan"]

Floats = NDArray[np.float64]


def to_scan(attrs: Mapping[str, Any]) -> Floats | None:
    """(2, 2) matrix, in the order (y, x), from detector to scan components; None if the rotation is unknown."""
    angle = attrs.get("scan_rotation_deg")
    if angle is None or not np.isfinite(angle):
        return None
    c, s = np.cos(np.deg2rad(float(angle))), np.sin(np.deg2rad(float(angle)))
    return np.array([[c, -s], [s, c]])


def apply_to_points(matrix: Floats, points: Floats) -> Floats:
    """Transform (n, 2) points."""
    return points @ matrix.T


def apply_to_covariance(matrix: Floats, var: Floats) -> Floats:
    """Transform (n, 3) covariances (yy, yx, xx)."""
    (a, b), (c, d) = matrix
    yy, yx, xx = var.T
    return np.stack(
        [
            a * a * yy + 2 * a * b * yx + b * b * xx,
            a * c * yy + (a * d + b * c) * yx + b * d * xx,
            c * c * yy + 2 * c * d * yx + d * d * xx,
        ],
        axis=1,
    )

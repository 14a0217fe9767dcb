"""Which axes: from measured q to undistorted q, and from the detector's axes to the scan's.

``scan_rotation_deg`` is the angle from the detector's x axis to the scan's x axis, positive from x towards y.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.api import CalibrationError

__all__ = ["apply_to_covariance", "apply_to_points", "to_scan"]

Floats = NDArray[np.float64]


def to_scan(attrs: Mapping[str, Any]) -> Floats | None:
    """(2, 2) matrix, in the order (y, x), from detector to scan components; None if the rotation is unknown.

    Raises
    ------
    CalibrationError
        The attribute ``scan_rotation_deg`` is not one number.
    """
    given = attrs.get("scan_rotation_deg")
    angle = np.asarray(np.nan if given is None else given)
    if angle.size != 1 or angle.dtype.kind not in "iuf":
        raise CalibrationError(
            f"scan_rotation_deg is {given!r}: expected a number of degrees",
            where="peaks",
            fix="set the scan rotation with the transform `rotation`, or remove the attribute",
        )
    if not np.isfinite(angle).all():
        return None
    c, s = np.cos(np.deg2rad(angle.item())), np.sin(np.deg2rad(angle.item()))
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

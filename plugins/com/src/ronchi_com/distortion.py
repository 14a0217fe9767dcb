"""Centres of mass on an undistorted detector: the matrix of the core's ``ellipse`` step, applied to them.

The matrix A of ``q_true = A q_measured`` is linear, and so is a mean: A of the measured centre of mass is the centre of
mass of the undistorted pattern, and A of a difference that of the difference. A descan before it changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import CalibrationError

__all__ = ["undistorted"]


def undistorted(data: xr.Dataset) -> xr.Dataset:
    """Apply ``q_distortion`` to centres of mass, where there is one that has not been applied yet.

    Parameters
    ----------
    data : xarray.Dataset
        ``descriptors/1`` with the components ``com_y`` and ``com_x``. Of its attributes, ``q_distortion`` is A, four
        numbers row by row in the order (y, x), and ``q_distortion_applied`` is 1 where the numbers are undistorted.

    Returns
    -------
    xarray.Dataset
        ``z`` and, where they are, ``com_y``, ``com_x``, ``magnitude`` and ``angle`` undistorted, with the attribute
        ``q_distortion_applied``; ``data`` itself if there is nothing to apply.

    Raises
    ------
    CalibrationError
        ``q_distortion`` is not four finite numbers, or A turns the pattern inside out.
    """
    if "q_distortion" not in data.attrs or int(data.attrs.get("q_distortion_applied", 0)):
        return data
    matrix = _matrix(data.attrs)
    names = [str(name) for name in data["component"].values]
    places = [names.index("com_y"), names.index("com_x")]
    z = data["z"].values.astype(np.float64)
    z[..., places] = z[..., places] @ matrix.T
    y, x = z[..., places[0]], z[..., places[1]]
    made = {"com_y": y, "com_x": x, "magnitude": np.hypot(y, x), "angle": np.arctan2(y, x)}
    changed = {"z": data["z"].copy(data=z)}
    changed |= {name: data[name].copy(data=values) for name, values in made.items() if name in data}
    return data.assign(changed).assign_attrs(q_distortion_applied=1)


def _matrix(attrs: Mapping[str, Any]) -> NDArray[np.float64]:
    """(2, 2) matrix A."""
    values = np.asarray(attrs["q_distortion"], dtype=np.float64).ravel()
    if values.size != 4 or not np.isfinite(values).all() or values[0] * values[3] - values[1] * values[2] <= 0:
        raise CalibrationError(
            f"q_distortion is {values.tolist()}: expected a 2 x 2 matrix (y, x), row-major, of positive determinant",
            where="dpc",
            fix="repeat the distortion calibration, or remove the attribute",
        )
    return values.reshape(2, 2)

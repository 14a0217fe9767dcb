"""Centres of mass on an undistorted detector: the matrix of the core's ``ellipse`` step, applied to them.

The matrix A of ``q_true = A q_measured`` is linear, and so is a mean: A of the measured centre of mass is the centre of
mass of the undistorted pattern, and A of a difference that of the difference. A descan before it changes nothing.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from ronchi.schema.common import distortion

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
    matrix = distortion(data.attrs, "dpc")
    if matrix is None or int(data.attrs.get("q_distortion_applied", 0)):
        return data
    names = [str(name) for name in data["component"].values]
    places = [names.index("com_y"), names.index("com_x")]
    z = data["z"].values.astype(np.float64)
    z[..., places] = z[..., places] @ matrix.T
    y, x = z[..., places[0]], z[..., places[1]]
    made = {"com_y": y, "com_x": x, "magnitude": np.hypot(y, x), "angle": np.arctan2(y, x)}
    changed = {"z": data["z"].copy(data=z)}
    changed |= {name: data[name].copy(data=values) for name, values in made.items() if name in data}
    return data.assign(changed).assign_attrs(q_distortion_applied=1)

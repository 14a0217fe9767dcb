"""py4DSTEM: its names, axes and signs.

========== ============== ==========================================================
ronchi     py4DSTEM       meaning
========== ============== ==========================================================
``e_xx``   ``e_yy``       along the columns' axis, to the right
``e_yy``   ``e_xx``       along the rows' axis, downwards
``e_xy``   ``e_xy``       shear: the right angle between +x and +y closes
``theta``  ``theta``      lattice turned from +x (right) to +y (down)
========== ============== ==========================================================

py4DSTEM 0.14.18 calls the row axis x and the column axis y. Its ``e_xx = 1 - beta_xx`` with beta from g_ref to g
is infinitesimal and reciprocal: for 5 % of tension it gives 4.76 %, and 5 degrees of rotation look like 0.38 % of
strain. These errors are not reproduced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ronchi.interop.strain_maps import Maps, assemble, rename

__all__ = ["from_py4dstem", "to_py4dstem"]

STRAIN = {"e_xx": ("e_yy", 1), "e_yy": ("e_xx", 1), "e_xy": ("e_xy", 1), "theta": ("theta", 1)}
"""Their strain to ours, with the sign between them."""


def to_py4dstem(strain_ds: xr.Dataset) -> Maps:
    """Strain with py4DSTEM's names, axes and signs.

    Parameters
    ----------
    strain_ds : xarray.Dataset
        ``strain/1``, or its truth.

    Returns
    -------
    dict of (scan_y, scan_x) float64
        The slices of its strain map: ``e_xx`` (its x is the row axis), ``e_yy``, ``e_xy``, ``theta`` [rad] and
        ``mask``; where the mask is 0 the others are 0. The values are finite strain.

    Raises
    ------
    SchemaError
    """
    maps = rename(strain_ds, STRAIN)
    mask = np.all([np.isfinite(values) for values in maps.values()], axis=0)
    return {name: np.where(mask, values, 0.0) for name, values in maps.items()} | {"mask": mask.astype(np.float64)}


def from_py4dstem(maps: Mapping[str, Any], **labels: Any) -> xr.Dataset:
    """Bring the slices of a py4DSTEM strain map into our signs and axes.

    Parameters
    ----------
    maps : mapping of str to (scan_y, scan_x) array
        ``e_xx, e_yy, e_xy, theta`` and, if there is one, ``mask``; 0 in it becomes NaN.
    **labels
        ``coords``: 1-D coordinates by name, indices by default; ``frame``: ``"detector"`` (default) or
        ``"scan"``; ``reference``: what the strain is relative to, in words.

    Returns
    -------
    xarray.Dataset
        ``strain/1``; its values are py4DSTEM's, infinitesimal ones, and the attribute ``measure`` says so.

    Raises
    ------
    SchemaError
        A map is missing, or the shapes differ.
    """
    return assemble(maps, STRAIN, "infinitesimal, 1 - sym(beta), of py4DSTEM", **labels)

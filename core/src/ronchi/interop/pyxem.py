"""pyxem: its names, order and signs.

========== ============== ==========================================================
ronchi     pyxem          meaning
========== ============== ==========================================================
``e_xx``   ``e11``        along the columns' axis, to the right
``e_yy``   ``e22``        along the rows' axis, downwards
``e_xy``   ``-e12``       shear: the right angle between +x and +y closes
``theta``  ``theta``      lattice turned from +x (right) to +y (down)
========== ============== ==========================================================

pyxem 0.21 decomposes the inverse deformation: its normal strains are turned back to real space, its shear is not
(hence the sign), and its axes turn with the lattice. These errors are not reproduced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from ronchi.interop.strain_maps import Maps, assemble, rename

__all__ = ["from_pyxem", "to_pyxem"]

STRAIN = {"e11": ("e_xx", 1), "e22": ("e_yy", 1), "e12": ("e_xy", -1), "theta": ("theta", 1)}
"""Their strain to ours, with the sign between them."""


def to_pyxem(strain_ds: xr.Dataset) -> Maps:
    """Strain with pyxem's names, order and signs.

    Returns
    -------
    dict of (scan_y, scan_x) float64
        ``e11``, ``e22``, ``e12`` (of the sign opposite to ours) and ``theta`` [rad], NaN where unfit. The values
        are finite strain on fixed axes.

    Raises
    ------
    SchemaError
    """
    return rename(strain_ds, STRAIN)


def from_pyxem(maps: Mapping[str, Any], **labels: Any) -> xr.Dataset:
    """Bring the maps ``e11, e22, e12, theta`` of pyxem into our signs and axes.

    Parameters
    ----------
    maps : mapping of str to (scan_y, scan_x) array
    **labels
        ``coords``: 1-D coordinates by name, indices by default; ``frame``: ``"detector"`` (default) or
        ``"scan"``; ``reference``: what the strain is relative to, in words.

    Returns
    -------
    xarray.Dataset
        ``strain/1``; its values are pyxem's, and the attribute ``measure`` says so.

    Raises
    ------
    SchemaError
        A map is missing, or the shapes differ.
    """
    return assemble(maps, STRAIN, "polar decomposition of the inverse deformation, of pyxem", **labels)

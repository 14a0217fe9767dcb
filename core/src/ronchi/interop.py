"""Strain in the signs and axes of other programs, and back.

What differs is the name of the axes and the sign of the shear; both programs also compute other strain
measures. Only signs and axes are mapped here: the numbers stay finite Biot strain, ``U - I`` of ``F = R U``.

========== ============== ============== ==========================================================
ronchi     py4DSTEM       pyxem          meaning
========== ============== ============== ==========================================================
``e_xx``   ``e_yy``       ``e11``        along the columns' axis, to the right
``e_yy``   ``e_xx``       ``e22``        along the rows' axis, downwards
``e_xy``   ``e_xy``       ``-e12``       shear: the right angle between +x and +y closes
``theta``  ``theta``      ``theta``      lattice turned from +x (right) to +y (down)
========== ============== ============== ==========================================================

py4DSTEM 0.14.18 calls the row axis x and the column axis y. Its ``e_xx = 1 - beta_xx`` with beta from g_ref to g
is infinitesimal and reciprocal: for 5 % of tension it gives 4.76 %, and 5 degrees of rotation look like 0.38 % of
strain. pyxem 0.21 decomposes the inverse deformation: its normal strains are turned back to real space, its
shear is not (hence the sign), and its axes turn with the lattice. These errors are not reproduced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.errors import SchemaError
from ronchi.schema import strain
from ronchi.schema.common import variable

__all__ = ["from_py4dstem", "from_pyxem", "to_py4dstem", "to_pyxem"]

Maps = dict[str, NDArray[np.float64]]

_PY4DSTEM = {"e_xx": ("e_yy", 1), "e_yy": ("e_xx", 1), "e_xy": ("e_xy", 1), "theta": ("theta", 1)}
_PYXEM = {"e11": ("e_xx", 1), "e22": ("e_yy", 1), "e12": ("e_xy", -1), "theta": ("theta", 1)}


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
    maps = _rename(strain_ds, _PY4DSTEM)
    mask = np.all([np.isfinite(values) for values in maps.values()], axis=0)
    return {name: np.where(mask, values, 0.0) for name, values in maps.items()} | {"mask": mask.astype(np.float64)}


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
    return _rename(strain_ds, _PYXEM)


def from_py4dstem(maps: Mapping[str, Any], **labels: Any) -> xr.Dataset:
    """Bring the slices of a py4DSTEM strain map into our signs and axes.

    Parameters
    ----------
    maps : mapping of str to (scan_y, scan_x) array
        ``e_xx, e_yy, e_xy, theta`` and, if there is one, ``mask``; 0 in it becomes NaN.
    **labels
        ``coords``, ``frame`` and ``reference`` as in `from_pyxem`.

    Returns
    -------
    xarray.Dataset
        ``strain/1``; its values are py4DSTEM's, infinitesimal ones, and the attribute ``measure`` says so.

    Raises
    ------
    SchemaError
        A map is missing, or the shapes differ.
    """
    return _assemble(maps, _PY4DSTEM, "infinitesimal, 1 - sym(beta), of py4DSTEM", **labels)


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
    return _assemble(maps, _PYXEM, "polar decomposition of the inverse deformation, of pyxem", **labels)


def _rename(strain_ds: xr.Dataset, table: Mapping[str, tuple[str, int]]) -> Maps:
    strain.validate(strain_ds)
    return {theirs: sign * np.asarray(strain_ds[ours].values, np.float64) for theirs, (ours, sign) in table.items()}


def _assemble(
    maps: Mapping[str, Any],
    table: Mapping[str, tuple[str, int]],
    measure: str,
    *,
    coords: dict[str, xr.Variable] | None = None,
    frame: str = "detector",
    reference: str = "unknown",
) -> xr.Dataset:
    missing = [name for name in table if name not in maps]
    if missing:
        raise SchemaError(
            f"the maps {', '.join(missing)} are missing (found: {', '.join(maps) or 'nothing'})", where="strain maps"
        )
    components = {ours: sign * np.array(maps[theirs], np.float64) for theirs, (ours, sign) in table.items()}
    shapes = {values.shape for values in components.values()}
    if len(shapes) != 1 or len(shape := shapes.pop()) != 2:
        raise SchemaError("the maps are not 2-D arrays of one shape (scan_y, scan_x)", where="strain maps")
    valid = np.all([np.isfinite(values) for values in components.values()], axis=0)
    valid &= np.asarray(maps.get("mask", 1)) != 0
    return strain.make(
        {name: np.where(valid, values, np.nan) for name, values in components.items()},
        dict.fromkeys(components, np.full(shape, np.nan)),
        residual=np.full(shape, np.nan),
        n_used=np.zeros(shape, np.int32),
        valid=valid,
        residual_units="pixel",
        frame=frame,
        reference=reference,
        coords=coords
        or {
            dim: variable(dim, np.arange(n, dtype=float), "pixel", f"scan position, {dim[-1]}")
            for dim, n in zip(("scan_y", "scan_x"), shape, strict=True)
        },
        attrs={"measure": measure},
    )

"""Strain maps in the signs and axes of another program, from a table of names and signs.

What differs is the name of the axes and the sign of the shear; the programs also compute other strain measures.
Only signs and axes are mapped: the numbers stay finite Biot strain, ``U - I`` of ``F = R U``.
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

__all__ = ["Maps", "Table", "assemble", "rename"]

Maps = dict[str, NDArray[np.float64]]
"""(scan_y, scan_x) arrays by name."""

Table = Mapping[str, tuple[str, int]]
"""Their name of a component to ours, and the sign between them."""


def rename(strain_ds: xr.Dataset, table: Table) -> Maps:
    """The components of ``strain/1``, or of its truth, by their names and in their signs.

    Raises
    ------
    SchemaError
    """
    strain.validate(strain_ds)
    return {theirs: sign * np.asarray(strain_ds[ours].values, np.float64) for theirs, (ours, sign) in table.items()}


def assemble(
    maps: Mapping[str, Any],
    table: Table,
    measure: str,
    *,
    coords: dict[str, xr.Variable] | None = None,
    frame: str = "detector",
    reference: str = "unknown",
) -> xr.Dataset:
    """Bring maps with their names and signs into ours.

    Parameters
    ----------
    maps : mapping of str to (scan_y, scan_x) array
        The components, and ``mask`` if there is one; 0 in it becomes NaN.
    measure : str
        What the numbers are, in words; becomes an attribute.
    coords : dict, optional
        1-D coordinates by name, indices by default.
    frame : {"detector", "scan"}
    reference : str
        What the strain is relative to, in words.

    Raises
    ------
    SchemaError
        A map is missing, or the shapes differ.
    """
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

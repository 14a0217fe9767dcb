"""What is known of every position of a scan over tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ronchi.schema import descriptors
from ronchi.schema.common import variable
from ronchi_simulate.specimens.mosaic import Grain, Mosaic

__all__ = ["mosaic_truth", "place_in_cell"]

Floats = NDArray[np.float64]
_DIMS = ("scan_y", "scan_x")


def place_in_cell(grain: Grain, where: Floats) -> Floats:
    """(n, 2) places in the projected cell along its two vectors, from 0 to 1, of points (n, 2) in (y, x) angstrom."""
    fractions: Floats = (where[:, ::-1] - grain.origin_angstrom) @ np.linalg.inv(grain.vectors_angstrom)
    return fractions % 1


def mosaic_truth(
    mosaic: Mosaic, places: Floats, scan: xr.Dataset, n_fold: int, defect_kinds: Sequence[str]
) -> xr.Dataset:
    """Describe the specimen at every position.

    Parameters
    ----------
    mosaic : Mosaic
    places : (scan_y, scan_x, 2) float64
        Positions (y, x) in angstrom of the specimen.
    scan : xarray.Dataset
        The recorded scan, of which the coordinates are taken.
    n_fold : int
        Rotation symmetry of the projected lattice.
    defect_kinds : sequence of str
        Names of the kinds of defects; the first is none.

    Returns
    -------
    xarray.Dataset
        ``descriptors/1``: ``z`` is the vector (y, x) from the probe to the nearest column of atoms, ``angle`` the
        rotation of the lattice, ``label`` the tile that it stands in.
    """
    flat, shape = places.reshape(-1, 2), places.shape[:2]
    owner = mosaic.tiles.owner(flat)
    columns = mosaic.atoms().positions[:, 1::-1]
    distance, nearest = cKDTree(columns).query(flat)
    offset = columns[nearest] - flat
    cell, far = np.empty_like(flat), np.full(len(flat), np.inf)
    for number, grain in enumerate(mosaic.grains):
        mine = owner == number
        cell[mine] = place_in_cell(grain, flat[mine])
        if grain.defect_angstrom is not None:
            far[mine] = np.hypot(*(flat[mine, ::-1] - grain.defect_angstrom).T)
    rotation = mosaic.tiles.rotation_deg.ravel()[owner].reshape(shape)
    kind = np.array([grain.defect for grain in mosaic.grains])[owner]

    def held(values: Any, units: str, long_name: str, dtype: type = np.float32, **attrs: Any) -> xr.Variable:
        return variable(_DIMS, np.asarray(values, dtype).reshape(shape), units, long_name, **attrs)

    return descriptors.make(
        offset.astype(np.float32).reshape(*shape, 2),
        dims=_DIMS,
        component=["nn_dy", "nn_dx"],
        units="angstrom",
        angle=np.deg2rad(rotation).astype(np.float32),
        n_fold=n_fold,
        label=owner.reshape(shape),
        attrs={"is_truth": 1},
        coords={dim: scan[dim].variable for dim in _DIMS},
        rotation=held(rotation, "degree", "rotation of the tile's lattice, from x towards y"),
        tile=held(owner, "1", "tile", np.int16),
        specimen_y=held(flat[:, 0], "angstrom", "probe in the specimen, y"),
        specimen_x=held(flat[:, 1], "angstrom", "probe in the specimen, x"),
        nn_dy=held(offset[:, 0], "angstrom", "from the probe to the nearest column of atoms, y"),
        nn_dx=held(offset[:, 1], "angstrom", "from the probe to the nearest column of atoms, x"),
        nn_distance=held(distance, "angstrom", "from the probe to the nearest column of atoms"),
        sublattice=held(mosaic.sublattice()[nearest], "1", "sublattice of the nearest column; -1: none", np.int8),
        cell_1=held(cell[:, 0], "1", "place in the tile's projected cell along its first vector"),
        cell_2=held(cell[:, 1], "1", "place in the tile's projected cell along its second vector"),
        defect_distance=held(far, "angstrom", "from the probe to the tile's defect; inf if it has none"),
        defect_type=held(
            kind,
            "1",
            "kind of the tile's defect",
            np.int8,
            flag_values=np.arange(len(defect_kinds), dtype=np.int8),
            flag_meanings=" ".join(defect_kinds),
        ),
    )

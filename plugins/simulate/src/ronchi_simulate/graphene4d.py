"""The simulator ``graphene4d``: scanned graphene, or one piece of it turned by known angles."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context, Result
from ronchi.schema.common import variable
from ronchi_simulate.params_graphene4d import Graphene4dParams
from ronchi_simulate.scan import record_scan
from ronchi_simulate.specimens import graphene
from ronchi_simulate.specimens.mosaic import Mosaic, Tiles
from ronchi_simulate.specimens.mosaic_truth import mosaic_truth

__all__ = ["Graphene4d", "sheet", "turned_sheets"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_DIMS = ("scan_y", "scan_x")
_OFF_AXES = np.array([0.3, 0.8])
"""A direction between the axes of a hexagon."""
_LEAST_ANGSTROM = 1.1
"""Atoms of two grains closer than this would not both be there: bonds in boundaries are 1.3 A and longer."""


class Graphene4d:
    """Simulator ``graphene4d``.

    Parameters
    ----------
    params : Graphene4dParams
    """

    def __init__(self, params: Graphene4dParams) -> None:
        self.params = params

    def simulate(self, ctx: Context) -> Result:
        """Make the scan with the side ``truth``."""
        p = self.params
        mosaic, places, tile = turned_sheets(p, ctx.rng) if p.turns_deg else sheet(p, ctx.rng)
        title = "graphene: a row one place, a column the object turned" if p.turns_deg else "graphene in rotated tiles"
        flat = places.reshape(-1, 2)
        defocus = p.defocus_angstrom
        data = record_scan(mosaic.atoms(), p, ctx, positions_angstrom=flat, title=title, defocus_angstrom=defocus)
        if p.turns_deg:
            names = {"scan_y": "number of the place", "scan_x": "number of the turn"}
            numbers = {dim: variable(dim, np.arange(data.sizes[dim]), "pixel", name) for dim, name in names.items()}
            data = data.assign_coords(numbers)
        truth = mosaic_truth(mosaic, places, tile, data, graphene.N_FOLD, graphene.DEFECTS)
        return Result(data, {"truth": _of_turns(truth, p) if p.turns_deg else truth})


def sheet(params: Graphene4dParams, rng: np.random.Generator) -> tuple[Mosaic, Floats, Ints]:
    """Tiles with lattices at random places.

    Returns
    -------
    Mosaic
    (scan_y, scan_x, 2) float64
        Positions (y, x) of the probe in angstrom of the specimen.
    (scan_y, scan_x) int64
        Tile of each.
    """
    tiles = Tiles(
        np.array(params.rotation_deg),
        params.tile_scan_shape,
        np.array(params.scan_step_angstrom),
        params.margin_angstrom,
        params.reach_angstrom,
    )
    middles = np.array([tiles.centre(k) for k in range(tiles.rotation_deg.size)])
    origins = middles + rng.uniform(-1, 1, middles.shape) * graphene.BOND_ANGSTROM
    places, tile = tiles.positions()
    mosaic = _filled(tiles, origins, middles, params, sum(params.defects, ()))
    return mosaic, places + params.scan_start_angstrom, tile


def turned_sheets(params: Graphene4dParams, rng: np.random.Generator) -> tuple[Mosaic, Floats, Ints]:
    """One sheet turned about the middles of tiles in a row, with the places on it turned alike; returns as `sheet`."""
    reach = params.reach_angstrom
    turns = np.deg2rad(params.turns_deg)
    rotation = params.rotation_deg[0][0] + np.array(params.turns_deg)
    tiles = Tiles(rotation[None], (1, 1), np.zeros(2), reach + 2 * graphene.BOND_ANGSTROM, reach)
    on_object = rng.uniform(-1, 1, (params.scan_shape[0], 2)) * graphene.BOND_ANGSTROM
    middles = np.array([tiles.centre(k) for k in range(len(turns))])
    places = middles + _turned(on_object[:, None], turns)
    # Of the six atoms around the middle the same one in every copy.
    near = middles + _turned(_OFF_AXES * graphene.BOND_ANGSTROM, turns)
    mosaic = _filled(tiles, middles, near, params, params.defects[0][:1] * len(turns))
    return mosaic, places, np.broadcast_to(np.arange(len(turns)), places.shape[:2])


def _turned(vectors: Floats, angle_rad: Floats) -> Floats:
    """Vectors (..., 2) in (y, x) turned from x towards y by angles (n,): (..., n, 2)."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    y, x = vectors[..., 0], vectors[..., 1]
    return np.stack([s * x + c * y, c * x - s * y], -1)


def _filled(
    tiles: Tiles, origins: Floats, near: Floats, params: Graphene4dParams, defects: tuple[graphene.Defect, ...]
) -> Mosaic:
    """Sheets with hexagons centred at the origins, and defects at the atoms nearest to the points ``near``."""
    size = tiles.size_angstrom
    crystals = [
        graphene.with_defect(graphene.graphene(rotation, origin, np.zeros(2), size, params.u_angstrom), defect, point)
        for rotation, origin, defect, point in zip(tiles.rotation_deg.ravel(), origins, defects, near, strict=True)
    ]
    return Mosaic.joined(crystals, tiles, graphene.THICKNESS_ANGSTROM, _LEAST_ANGSTROM)


def _of_turns(truth: xr.Dataset, params: Graphene4dParams) -> xr.Dataset:
    """Truth of pairs: the rotation is the turn, by which the whole pattern turns."""
    turns = np.broadcast_to(params.turns_deg, truth["tile"].shape).astype(np.float32)
    text = "turn of object and probe position, from x towards y"
    angle = variable(_DIMS, np.deg2rad(turns), "rad", text, n_fold=1)
    return truth.assign(rotation=variable(_DIMS, turns, "degree", text), angle=angle)

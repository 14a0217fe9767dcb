"""The simulator ``graphene-pairs``: places on graphene, each seen again with the sheet turned by known angles."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context, Result
from ronchi.schema.common import variable
from ronchi_simulate.params.graphene_pairs import GraphenePairsParams
from ronchi_simulate.scan.record import record_scan
from ronchi_simulate.specimens import graphene
from ronchi_simulate.specimens.mosaic import Mosaic
from ronchi_simulate.specimens.mosaic_truth import mosaic_truth
from ronchi_simulate.specimens.tiles import Tiles

__all__ = ["GraphenePairs", "turned_sheets"]

Floats = NDArray[np.float64]
_DIMS = ("scan_y", "scan_x")
_OFF_AXES = np.array([0.3, 0.8])
"""A direction between the axes of a hexagon."""


class GraphenePairs:
    """Simulator ``graphene-pairs``.

    Parameters
    ----------
    params : GraphenePairsParams
    """

    def __init__(self, params: GraphenePairsParams) -> None:
        self.params = params

    def simulate(self, ctx: Context) -> Result:
        """Take the patterns, a row a place and a column a turn, with the side ``truth``."""
        p = self.params
        mosaic, places = turned_sheets(p, ctx.rng)
        data = record_scan(
            mosaic.atoms(),
            p,
            ctx,
            positions_angstrom=places,
            title="graphene: a row one place, a column the object turned",
        )
        names = {"scan_y": "number of the place", "scan_x": "number of the turn"}
        numbers = {dim: variable(dim, np.arange(data.sizes[dim]), "pixel", name) for dim, name in names.items()}
        data = data.assign_coords(numbers)
        truth = mosaic_truth(mosaic, places, data, graphene.N_FOLD, graphene.DEFECTS)
        return Result(data, {"truth": _of_turns(truth, p)})


def turned_sheets(params: GraphenePairsParams, rng: np.random.Generator) -> tuple[Mosaic, Floats]:
    """One sheet turned about the middles of tiles in a row, with the places on it turned alike.

    Returns
    -------
    Mosaic
    (place, turn, 2) float64
        Positions (y, x) of the probe in angstrom of the specimen.
    """
    reach = params.reach_angstrom
    turns = np.deg2rad(params.turns_deg)
    rotation = params.rotation_deg + np.array(params.turns_deg)
    tiles = Tiles(rotation[None], (1, 1), np.zeros(2), reach + 2 * graphene.BOND_ANGSTROM, reach)
    on_object = rng.uniform(-1, 1, (params.n_places, 2)) * graphene.BOND_ANGSTROM
    middles = np.array([tiles.centre(k) for k in range(len(turns))])
    places = middles + _turned(on_object[:, None], turns)
    # Of the six atoms around the middle the same one in every copy.
    near = middles + _turned(_OFF_AXES * graphene.BOND_ANGSTROM, turns)
    mosaic = graphene.sheets_in_tiles(tiles, middles, near, [params.defect] * len(turns), params.u_angstrom)
    return mosaic, places


def _turned(vectors: Floats, angle_rad: Floats) -> Floats:
    """Vectors (..., 2) in (y, x) turned from x towards y by angles (n,): (..., n, 2)."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    y, x = vectors[..., 0], vectors[..., 1]
    return np.stack([s * x + c * y, c * x - s * y], -1)


def _of_turns(truth: xr.Dataset, params: GraphenePairsParams) -> xr.Dataset:
    """Truth of pairs: the rotation is the turn, by which the whole pattern turns."""
    turns = np.broadcast_to(params.turns_deg, truth["tile"].shape).astype(np.float32)
    text = "turn of object and probe position, from x towards y"
    angle = variable(_DIMS, np.deg2rad(turns), "rad", text, n_fold=1)
    return truth.assign(rotation=variable(_DIMS, turns, "degree", text), angle=angle)

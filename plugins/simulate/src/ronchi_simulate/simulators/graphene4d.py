"""The simulator ``graphene4d``: scanned graphene in rotated tiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ronchi.api import Context, Result
from ronchi_simulate.params.graphene4d import Graphene4dParams
from ronchi_simulate.scan.record import record_scan
from ronchi_simulate.specimens import graphene
from ronchi_simulate.specimens.mosaic import Mosaic
from ronchi_simulate.specimens.mosaic_truth import mosaic_truth
from ronchi_simulate.specimens.tiles import Tiles

__all__ = ["Graphene4d", "sheet"]

Floats = NDArray[np.float64]


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
        mosaic, places = sheet(p, ctx.rng)
        data = record_scan(
            mosaic.atoms(),
            p,
            ctx,
            positions_angstrom=places,
            scan_step_angstrom=p.scan_step_angstrom,
            title="graphene in rotated tiles",
        )
        return Result(data, {"truth": mosaic_truth(mosaic, places, data, graphene.N_FOLD, graphene.DEFECTS)})


def sheet(params: Graphene4dParams, rng: np.random.Generator) -> tuple[Mosaic, Floats]:
    """Tiles with lattices at random places.

    Returns
    -------
    Mosaic
    (scan_y, scan_x, 2) float64
        Positions (y, x) of the probe in angstrom of the specimen.
    """
    tiles = Tiles.of(params)
    middles = np.array([tiles.centre(k) for k in range(tiles.rotation_deg.size)])
    origins = middles + rng.uniform(-1, 1, middles.shape) * graphene.BOND_ANGSTROM
    mosaic = graphene.sheets_in_tiles(tiles, origins, middles, sum(params.defects, ()), params.u_angstrom)
    return mosaic, tiles.positions(params.scan_start_angstrom)

"""The simulator ``zincblende4d``: scanned zincblende in rotated tiles."""

from __future__ import annotations

import numpy as np

from ronchi.api import Context, Result
from ronchi_simulate.params.zincblende4d import Zincblende4dParams
from ronchi_simulate.scan.record import record_scan
from ronchi_simulate.specimens import zincblende
from ronchi_simulate.specimens.mosaic import Mosaic
from ronchi_simulate.specimens.mosaic_truth import mosaic_truth
from ronchi_simulate.specimens.tiles import Tiles

__all__ = ["Zincblende4d", "blocks"]

_LEAST = 0.85
"""Atoms of two grains closer than this part of a bond would not both be there."""


class Zincblende4d:
    """Simulator ``zincblende4d``.

    Parameters
    ----------
    params : Zincblende4dParams
    """

    def __init__(self, params: Zincblende4dParams) -> None:
        self.params = params

    def simulate(self, ctx: Context) -> Result:
        """Make the scan with the side ``truth``."""
        p = self.params
        mosaic = blocks(p, ctx.rng)
        places = mosaic.tiles.positions(p.scan_start_angstrom)
        data = record_scan(
            mosaic.atoms(),
            p,
            ctx,
            positions_angstrom=places,
            scan_step_angstrom=p.scan_step_angstrom,
            title=f"{'/'.join(p.species)} zincblende [{p.zone}] in rotated tiles",
        )
        n_fold = zincblende.N_FOLD[p.zone]
        return Result(data, {"truth": mosaic_truth(mosaic, places, data, n_fold, zincblende.DEFECTS)})


def blocks(params: Zincblende4dParams, rng: np.random.Generator) -> Mosaic:
    """Tiles with lattices at random places."""
    p = params
    tiles = Tiles.of(p)
    period = zincblende.beam_period(p.zone, p.lattice_angstrom)
    thickness = max(1, round(p.thickness_angstrom / period)) * period
    grains = []
    for k, (rotation, defect) in enumerate(zip(tiles.rotation_deg.ravel(), sum(p.defects, ()), strict=True)):
        origin = tiles.centre(k) + rng.uniform(-0.5, 0.5, 2) * p.lattice_angstrom
        grain = zincblende.zincblende(
            p.species,
            p.lattice_angstrom,
            p.zone,
            rotation,
            origin,
            np.zeros(2),
            tiles.size_angstrom,
            thickness,
            p.u_angstrom,
        )
        grains.append(zincblende.with_column_defect(grain, defect, tiles.centre(k), p.defect_fraction, rng))
    return Mosaic.joined(grains, tiles, thickness, _LEAST * p.lattice_angstrom * 3**0.5 / 4)

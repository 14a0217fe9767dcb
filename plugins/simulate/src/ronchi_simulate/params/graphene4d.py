"""Parameters of scanned graphene."""

from __future__ import annotations

from ronchi.api import Field
from ronchi_simulate.params.graphene import Defect, GrapheneParams
from ronchi_simulate.params.scan import Shape, Step
from ronchi_simulate.params.tiles import ANGSTROM, TilesParams

__all__ = ["Graphene4dParams"]


class Graphene4dParams(GrapheneParams, TilesParams):
    """Graphene in rotated tiles, some with a defect in their middle."""

    scan_shape: Shape = Field((20, 20), description="Rows and columns of the scan.")
    scan_step_angstrom: Step = Field((0.35, 0.35), description="Scan step along y and x.", json_schema_extra=ANGSTROM)
    defects: tuple[tuple[Defect, ...], ...] = Field(
        (("none", "none"), ("none", "silicon")),
        description="Defect in the middle of each tile, in rows: an atom less, silicon instead of an atom, or silicon "
        "instead of two neighbours.",
    )

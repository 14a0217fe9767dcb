"""Parameters of turned pieces of graphene."""

from __future__ import annotations

from ronchi.api import Field
from ronchi_simulate.params.graphene import Defect, GrapheneParams

__all__ = ["GraphenePairsParams"]


class GraphenePairsParams(GrapheneParams):
    """Random places on one sheet, each seen again with the whole sheet turned about the probe by known angles."""

    n_places: int = Field(6, ge=1, description="Places in the cell, drawn at random: rows of the scan.")
    turns_deg: tuple[float, ...] = Field(
        (0.0, 30.0, 90.0, 150.0, 210.0, 300.0),
        min_length=1,
        description="Angles by which the sheet is turned about the probe, from x towards y: columns of the scan.",
        json_schema_extra={"unit": "deg"},
    )
    rotation_deg: float = Field(
        0.0,
        description="Rotation of the lattice before it is turned, from x towards y.",
        json_schema_extra={"unit": "deg"},
    )
    defect: Defect = Field(
        "none",
        description="Defect next to the places: an atom less, silicon instead of an atom, or silicon instead of two "
        "neighbours.",
    )

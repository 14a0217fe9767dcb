"""Parameters of the metric of atoms."""

from __future__ import annotations

from typing import Any, Literal

from ronchi.api import Field, Params

__all__ = ["AtomsParams"]

_PX: dict[str, Any] = {"unit": "px"}


class AtomsParams(Params):
    """How atoms are matched one to one."""

    tolerance: float = Field(2.0, gt=0, description="Largest distance at which an atom counts as found.")
    tolerance_unit: Literal["px", "angstrom"] = Field("px", description="Unit of the tolerance.")
    pixel_angstrom: float | None = Field(
        None,
        gt=0,
        description="Pixel of the images; as the atoms say, if absent.",
        json_schema_extra={"unit": "angstrom"},
    )
    border_px: float = Field(
        0.0,
        ge=0,
        description="Atoms this close to the border of the image are neither missed nor false.",
        json_schema_extra=_PX,
    )

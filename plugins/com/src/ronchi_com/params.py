"""Parameters of the learner ``com`` and the transform ``dpc``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import FiniteFloat, JsonValue, model_validator

from ronchi.api import Field, Params

__all__ = ["ComParams", "DpcParams"]

_Q: dict[str, JsonValue] = {"unit": "units of the q axes"}


class ComParams(Params):
    """Which part of the pattern counts, and whether the drift of the beam over the scan is taken out."""

    inner_radius: float = Field(
        0.0, ge=0, description="Pixels nearer to q = 0 than this are left out.", json_schema_extra=_Q
    )
    outer_radius: float | None = Field(
        None, gt=0, description="Pixels farther from q = 0 than this are left out.", json_schema_extra=_Q
    )
    descan: Literal["none", "mean", "plane", "parabola"] = Field(
        "none",
        description="What is subtracted over the scan: mean: the mean of all positions; plane, parabola: a surface, "
        "fitted robustly. It takes real long-range fields along.",
    )

    @model_validator(mode="after")
    def _is_an_annulus(self) -> Self:
        if self.outer_radius is not None and self.outer_radius <= self.inner_radius:
            raise ValueError(f"outer_radius {self.outer_radius} must be larger than inner_radius {self.inner_radius}")
        return self


class DpcParams(Params):
    """How the detector lies relative to the scan."""

    rotation: Literal["auto", "known", "fit"] | FiniteFloat = Field(
        "auto",
        description="Angle from the patterns' x axis to the scan's x axis, positive from x towards y; or known: the "
        "attribute scan_rotation_deg; fit: from the data; auto: known where there is one, else fit.",
        json_schema_extra={"unit": "deg"},
    )
    flip: Literal["auto"] | bool = Field(
        "auto",
        description="Mirror the patterns' y axis before the rotation; auto: as the data say where the rotation is "
        "fitted, else no.",
    )
    sign: Literal["atoms", "unknown"] = Field(
        "atoms",
        description="How a fitted rotation is told from its half turn. atoms: what draws the beam is atoms or "
        "particles, sharper than what lies between; unknown: not at all, for pores, holes and windows of vacuum, on "
        "which atoms would give the half turn.",
    )
    on_unclear: Literal["refuse", "keep"] = Field(
        "refuse", description="When the data do not show the rotation: stop, or go on with the best guess and say so."
    )

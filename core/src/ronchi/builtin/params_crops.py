"""Parameters of crops around atoms, and of what is decoded and mapped back from their descriptors."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from ronchi.api import Field, Params

__all__ = ["BackProjectParams", "CropsParams", "ManifoldParams", "ReconstructParams"]


class CropsParams(Params):
    """How windows are cut around atoms."""

    size_px: int = Field(
        25,
        ge=3,
        description="Rows and columns of a crop; the atom is at the pixel N // 2, the middle of odd ones.",
        json_schema_extra={"unit": "px"},
    )
    mask: Literal["circle", "none"] = Field(
        "circle", description="circle: mark pixels outside of the inscribed circle, which rotations bring in and out."
    )
    edge: Literal["drop", "nan", "reflect"] = Field(
        "drop", description="Crops that leave the frame: none, with NaN outside, or with the frame mirrored there."
    )
    interpolation: Literal["cubic", "linear", "nearest"] = Field(
        "cubic", description="Between pixels; nearest cuts at whole pixels, and leaves up to half a one of offset."
    )
    species: tuple[int, ...] | None = Field(None, description="Species that crops are cut around; all if absent.")
    normalise: Literal["none", "frame"] = Field(
        "none", description="frame: subtract the mean of each frame and divide by its standard deviation."
    )


class BackProjectParams(Params):
    """What goes back on the atoms; nothing to choose."""


class ReconstructParams(Params):
    """What a fitted learner takes every sample to be; nothing to choose."""


class ManifoldParams(Params):
    """A grid over two components of the latent space, the others at their median."""

    components: tuple[int, int] = Field((0, 1), description="Numbers of the components along the columns and the rows.")
    n: int = Field(9, ge=2, le=50, description="Images along each.")
    quantiles: tuple[float, float] = Field(
        (0.05, 0.95), description="Range of the grid, as quantiles of the descriptors."
    )

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        if not 0 < self.quantiles[0] < self.quantiles[1] < 1:
            raise ValueError("`quantiles` must be two numbers between 0 and 1, the smaller one first")
        if min(self.components) < 0:
            raise ValueError("`components` are counted from 0")
        return self

"""Parameters of virtual images and of the overview."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from ronchi.api import Field, Params
from ronchi.builtin.quantities import ScanStep

__all__ = ["CalibrateImagesParams", "OverviewParams", "VirtualImageParams"]

Pair = tuple[float, float]

_USED = {
    "disk": {"center", "radius", "units", "antialias"},
    "annulus": {"center", "inner", "outer", "units", "antialias"},
    "point": {"center", "units"},
    "rectangle": {"center", "size", "units", "antialias"},
    "mask": {"path"},
}
"""Parameters that say something in a mode."""


_UNITS: Any = Field(
    "q",
    description="q: the data's own units from q = 0; px: of the detector, (0, 0) at the centre of the first pixel.",
)


class VirtualImageParams(Params):
    """Shape and place of a virtual detector."""

    mode: Literal["disk", "annulus", "point", "rectangle", "mask"] = Field("disk", description="Shape of the detector.")
    center: Pair | None = Field(None, description="Its centre (y, x), in `units`; that of q = 0 if absent.")
    radius: float | None = Field(
        None, gt=0, description="Radius of the disk, in `units`; that of the direct beam if absent."
    )
    inner: float | None = Field(
        None, ge=0, description="Inner radius of the annulus; 1.5 radii of the direct beam if absent."
    )
    outer: float | None = Field(None, gt=0, description="Outer radius of the annulus; the whole detector if absent.")
    size: Pair | None = Field(None, description="Height and width of the rectangle, in `units`.")
    path: Path | None = Field(None, description="2-D .npy file of 0 and 1, or of weights, for mode mask.")
    units: Literal["q", "px"] = _UNITS
    antialias: bool = Field(False, description="Count pixels on the edge in part, by a ramp one pixel wide.")
    name: str = Field("virtual", min_length=1, description="Name of the image in the result.")

    @model_validator(mode="after")
    def _complete(self) -> VirtualImageParams:
        if self.mode == "rectangle" and (self.size is None or min(self.size) <= 0):
            raise ValueError("mode 'rectangle' needs `size`, a height and a width above 0")
        if self.mode == "mask" and self.path in (None, Path()):
            raise ValueError("mode 'mask' needs `path`")
        fields = type(self).model_fields
        given = [name for name in fields if getattr(self, name) != fields[name].default]
        unused = [f"`{name}`" for name in given if name not in {*_USED[self.mode], "mode", "name"}]
        if unused:
            used = ", ".join(name for name in fields if name in _USED[self.mode])
            raise ValueError(f"mode {self.mode!r} makes no use of {', '.join(unused)}; it takes {used}")
        if self.inner is not None and self.outer is not None and self.inner >= self.outer:
            raise ValueError("`inner` must be smaller than `outer`")
        return self


class OverviewParams(Params):
    """What the first look at a scan contains."""

    center: Pair | None = Field(None, description="Direct beam (y, x), in `units`; q = 0 if absent.")
    bf_radius: float | None = Field(
        None, gt=0, description="Radius of the bright-field disk, in `units`; that of the direct beam if absent."
    )
    adf_inner: float | None = Field(
        None, gt=0, description="Inner radius of the dark-field ring, in `units`; 1.5 bright-field radii if absent."
    )
    adf_outer: float | None = Field(
        None, gt=0, description="Its outer radius, in `units`; the whole detector if absent."
    )
    units: Literal["q", "px"] = _UNITS
    com: bool = Field(True, description="Also compute the centre of mass of each pattern.")
    max_pattern: bool = Field(True, description="Also compute the maximum of each pixel over the scan.")

    @model_validator(mode="after")
    def _ordered(self) -> OverviewParams:
        if self.adf_inner is not None and self.adf_outer is not None and self.adf_inner >= self.adf_outer:
            raise ValueError("`adf_inner` must be smaller than `adf_outer`")
        return self


class CalibrateImagesParams(Params):
    """The size of a pixel of images."""

    step_angstrom: ScanStep = Field(
        description="Size of a pixel along y and x.", json_schema_extra={"unit": "angstrom"}
    )

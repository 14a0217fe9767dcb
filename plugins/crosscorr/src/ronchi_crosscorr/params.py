"""Parameters of the correlation detector; lengths in probe radii, so that the defaults fit any binning."""

from __future__ import annotations

import math
from typing import Any, Literal, Self

from pydantic import model_validator

from ronchi.api import Field, Params

__all__ = ["CrossCorrParams"]


def _unit(unit: str) -> dict[str, Any]:
    return {"unit": unit}


class CrossCorrParams(Params):
    """Find Bragg disks by correlation with a template of the probe."""

    mode: Literal["cross", "phase", "hybrid"] = Field(
        "cross",
        description="Weight of the spectrum: cross keeps its modulus, phase drops it, hybrid raises it to `power`.",
    )
    power: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Exponent of the modulus in hybrid mode; 1 is cross, 0 is phase.",
        json_schema_extra=_unit("1"),
    )
    template: Literal["auto", "measured", "disk", "edge", "radial-gradient"] = Field(
        "auto",
        description="measured: the probe itself; disk: soft disk; edge: disk in a trench of zero sum; radial-gradient: "
        "grows from centre to rim, for disks with inner structure; auto: measured with a probe, else disk.",
    )
    ellipse_ratio: float = Field(
        1.0,
        ge=1,
        le=2,
        description="Long axis over short axis of the computed templates.",
        json_schema_extra=_unit("1"),
    )
    ellipse_angle_deg: float = Field(
        0.0, description="Direction of the long axis, from x towards y.", json_schema_extra=_unit("deg")
    )
    probe_radius_px: float | None = Field(
        None, gt=0.5, description="Radius of the disks; measured on the probe if absent.", json_schema_extra=_unit("px")
    )
    low_pass: float = Field(
        0.1,
        ge=0,
        le=2,
        description="Standard deviation of the Gaussian that smooths the correlation.",
        json_schema_extra=_unit("r"),
    )
    high_pass: float = Field(
        0.0, ge=0, description="Standard deviation of the Gaussian background that is removed; 0 removes none.",
        json_schema_extra=_unit("r"),
    )  # fmt: skip
    min_distance: float = Field(
        1.5,
        ge=0.2,
        description="Least distance of two disks; the fainter one is dropped.",
        json_schema_extra=_unit("r"),
    )
    edge: float = Field(
        1.0, ge=0, description="Least distance of a disk's centre from the frame's edge.", json_schema_extra=_unit("r")
    )
    min_snr: float = Field(
        5.0,
        ge=0,
        description="Least significance of a disk: standard deviations of the background alone. `score`, its light "
        "over all of its noise, is less. Where the background is nothing but counting noise, at 6 some 0.005 disks a "
        "pattern are false, at 5 some 0.03, at 4 some 0.4; diffuse scattering adds to them. A seeded search may go "
        "down to 3.",
        json_schema_extra=_unit("1"),
    )
    min_relative: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Least intensity relative to the pattern's brightest disk.",
        json_schema_extra=_unit("1"),
    )
    max_peaks: int = Field(400, ge=1, le=4096, description="Most disks of a pattern, brightest first.")
    counts_per_electron: float | None = Field(
        None, gt=0, description="Gain of the detector; measured on neighbouring patterns, or on each one, if absent.",
        json_schema_extra=_unit("counts"),
    )  # fmt: skip
    refine: Literal["parabola", "correlation", "likelihood"] = Field(
        "likelihood",
        description="Position below a pixel: parabola through the correlation's maximum; correlation: Newton steps on "
        "its interpolation; likelihood: fit of the disk to the counts, the most accurate.",
    )
    search: Literal["blind", "seeded"] = Field(
        "blind", description="blind: the whole pattern; seeded: windows around the sites of a known lattice."
    )
    origin: tuple[float, float] | None = Field(
        None,
        description="Seeded search: lattice origin (y, x); found on the mean pattern if absent.",
        json_schema_extra=_unit("px"),
    )
    g1: tuple[float, float] | None = Field(
        None, description="Seeded search: first lattice vector (y, x); found if absent.", json_schema_extra=_unit("px")
    )
    g2: tuple[float, float] | None = Field(
        None, description="Seeded search: second lattice vector (y, x); found if absent.", json_schema_extra=_unit("px")
    )
    capture: float = Field(
        1.0,
        gt=0.2,
        le=4,
        description="Seeded search: largest distance of a disk from its site.",
        json_schema_extra=_unit("r"),
    )

    @model_validator(mode="after")
    def _whole_lattice_or_none(self) -> Self:
        given = [name for name in ("origin", "g1", "g2") if getattr(self, name) is not None]
        if 0 < len(given) < 3:
            raise ValueError(f"{' and '.join(given)} alone make no lattice: give origin, g1 and g2, or none of them")
        if self.g1 is not None and self.g2 is not None:
            (y1, x1), (y2, x2) = self.g1, self.g2
            if not abs(y1 * x2 - x1 * y2) > 0.02 * math.hypot(y1, x1) * math.hypot(y2, x2):
                raise ValueError(f"g1 = {list(self.g1)} and g2 = {list(self.g2)} are parallel or zero: no lattice")
        return self

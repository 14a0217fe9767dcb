"""Parameters of the detector; lengths in radii of the disk where binning shall not matter."""

from __future__ import annotations

from ronchi.api import Field, Params

__all__ = ["RadialGradientParams"]


class RadialGradientParams(Params):
    """Find Bragg disks by the gradient across their rim."""

    probe_radius_px: float | None = Field(
        None,
        gt=1,
        description="Radius of the disks; measured on the probe, or known from the calibration, if absent.",
        json_schema_extra={"unit": "px"},
    )
    width_px: float | None = Field(
        None,
        ge=0.7,
        description="Standard deviation of the Gaussian across the rim over which the gradient is taken; as wide as "
        "the probe's own rim if absent.",
        json_schema_extra={"unit": "px"},
    )
    min_score: float = Field(
        4.5,
        gt=0,
        description="Least mean of the gradient around the rim, over its standard error from one sector to the next. "
        "At 4.5 a tenth of a disk a pattern is false on nothing but background, at 4 a half, at 6 none.",
        json_schema_extra={"unit": "1"},
    )
    min_distance: float = Field(
        1.5,
        ge=0.5,
        description="Least distance of two disks; the one of the weaker gradient is dropped.",
        json_schema_extra={"unit": "r"},
    )
    edge: float = Field(
        1.0,
        ge=0,
        description="Least distance of a disk's centre from the frame's edge.",
        json_schema_extra={"unit": "r"},
    )
    max_peaks: int = Field(400, ge=1, description="Most disks of a pattern, those of the strongest gradient first.")
    counts_per_electron: float = Field(
        1.0,
        gt=0,
        description="Gain of the detector, by which the variances of the positions are scaled.",
        json_schema_extra={"unit": "counts"},
    )

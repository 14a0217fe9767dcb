"""Parameters of the built-in metrics."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from ronchi.api import Field, Params

__all__ = ["Eq1Params", "PeakF1Params", "PeakRmseParams", "StrainRmseParams"]


class StrainRmseParams(Params):
    """Which positions count, and against which truth."""

    min_interface_distance_angstrom: float = Field(
        0.0,
        ge=0,
        description="Leave out positions closer to an interface than this; needs `dist_interface` in the truth.",
        json_schema_extra={"unit": "angstrom"},
    )
    probe_average: bool = Field(
        False, description="Compare with the truth averaged over the probe (`e_xx_probe`, …) where there is one."
    )


class _Matching(Params):
    tolerance: float = Field(2.0, gt=0, description="Largest distance at which a peak counts as found.")
    tolerance_unit: Literal["px", "q"] = Field("px", description="Unit of the tolerance: pixels, or the units of q.")
    exclude_radius: float = Field(
        0.0, ge=0, description="Leave out peaks closer to q = 0 than this, in the tolerance's unit."
    )
    min_truth_fraction: float = Field(
        0.0, ge=0, lt=1, description="Leave out true peaks weaker than this part of the pattern's strongest one."
    )
    whole_disks_only: bool = Field(
        True,
        description="Forgive true disks that are cut by the border (flag 1) or hidden (8): neither missed nor false.",
    )


class PeakF1Params(_Matching):
    """How peaks are matched one to one."""


class PeakRmseParams(_Matching):
    """How peaks are matched one to one, and the disk whose positions have a Cramér-Rao bound."""

    radius_px: float | None = Field(
        None,
        gt=0,
        description="Radius R of disks without inner contrast: then the error is compared with the least possible one.",
        json_schema_extra={"unit": "px"},
    )
    edge_px: float | None = Field(
        None,
        gt=0,
        description="Width a of their edge 1 / (1 + exp((r - R) / a)).",
        json_schema_extra={"unit": "px"},
    )

    @model_validator(mode="after")
    def _whole_disk_or_none(self) -> Self:
        if (self.radius_px is None) != (self.edge_px is None):
            raise ValueError("radius_px and edge_px belong together: give both, or none")
        return self


class Eq1Params(Params):
    """Equation (1) of the FCU-Net paper, with its constants."""

    tolerance_inv_angstrom: float = Field(
        0.05,
        gt=0,
        description="Distance at which a peak counts as a true one.",
        json_schema_extra={"unit": "1/angstrom"},
    )
    central_radius_inv_angstrom: float = Field(
        0.08,
        ge=0,
        description="Peaks of both sides within this radius are the direct beam and are removed.",
        json_schema_extra={"unit": "1/angstrom"},
    )
    min_truth_fraction: float = Field(
        0.05, ge=0, lt=1, description="True peaks below this part of the strongest amplitude are removed."
    )

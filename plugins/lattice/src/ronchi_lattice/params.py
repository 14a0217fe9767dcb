"""Parameters of the strain solver ``lattice``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import JsonValue, model_validator

from ronchi.api import Field, Params

__all__ = ["Basis", "LatticeParams", "Reference"]

Vector = tuple[float, float]
_Q: dict[str, JsonValue] = {"unit": "units of the peaks' q axes"}
_SCAN: dict[str, JsonValue] = {"unit": "units of the scan axes"}


class Basis(Params):
    """Two reciprocal vectors that the fit starts from, and whose indices it keeps."""

    g1: Vector = Field(description="First reciprocal vector, (y, x).", json_schema_extra=_Q)
    g2: Vector = Field(description="Second reciprocal vector, (y, x).", json_schema_extra=_Q)

    @model_validator(mode="after")
    def _spans_a_plane(self) -> Self:
        _check_cell(self.g1, self.g2)
        return self


class Reference(Params):
    """What counts as unstrained: a region of the scan, all of it (the default), or a cell."""

    scan_y: Vector | None = Field(None, description="First and last scan_y, inclusive.", json_schema_extra=_SCAN)
    scan_x: Vector | None = Field(None, description="First and last scan_x, inclusive.", json_schema_extra=_SCAN)
    rows: tuple[int, int] | None = Field(None, description="Scan rows start to stop, stop excluded.")
    columns: tuple[int, int] | None = Field(None, description="Scan columns start to stop, stop excluded.")
    statistic: Literal["median", "mean"] = Field(
        "median", description="Median of each component, or the mean without outliers, over the fitted positions."
    )
    g1: Vector | None = Field(
        None, description="First vector of an explicit cell, (y, x), detector axes.", json_schema_extra=_Q
    )
    g2: Vector | None = Field(
        None, description="Second vector of an explicit cell, (y, x), detector axes.", json_schema_extra=_Q
    )

    @model_validator(mode="after")
    def _one_way_only(self) -> Self:
        region = (self.scan_y, self.scan_x, self.rows, self.columns)
        if (self.g1 is None) != (self.g2 is None):
            raise ValueError("an explicit reference cell needs both g1 and g2")
        if self.g1 is not None and self.g2 is not None:
            if any(limits is not None for limits in region):
                raise ValueError("give a region or an explicit cell (g1, g2) as the reference, not both")
            _check_cell(self.g1, self.g2)
        for limits in region:
            if limits is not None and limits[0] > limits[1]:
                raise ValueError(f"the limits {list(limits)} run backwards: give the smaller one first")
        for limits in (self.rows, self.columns):
            if limits is not None and not 0 <= limits[0] < limits[1]:
                raise ValueError(f"the indices {list(limits)} select nothing: start at 0 or later, stop after start")
        return self


class LatticeParams(Params):
    """Parameters of the lattice fit; the defaults need no tuning for one crystal on one zone axis."""

    basis: Basis | None = Field(None, description="Basis to start from and to index by; found automatically if absent.")
    reference: Reference = Field(Reference(), description="What the strain is relative to.")
    n_lattices: int = Field(
        1, ge=1, le=4, description="Lattices a position may hold; each one is fitted to the peaks the others left over."
    )
    min_peaks: int = Field(5, ge=3, description="Peaks that a fit needs; 3 leave nothing to check it by.")
    min_fraction: float = Field(
        0.35,
        ge=0,
        le=1,
        description="Fraction of a position's peaks that must lie on the lattice; with n_lattices above 2, 2 / "
        "n_lattices of it for one with peaks on most of its nodes.",
    )
    index_tolerance: float = Field(
        0.25,
        gt=0,
        le=0.5,
        description="Farthest that a peak may lie from its lattice node.",
        json_schema_extra={"unit": "shortest reciprocal vector"},
    )
    outlier_sigma: float = Field(
        6.0,
        ge=3,
        description="Distance at which a peak loses all weight (Tukey's constant).",
        json_schema_extra={"unit": "standard deviations"},
    )


def _check_cell(g1: Vector, g2: Vector) -> None:
    area = abs(g1[0] * g2[1] - g1[1] * g2[0])
    if not area > 0.02 * (g1[0] ** 2 + g1[1] ** 2) ** 0.5 * (g2[0] ** 2 + g2[1] ** 2) ** 0.5:
        raise ValueError(f"g1 = {list(g1)} and g2 = {list(g2)} are parallel or zero: they span no lattice")

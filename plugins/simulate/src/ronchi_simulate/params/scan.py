"""Parameters that specimens share: beam, detector and dose, and the scan."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, FiniteFloat, PositiveInt, WithJsonSchema

from ronchi.api import Field, Params
from ronchi.optics import PLAUSIBLE, plausible

__all__ = [
    "BeamEnergy",
    "Dose",
    "Lean",
    "Pair",
    "PatternParams",
    "Place",
    "ScanParams",
    "Shape",
    "Step",
    "TiltedScanParams",
]

Pair = tuple[float, float]
Shape = tuple[PositiveInt, PositiveInt]
Place = tuple[FiniteFloat, FiniteFloat]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Step = tuple[_Positive, _Positive]
_LOWEST_EV, _HIGHEST_EV = PLAUSIBLE["beam_energy_eV"]
BeamEnergy = Annotated[
    float,
    AfterValidator(plausible("beam_energy_eV")),
    WithJsonSchema({"type": "number", "minimum": _LOWEST_EV, "exclusiveMaximum": _HIGHEST_EV}),
]
"""Of a microscope. Fast electrons are what multislice is for."""
Dose = Annotated[float, Field(gt=0, le=1e9)]
"""Counts of all electrons in one pixel fit into 32 bits."""
_Angle = Annotated[float, Field(ge=-20, le=20)]
Lean = tuple[_Angle, _Angle]
"""In deg: a propagator that is tilted, of a specimen that is not, is no longer near the truth beyond."""


class PatternParams(Params):
    """A beam and a detector, and how patterns are computed; a simulator gives the defaults that suit its specimen."""

    pattern_shape: Shape = Field((96, 96), description="Rows and columns of a pattern.")
    q_step_inv_angstrom: float = Field(
        0.0315, gt=0, description="Detector pixel.", json_schema_extra={"unit": "1/angstrom"}
    )
    binning: int = Field(
        1,
        ge=1,
        le=16,
        description="Simulated pixels to a detector pixel, along each axis: a probe sees a window of binning / q_step.",
    )
    wave_shape: Shape | None = Field(
        None,
        description="Grid (y, x) of the waves over the window; by default such that waves, which have no frequency "
        "beyond 2/3 of what it holds, reach the corners of the pattern. Phases of heavy or sharp atoms need a step "
        "near 0.1 angstrom to be the same however they lie to the grid.",
    )
    beam_energy_eV: BeamEnergy = Field(200e3, description="Beam energy.", json_schema_extra={"unit": "eV"})
    semiangle_mrad: float = Field(
        1.7, gt=0, description="Semiangle of convergence.", json_schema_extra={"unit": "mrad"}
    )
    defocus_angstrom: float = Field(
        0.0, description="Defocus; > 0 has the crossover after the entrance.", json_schema_extra={"unit": "angstrom"}
    )
    aperture: Literal["circle", "bullseye"] = Field(
        "circle", description="Aperture that forms the probe; bullseye has rings and a cross cut out of the disk."
    )
    dose_e: Dose | None = Field(
        1e6,
        description="Electrons a pattern, with Poisson noise; null leaves the fraction of the beam, without noise.",
        json_schema_extra={"unit": "electron"},
    )
    frozen_phonons: int = Field(
        0, ge=0, description="Configurations of displaced atoms to average; 0 damps by Debye-Waller factors instead."
    )
    slice_angstrom: float = Field(
        2.0, gt=0, description="Thickness of a slice.", json_schema_extra={"unit": "angstrom"}
    )
    engine: Literal["torch", "abtem"] = Field("torch", description="Multislice engine.")

    @property
    def reach_angstrom(self) -> float:
        """Half of the window that a probe sees."""
        return 0.5 * self.binning / self.q_step_inv_angstrom


class ScanParams(PatternParams):
    """A beam, a detector and a scan."""

    scan_shape: Shape = Field((2, 40), description="Rows and columns of the scan.")
    scan_step_angstrom: Step = Field(
        (5.0, 6.0), description="Scan step along y and x.", json_schema_extra={"unit": "angstrom"}
    )
    scan_start_angstrom: Place = Field(
        (0.0, 0.0), description="First probe (y, x) in the specimen.", json_schema_extra={"unit": "angstrom"}
    )


class TiltedScanParams(ScanParams):
    """A scan over a foil that may lean, and lean differently from column to column."""

    thickness_angstrom: float = Field(
        127.0,
        gt=0,
        description="Thickness along the beam; rounded to whole lattice periods.",
        json_schema_extra={"unit": "angstrom"},
    )
    tilt_magnitude_deg: Lean = Field(
        (0.0, 0.0),
        description="Tilt off the zone axis at the first and the last column of the scan, linear between.",
        json_schema_extra={"unit": "deg"},
    )
    tilt_direction_deg: Place = Field(
        (0.0, 0.0),
        description="Direction of the tilt from x towards y at the first and the last column, linear between: a helix.",
        json_schema_extra={"unit": "deg"},
    )

"""Parameters of the movie of graphene under the beam."""

from __future__ import annotations

from typing import Self

from pydantic import FiniteFloat, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from ronchi.api import Field, Params

__all__ = ["GrapheneMovieParams"]

Pair = tuple[FiniteFloat, FiniteFloat]
_ANGSTROM = {"unit": "angstrom"}
_PX = {"unit": "px"}
_DEG = {"unit": "deg"}


class GrapheneMovieParams(Params):
    """Angles are positive from x towards y; rates are per frame. The changes of one frame happen before it is taken."""

    n_frames: int = Field(20, ge=1, description="Frames.")
    image_shape: tuple[PositiveInt, PositiveInt] = Field((512, 512), description="Rows and columns of a frame.")
    step_angstrom: float = Field(0.2, gt=0.02, le=0.6, description="Pixel.", json_schema_extra=_ANGSTROM)
    # The sheet
    grain_angles_deg: tuple[FiniteFloat, ...] = Field(
        (4.0, 21.0), min_length=1, description="Direction of a zigzag row of each grain.", json_schema_extra=_DEG
    )
    grain_seeds: tuple[Pair, ...] | None = Field(
        None,
        description="Points (y, x) from 0 to 1 of the frame, one a grain, which owns all that is nearest; random.",
    )
    grain_rotation_deg: float = Field(
        1.0,
        ge=0,
        le=5,
        description="Largest rotation of a grain over the movie; each has its own. A single grain does not turn.",
        json_schema_extra=_DEG,
    )
    n_holes: NonNegativeInt = Field(3, description="Holes at the beginning.")
    hole_radius_angstrom: NonNegativeFloat = Field(
        5.0, description="Their radius at the beginning.", json_schema_extra=_ANGSTROM
    )
    n_silicon: NonNegativeInt = Field(12, description="Silicon atoms, on carbon sites.")
    # The beam
    edge_loss: float = Field(
        0.04, ge=0, le=0.5, description="Odds of a carbon atom with a free bond to be knocked out."
    )
    vacancies_per_1000: NonNegativeFloat = Field(
        0.1, description="Carbon atoms knocked out of the perfect sheet, per thousand."
    )
    silicon_hop: float = Field(
        0.3, ge=0, le=1, description="Odds of silicon to change places with a neighbour; at edges it mostly stays."
    )
    # The microscope
    drift_px: Pair = Field((0.4, -0.2), description="Mean drift (y, x) of the sheet.", json_schema_extra=_PX)
    drift_walk_px: NonNegativeFloat = Field(
        0.5, description="Standard deviation of random steps on top of the drift.", json_schema_extra=_PX
    )
    line_jitter_px: NonNegativeFloat = Field(
        0.3,
        description="Standard deviation of the displacement of a scan line, along both axes.",
        json_schema_extra=_PX,
    )
    probe_sigma_angstrom: float = Field(
        0.4, gt=0, description="Standard deviation of the probe.", json_schema_extra=_ANGSTROM
    )
    tail_fraction: float = Field(0.25, ge=0, lt=1, description="Part of the probe's current in its tails.")
    tail_sigma_angstrom: float = Field(
        1.5, gt=0, description="Standard deviation of the tails.", json_schema_extra=_ANGSTROM
    )
    contrast_exponent: float = Field(1.64, gt=0, description="Power of the atomic number that a signal goes with.")
    contamination: NonNegativeFloat = Field(
        0.5, description="Brightness of the thickest contamination, in maxima of carbon; 0 for a clean sheet."
    )
    contamination_fraction: float = Field(0.15, ge=0, le=1, description="Part of the sheet that is contaminated.")
    contamination_size_angstrom: float = Field(
        15.0, gt=0, description="Size of its patches.", json_schema_extra=_ANGSTROM
    )
    carbon_counts: float = Field(30.0, gt=0, description="Mean counts at a carbon atom, without tails and neighbours.")
    background_counts: NonNegativeFloat = Field(2.0, description="Mean counts of the detector in the dark.")
    noise: bool = Field(True, description="Poisson noise; without it the expectation as float32.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.grain_seeds is not None and len(self.grain_seeds) != len(self.grain_angles_deg):
            raise ValueError(f"{len(self.grain_seeds)} grain_seeds for {len(self.grain_angles_deg)} grain_angles_deg")
        if self.tail_fraction and self.tail_sigma_angstrom <= self.probe_sigma_angstrom:
            raise ValueError("tail_sigma_angstrom must be larger than probe_sigma_angstrom")
        return self

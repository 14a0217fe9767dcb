"""Parameters of the simulated crops around atoms."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from ronchi.api import Field, Params

__all__ = ["MotifName", "MotifsParams"]

MotifName = Literal[
    "pristine",
    "missing-neighbour",
    "silicon",
    "stone-wales",
    "5-7-7-5",
    "vacancy",
    "silicon-4c",
    "zigzag-edge",
    "armchair-edge",
    "mos2",
    "mos2-twisted-left",
    "mos2-twisted-right",
    "square",
    "f-glyph",
]

Pair = tuple[float, float]


class MotifsParams(Params):
    """Crops of atomic neighbourhoods at known class, angle and shift; angles are positive from x towards y."""

    motifs: tuple[MotifName, ...] = Field(
        ("pristine", "missing-neighbour", "silicon", "stone-wales"),
        min_length=1,
        description="Classes, in equal numbers; the place in this list is the label.",
    )
    n_samples: int = Field(1000, ge=1, description="Number of crops.")
    n_rotations: int = Field(
        1,
        ge=1,
        description="Crops of each neighbourhood, at evenly spaced angles and with noise of their own; the truth "
        "numbers the neighbourhoods as `orbit`.",
    )
    n_frames: int = Field(
        10, ge=1, description="Frames that the crops are dealt out to, so that samples can be held out by frame."
    )
    size_px: int = Field(25, ge=3, description="Rows and columns of a crop.", json_schema_extra={"unit": "px"})
    bond_px: float = Field(4.5, gt=0, description="Distance of nearest neighbours.", json_schema_extra={"unit": "px"})
    sigma_px: float = Field(
        1.3, gt=0, description="Standard deviation of the Gaussian that an atom is.", json_schema_extra={"unit": "px"}
    )
    angle_range_deg: float = Field(
        180.0,
        ge=0,
        le=180,
        description="Angles are uniform within plus and minus this.",
        json_schema_extra={"unit": "deg"},
    )
    shift_range_px: float = Field(
        0.5,
        ge=0,
        description="Shifts along y and x are uniform within plus and minus this.",
        json_schema_extra={"unit": "px"},
    )
    bond_spread: float = Field(
        0.0, ge=0, le=0.3, description="Half-range of the relative bond length, uniform: a continuous variation."
    )
    tilt_max_deg: float = Field(
        0.0,
        ge=0,
        le=60,
        description="Largest tilt about the motif's own y axis, uniform from 0: it shortens x by "
        "the cosine, a continuous variation.",
        json_schema_extra={"unit": "deg"},
    )
    background: float = Field(0.0, ge=0, description="Constant under all pixels, in units of the atom's peak.")
    noise: Literal["gaussian", "poisson", "none"] = Field(
        "gaussian", description="gaussian: white, on crops in units of the atom's peak; poisson: counts; none."
    )
    noise_sigma: float = Field(
        0.5, ge=0, description="Standard deviation of Gaussian noise, in units of the atom's peak."
    )
    dose_e_per_px: Pair = Field(
        (100.0, 100.0),
        description="Smallest and largest mean counts of a pixel of a crop, log-uniform, for Poisson.",
        json_schema_extra={"unit": "electron/px"},
    )

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        low, high = self.dose_e_per_px
        if not 0 < low <= high:
            raise ValueError("`dose_e_per_px` must be two numbers above 0, the smaller one first")
        if self.n_samples % self.n_rotations:
            raise ValueError("`n_samples` must be a multiple of `n_rotations`")
        if len(set(self.motifs)) != len(self.motifs):
            raise ValueError("`motifs` names a class twice")
        return self

"""Parameters of the augmentation: one range an effect, from which every sample draws its own value."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, PositiveInt, model_validator

from ronchi.api import Field, Params

__all__ = ["EFFECTS", "AugmentParams", "Effect"]

Effect = Literal[
    "ellipse", "scale", "shift", "jitter", "plasmon", "rings", "mtf", "dose", "gap", "stop", "hot", "dead", "probe"
]
EFFECTS: tuple[Effect, ...] = get_args(Effect)
"""In the order in which they act, but for the probe, which acts on the probe alone."""


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError(f"the range {pair} ends before it begins")
    return pair


Range = Annotated[tuple[float, float], AfterValidator(_rising)]
Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=0.5)]
PositiveRange = Annotated[tuple[Positive, Positive], AfterValidator(_rising)]
FractionRange = Annotated[tuple[Fraction, Fraction], AfterValidator(_rising)]
WidthRange = Annotated[
    tuple[Annotated[float, Field(ge=0, le=8)], Annotated[float, Field(ge=0, le=8)]], AfterValidator(_rising)
]
WidthInPixels = Annotated[tuple[PositiveInt, PositiveInt], AfterValidator(_rising)]
_PX: dict[str, Any] = {"unit": "px"}
_Q: dict[str, Any] = {"unit": "1/angstrom"}


class AugmentParams(Params):
    """Ranges are drawn from evenly unless they say otherwise; what is not in ``effects`` does not happen."""

    effects: tuple[Effect, ...] = Field(
        EFFECTS, description="What happens. Leaving one out changes no draw of the others."
    )
    q_step_inv_angstrom: float = Field(
        0.0217, gt=0, description="Pixel of patterns that carry no calibration.", json_schema_extra=_Q
    )
    ellipse_ratio: PositiveRange = Field(
        (1.0, 1.1), description="Long over short axis of a ring; its direction is any, its area stays."
    )
    scale: PositiveRange = Field((0.95, 1.05), description="Magnification of the pattern about its centre.")
    shift_px: float = Field(
        5.0, ge=0, description="Largest shift of the pattern along y and along x.", json_schema_extra=_PX
    )
    jitter_px: float = Field(
        0.3,
        ge=0,
        description="Standard deviation of what the descan leaves, along y and x, at every position.",
        json_schema_extra=_PX,
    )
    plasmon_weight: FractionRange = Field((0.0, 0.1), description="Part of the electrons in the plasmon background.")
    plasmon_width_inv_angstrom: PositiveRange = Field(
        (0.01, 0.1), description="Half-width of its Lorentzian; log-uniform.", json_schema_extra=_Q
    )
    ring_weight: FractionRange = Field((0.0, 0.05), description="Part of the electrons in each amorphous ring.")
    ring_radius_inv_angstrom: PositiveRange = Field((0.2, 1.0), description="Radius of a ring.", json_schema_extra=_Q)
    ring_width_inv_angstrom: PositiveRange = Field(
        (0.03, 0.1), description="Standard deviation across a ring.", json_schema_extra=_Q
    )
    n_rings: int = Field(2, ge=0, le=4, description="Number of amorphous rings.")
    mtf_sigma_px: WidthRange = Field(
        (0.0, 0.7), description="Standard deviation of the detector's Gaussian point spread.", json_schema_extra=_PX
    )
    dose_e: PositiveRange = Field(
        (1e2, 1e7), description="Electrons a pattern; log-uniform.", json_schema_extra={"unit": "electron"}
    )
    gap_probability: float = Field(
        0.1, ge=0, le=1, description="Odds of a gap between detector modules, along y and along x apart."
    )
    gap_width_px: WidthInPixels = Field((1, 5), description="Width of a gap.", json_schema_extra=_PX)
    stop_probability: float = Field(0.05, ge=0, le=1, description="Odds of a beam stop with its arm.")
    stop_radius_inv_angstrom: PositiveRange = Field(
        (0.1, 0.3), description="Radius of the beam stop.", json_schema_extra=_Q
    )
    hot_fraction: FractionRange = Field((0.0, 5e-4), description="Part of the pixels that are hot.")
    hot_level: PositiveRange = Field(
        (0.2, 5.0), description="Counts of a hot pixel over those of the brightest good one; log-uniform."
    )
    dead_fraction: FractionRange = Field((0.0, 5e-4), description="Part of the pixels that count nothing.")
    probe_scale: PositiveRange = Field(
        (0.97, 1.03), description="Size of the probe that is handed on over that of the true one."
    )
    probe_blur_px: WidthRange = Field(
        (0.0, 0.5), description="Extra blur of the probe that is handed on.", json_schema_extra=_PX
    )

    @model_validator(mode="after")
    def _leaves_electrons_in_the_disks(self) -> Self:
        most = ("plasmon" in self.effects) * self.plasmon_weight[1]
        most += ("rings" in self.effects) * self.n_rings * self.ring_weight[1]
        if most >= 1:
            raise ValueError(f"plasmon_weight and n_rings x ring_weight together take up to {most:g} of the electrons")
        return self

"""Parameters of the metrics of descriptors."""

from __future__ import annotations

from typing import Literal

from ronchi.api import Field, Params

__all__ = ["AdjustedRandParams", "AngleResultantParams", "LatentInvarianceParams", "PoseNllParams", "SsimParams"]


class _Classes(Params):
    classes: str = Field(
        "label", description="Variable of the truth that holds the class; one class where it has none."
    )


class _Angles(_Classes):
    angle: str = Field("angle", description="Variable of the truth that holds the angle.")
    n_fold: int | None = Field(
        None, ge=1, description="Symmetry of all classes; by default as the truth says, by class or for all."
    )


class AngleResultantParams(_Angles):
    """Which angles are compared, and up to which symmetry."""

    weight: str = Field(
        "", description="Variable of the truth that weighs the samples, such as a dipole; none if empty."
    )
    reverse: bool = Field(False, description="The truth turns the other way, from y towards x.")


class LatentInvarianceParams(_Angles):
    """How hard the angle is looked for in the latents."""

    harmonics: int = Field(6, ge=1, description="Highest multiple of the angle that a latent is regressed on.")
    folds: int = Field(5, ge=2, description="Parts that are predicted from the others, whole frames where there are.")
    neighbours: int = Field(5, ge=1, description="Neighbours that the mutual information counts.")
    most_samples: int = Field(
        4000, ge=50, description="Samples of a class that the mutual information uses, drawn at random."
    )


class AdjustedRandParams(_Classes):
    """Which classes are compared."""


class SsimParams(Params):
    """How decoded images are laid on the true ones."""

    sigma_px: float = Field(
        1.5,
        gt=0,
        description="Standard deviation of the window within which images are compared.",
        json_schema_extra={"unit": "px"},
    )
    step_deg: float = Field(
        3.0,
        gt=0,
        le=30,
        description="Step of the rotations that are tried, before the best is refined.",
        json_schema_extra={"unit": "deg"},
    )
    mirror: bool = Field(False, description="Also try the mirror image.")


class PoseNllParams(Params):
    """Likelihood under which reconstructions are judged."""

    likelihood: Literal["gaussian", "poisson"] = Field(
        "gaussian", description="gaussian: white noise; poisson: counts, with reconstructions in counts."
    )
    sigma: float | None = Field(
        None,
        gt=0,
        description="Standard deviation of Gaussian noise, in the data's units; the most likely one if absent.",
    )
    least_counts: float = Field(
        1e-3,
        gt=0,
        description="Reconstructions below this count as this much, for poisson.",
        json_schema_extra={"unit": "counts"},
    )

"""Parameters of the learners ``spatial-vae``, ``jrvae``, ``vae`` and ``conv-ae``."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue

from ronchi.api import Field
from ronchi_rvae.params import COUNTS, HeldOutParams, LikelihoodParams

__all__ = ["ConvAeParams", "JrvaeParams", "PixelParams", "SpatialVaeParams", "VaeParams"]

_PX: dict[str, JsonValue] = {"unit": "px"}


class PixelParams(HeldOutParams):
    """Which pixels are learned, and how the training goes."""

    mask: Literal["circle", "none"] = Field(
        "none", description="circle: pixels beyond `radius_px` count for nothing; none: the whole window counts."
    )
    radius_px: float | None = Field(
        None,
        gt=1,
        description="Radius of the circle; by default the largest about the centre that lies inside the window.",
        json_schema_extra=_PX,
    )
    counts: bool = Field(False, description=COUNTS)
    normalise: Literal["none", "mean", "contrast"] = Field(
        "none",
        description="mean: divide every image by its mean; contrast: subtract it, divide by the standard deviation.",
    )
    max_samples: int = Field(
        20000, ge=1, description="At most so many samples, drawn at random, are held in memory and fitted."
    )
    n_components: int = Field(2, ge=1, description="Number of descriptors.")
    epochs: int = Field(100, ge=1, description="Passes over the samples, at most.")
    batch: int = Field(100, ge=1, description="Samples a step, over all processes.")
    learning_rate: float = Field(1e-3, gt=0, description="Step of Adam.")
    mixed_precision: bool = Field(True, description="On cuda: bfloat16 for the products of matrices.")


class _VariationalParams(LikelihoodParams, PixelParams):
    noise: Literal["learned", "unit"] = Field(
        "learned",
        description="Variance of gaussian noise: learned; or unit, that of the published code, "
        "in units of the variance over all pixels.",
    )
    hidden: int = Field(128, ge=1, description="Width of the two hidden layers of the encoder and of the decoder.")
    condition: str | None = Field(
        None,
        description="Coordinate of whole numbers along the samples, such as `species`, that encoder and decoder are "
        "given: the latents then describe what varies inside each of its values.",
    )


class VaeParams(_VariationalParams):
    """A plain variational autoencoder: what turns and shifts is content."""

    n_classes: int = Field(
        1, ge=1, description="Classes that share the decoder; above 1 the class is summed over and told (jVAE)."
    )


class SpatialVaeParams(_VariationalParams):
    """An autoencoder whose encoder gives an angle and a shift, and whose decoder draws at turned coordinates."""

    mask: Literal["circle", "none"] = Field(
        "circle",
        description="circle: pixels beyond `radius_px` count for nothing, so that no corner comes into view by a turn; "
        "none: the whole window counts.",
    )
    angle_prior_rad: float = Field(
        0.1,
        gt=0,
        description="Standard deviation of angles: 0.1 as published, for small ones; 1.8 is as wide as the circle.",
        json_schema_extra={"unit": "rad"},
    )
    shift_prior_px: float | None = Field(
        None,
        ge=0,
        description="Standard deviation of shifts; by default 5 % of the window, as published; 0: no shifts, as for "
        "diffraction patterns.",
        json_schema_extra=_PX,
    )
    prior: Literal["proper", "published"] = Field(
        "proper",
        description="proper: angles are normal about 0; published: only the width of an angle's posterior is held to "
        "the prior, as the published code has it.",
    )
    starts: int = Field(
        1,
        ge=1,
        description="Evenly spaced turns that are tried for every image in the first epochs; the best is taken.",
    )
    start_epochs: int = Field(10, ge=0, description="Epochs in which several starts are tried.")
    content_delay: int = Field(0, ge=0, description="Epochs in which only poses are learned, the latents being 0.")


class JrvaeParams(SpatialVaeParams):
    """The same with classes, which are summed over exactly."""

    n_classes: int = Field(4, ge=2, description="Number of classes.")


class ConvAeParams(PixelParams):
    """An autoencoder of two convolutions of 32 and 64 filters, without noise in its latents."""

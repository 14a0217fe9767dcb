"""Parameters of the learners ``polar-invariants``, ``polar-em``, ``rvae`` and ``rrvae``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import JsonValue, model_validator

from ronchi.api import Field, Params

__all__ = [
    "COUNTS",
    "DiscParams",
    "HeldOutParams",
    "LikelihoodParams",
    "PolarEmParams",
    "PolarInvariantsParams",
    "RrvaeParams",
    "RvaeParams",
]

COUNTS = (
    "The images are counts: take 2 sqrt(x + 3/8) first, which makes the noise of all pixels 1. Below about 4 counts a "
    "pixel it is less, and bright pixels are noisier than dark ones again."
)
"""What the parameter `counts` does."""
_PX: dict[str, JsonValue] = {"unit": "px"}


class DiscParams(Params):
    """Which part of an image is described, and how finely."""

    radius_px: float | None = Field(
        None,
        gt=1,
        description="Radius of the disc around the centre that counts; by default the largest that all shifts leave "
        "inside the image.",
        json_schema_extra=_PX,
    )
    band_limit: float = Field(
        2.0,
        gt=0,
        le=3.14,
        description="Finest detail that is described, as a wave number; pi is that of a checkerboard. An atom of "
        "1.3 px standard deviation has nothing beyond 2.",
        json_schema_extra={"unit": "rad/px"},
    )
    counts: bool = Field(False, description=COUNTS)
    normalise: Literal["none", "mean", "contrast"] = Field(
        "none",
        description="mean: divide every image by its mean in the disc; contrast: subtract it, and divide by the "
        "standard deviation there.",
    )
    subtract_probe: bool = Field(
        False,
        description="Subtract the vacuum probe that the data carry as `probe`: its rim is cut along the pixels, and "
        "does not turn with the pattern.",
    )
    max_samples: int = Field(
        20000, ge=1, description="At most so many samples, drawn at random, are held in memory and fitted."
    )
    n_components: int = Field(2, ge=1, description="Number of descriptors.")
    memory_mb: float = Field(
        8000.0,
        gt=0,
        description="Memory that the descriptions of images may take. What is needed goes with the fourth power of "
        "`radius_px` and the square of `band_limit`: 64 px across need 0.2 to 1 GB, 128 px 2 to 7 GB.",
        json_schema_extra={"unit": "MB"},
    )


class PolarInvariantsParams(DiscParams):
    """Products of coefficients that a rotation leaves alone, and their principal components."""


class _MixtureParams(DiscParams):
    n_classes: int | Literal["auto"] = Field(
        "auto", description="Number of classes; auto: split while a class scatters more than noise can."
    )
    max_classes: int = Field(8, ge=1, description="Most classes that are tried.")
    passes: int = Field(8, ge=1, description="Passes over the samples between two changes of the classes, at most.")
    mirror: bool = Field(
        False,
        description="A structure and its mirror image are of one class: each sample may be seen in the mirror, with y "
        "reversed, before it is turned. Where mirror images differ, `mirror` says which one a sample is.",
    )

    @model_validator(mode="after")
    def _is_a_number(self) -> Self:
        if self.n_classes != "auto" and self.n_classes < 1:
            raise ValueError(f"n_classes {self.n_classes} must be at least 1")
        return self


class PolarEmParams(_MixtureParams):
    """A mixture of templates, each seen at any angle and a small shift."""

    max_shift_px: float = Field(
        0.5,
        ge=0,
        le=3,
        description="Largest shift along y and x; 0 where the images share their centre, as diffraction patterns do.",
        json_schema_extra=_PX,
    )


class HeldOutParams(Params):
    """Which samples decide when to stop."""

    held_out: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of the samples that is held out to decide when to stop: whole frames where the samples "
        "have a coordinate `frame`. 0: train for all epochs.",
    )
    patience: int = Field(
        15,
        ge=1,
        description="Stop after so many epochs without a better fit of the samples held out; the best is kept.",
    )


class LikelihoodParams(Params):
    """Which noise the images have."""

    likelihood: Literal["gaussian", "poisson", "bernoulli"] = Field(
        "gaussian",
        description="Noise: gaussian with a learned variance; poisson for counts; bernoulli for maps from 0 to 1.",
    )

    @model_validator(mode="after")
    def _is_of_the_images(self) -> Self:
        plain = {"counts": False, "normalise": "none", "subtract_probe": False}
        altered = [name for name, value in plain.items() if getattr(self, name, value) != value]
        if self.likelihood != "gaussian" and altered:
            what = f"likelihood {self.likelihood} is of the images as they are"
            raise ValueError(f"{what}: leave out {', '.join(f'`{name}`' for name in altered)}")
        return self


class _AutoencoderParams(LikelihoodParams, HeldOutParams, _MixtureParams):
    hidden: int = Field(128, ge=1, description="Width of the two hidden layers of the encoder and of the decoder.")
    epochs: int = Field(30, ge=1, description="Passes over the samples, at most.")
    batch: int = Field(
        256, ge=2, description="Samples a step; fewer where an epoch would else have less than 40 steps."
    )
    learning_rate: float = Field(2e-3, gt=0, description="Largest step of Adam; it falls to 0 along a cosine.")


class RvaeParams(_AutoencoderParams):
    """An autoencoder whose decoder is seen at any angle, which is integrated over, and a small shift."""

    max_shift_px: float = Field(0.5, ge=0, le=3, description="Largest shift along y and x.", json_schema_extra=_PX)


class RrvaeParams(_AutoencoderParams):
    """The same without shifts: diffraction patterns share their centre."""

    n_classes: int | Literal["auto"] = Field(
        1,
        description="Number of classes to start from; auto: split while a class scatters more than noise can. Patterns "
        "vary continuously with the place of the probe, and one class gives them one frame.",
    )

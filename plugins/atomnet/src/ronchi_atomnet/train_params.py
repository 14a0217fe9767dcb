"""Parameters of a training: ``ronchi train atomnet CONFIG.yaml``."""

from __future__ import annotations

from typing import Any, Self

from pydantic import model_validator

from ronchi.api import Field, Params

__all__ = ["LooksParams", "TrainParams"]

Pair = tuple[float, float]
_PX = {"unit": "px"}


class LooksParams(Params):
    """How far images may be from ideal ones; every patch draws from these ranges, and may be turned by any angle."""

    scale: Pair = Field((0.75, 1.35), description="Pixel over `pixel_angstrom`.")
    coarser: float = Field(1.8, ge=1, description="Largest pixel that is recorded, and then made finer, over its own.")
    shear: float = Field(0.05, ge=0, lt=0.5, description="Standard deviation of the scan's distortion, over its size.")
    line_jitter_px: float = Field(0.7, ge=0, description="Largest jitter of lines.", json_schema_extra=_PX)
    blur_px: float = Field(1.2, ge=0, description="Largest blur before the noise.", json_schema_extra=_PX)
    smoothing_px: float = Field(0.8, ge=0, description="Largest blur after it.", json_schema_extra=_PX)
    contamination: float = Field(4.0, ge=0, description="Brightest contamination, in maxima of carbon.")
    dark: Pair = Field((0.02, 2.0), description="Signal without atoms, in maxima of carbon.")
    dose: Pair = Field((2.0, 300.0), description="Counts at a carbon atom.")
    camera_noise: float = Field(0.2, ge=0, description="Largest noise that is no counts, in maxima of carbon.")
    gamma: Pair = Field((0.6, 1.6), description="Power of the brightness.")
    gain: Pair = Field((0.4, 2.5), description="Contrast of a normalised patch: others in its frame may decide it.")
    offset: float = Field(0.6, ge=0, description="Largest shift of a normalised patch, in its standard deviations.")


class TrainParams(Params):
    """Train the network on simulated movies; the seed of the file decides movies, weights, patches and noise."""

    simulator: str = Field("graphene-movie", description="Simulator of the movies, with `atoms/1` truth.")
    simulator_params: dict[str, Any] = Field(
        default_factory=dict, description="Parameters of it that are the same in all movies."
    )
    classes: tuple[str, ...] = Field(
        ("carbon", "silicon"), min_length=1, description="Names of the species, in the order of their numbers in truth."
    )
    movies: int = Field(12, ge=1, description="Movies to learn from.")
    held_out_movies: int = Field(3, ge=1, description="Movies to be judged by.")
    frames: int = Field(4, ge=1, description="Frames of a movie.")
    frame_px: int = Field(360, ge=64, description="Side of a frame; its pixel is 0.6 of the network's.")
    pixel_angstrom: float = Field(
        0.25, gt=0, description="Pixel of the network's images.", json_schema_extra={"unit": "angstrom"}
    )
    target_sigma_px: float = Field(
        1.1,
        gt=0,
        description="Standard deviation of the odds that are learned around an atom.",
        json_schema_extra=_PX,
    )
    looks: LooksParams = Field(LooksParams(), description="What becomes of ideal images.")
    widths: tuple[int, ...] = Field((12, 24, 48), min_length=1, description="Channels at strides 1, 2, 4, ….")
    patch_px: int = Field(80, ge=32, description="Side of a patch.", json_schema_extra=_PX)
    batch: int = Field(8, ge=2, description="Patches in a batch; several processes share it.")
    steps: int = Field(4000, ge=1, description="Batches to learn from.")
    learning_rate: float = Field(2e-3, gt=0, description="Largest step of AdamW.")
    warm_up: int = Field(50, ge=0, description="Batches until the step is largest; it then falls along a cosine.")
    weight_decay: float = Field(0.01, ge=0, description="Of AdamW.")
    average: float = Field(0.99, ge=0, lt=1, description="Of the weights that are kept: a moving average over steps.")
    validate_every: int = Field(100, ge=1, description="Batches between two looks at held-out movies.")
    validation_batches: int = Field(6, ge=1, description="Held-out batches, the same ones at every look.")
    checkpoint_s: float = Field(60.0, gt=0, description="Seconds between checkpoints.", json_schema_extra={"unit": "s"})

    @model_validator(mode="after")
    def _fits(self) -> Self:
        stride = 2 ** (len(self.widths) - 1)
        if self.patch_px % stride:
            raise ValueError(f"patch_px must be a multiple of {stride}, for {len(self.widths)} widths")
        side = 1.4143 * self.patch_px * self.looks.scale[1] * (1 + 3 * self.looks.shear)
        if side > 0.6 * self.frame_px:
            raise ValueError(f"a turned patch has {side / 0.6:.0f} px of a frame: raise frame_px, or lower patch_px")
        return self

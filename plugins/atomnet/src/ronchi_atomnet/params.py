"""Parameters of the atom finders."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, model_validator

from ronchi.api import Field, Params

__all__ = ["LARGEST_SCALE", "SMALLEST_SCALE", "AtomnetParams", "LogParams", "Weights"]

SMALLEST_SCALE, LARGEST_SCALE = 0.05, 20.0
"""Of images to a network's pixel: beyond, an atom is hundreds of pixels or less than one."""

_PX: dict[str, Any] = {"unit": "px"}
_ONE: dict[str, Any] = {"unit": "1"}


def _as_path(value: Any) -> Any:
    # A file is part of what a result depends on, and is looked for beside the pipeline; a name is neither.
    return Path(value) if isinstance(value, str) and value.endswith(".safetensors") else value


Weights = Annotated[str | Path, BeforeValidator(_as_path)]
"""Name of weights in the package, or a .safetensors file."""


class LogParams(Params):
    """Find blobs by the Laplacian of Gaussian, and fit Gaussians to them."""

    sigma_px: float | None = Field(
        None,
        ge=0.7,
        description="Standard deviation of the filter, about that of an atom; from the image's own spacing if absent.",
        json_schema_extra=_PX,
    )
    threshold: float = Field(
        0.3,
        gt=0,
        description="Least response, over that of a typical atom of the same frame.",
        json_schema_extra=_ONE,
    )
    max_false: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="Largest part of the finds that white noise of the same strength would give alone.",
        json_schema_extra=_ONE,
    )
    refine: bool = Field(
        True, description="Fit Gaussians of one width a frame, neighbours included; else the centre of mass stays."
    )
    dark: bool = Field(False, description="Atoms are darker than what is around them, as in bright field.")
    species_above: tuple[float, ...] = Field(
        (),
        description="Ascending: an atom this many times as bright as the median of its frame is of the next species; "
        "(2,) tells silicon from carbon.",
        json_schema_extra=_ONE,
    )

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        if any(low >= high for low, high in pairwise(self.species_above)):
            raise ValueError(f"species_above must ascend, got {self.species_above}")
        return self


class AtomnetParams(Params):
    """Find atoms and their species by a network that has learned from simulated movies."""

    weights: Weights = Field(
        "graphene-si", description="Name of weights that come with the plugin, or a .safetensors file."
    )
    threshold: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Least odds of an atom; as the weights were validated, if absent.",
        json_schema_extra=_ONE,
    )
    scale: float | None = Field(
        None,
        gt=SMALLEST_SCALE,
        le=LARGEST_SCALE,
        description="Pixels of the network a pixel of the images, so that atoms are as far apart as the network has "
        "learned. From the calibration if absent, and without one from the image's own spacing.",
        json_schema_extra=_ONE,
    )
    position: Literal["auto", "odds", "fit"] = Field(
        "auto",
        description="odds: positions by the odds, which the whole surroundings of an atom decide, with standard errors "
        "as on held-out movies. fit: by Gaussians fitted to each atom's own pixels, which is more exact where there is "
        "hardly any noise or jitter. auto: by the odds, but by the fits "
        "in frames where these contradict them, as in sheets that the network has never seen.",
    )
    dark: bool = Field(False, description="Atoms are darker than what is around them, as in bright field.")
    tile_px: int = Field(
        512,
        ge=128,
        description="Side of the tiles, in the network's pixels: the memory goes with it.",
        json_schema_extra=_PX,
    )

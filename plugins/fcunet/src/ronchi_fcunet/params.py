"""Parameters of the learned detector."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from ronchi.api import Field, Params

__all__ = ["FcunetParams", "Weights"]


def _unit(unit: str) -> dict[str, Any]:
    return {"unit": unit}


def _as_path(value: Any) -> Any:
    # A file is part of what a result depends on, and is looked for beside the pipeline; a name is neither.
    return Path(value) if isinstance(value, str) and value.endswith(".safetensors") else value


Weights = Annotated[str | Path, AfterValidator(_as_path)]
"""Name of weights, ``NAME`` or ``NAME@VERSION``, or a .safetensors file."""


class FcunetParams(Params):
    """Find Bragg disks by a neural network that has learned multiple scattering from simulations."""

    weights: Weights = Field(
        "compact",
        description="Name of weights that come with the plugin, NAME@VERSION of some that were fetched, or a "
        ".safetensors file.",
    )
    threshold: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="compact: least probability of a disk; other networks: least structure factor over the largest. "
        "As the weights were validated, if absent.",
        json_schema_extra=_unit("1"),
    )
    dark: bool = Field(
        False,
        description="compact: lattice points with a structure factor are found as well where no light fell, less than "
        "1e-5 of the beam.",
    )
    min_relative: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="compact: least structure factor over the largest of the pattern that a disk is to have, with the "
        "probability that it says. Below 0.03 none was learned; the published score counts none below 0.05.",
        json_schema_extra=_unit("1"),
    )
    max_peaks: int = Field(400, ge=1, le=4096, description="Most disks of a pattern, likeliest first.")
    probe_radius_px: float | None = Field(
        None, gt=0.5, description="Radius of the disks; measured on the probe if absent.", json_schema_extra=_unit("px")
    )
    refine: Literal["likelihood", "none"] = Field(
        "likelihood",
        description="Position below a pixel: likelihood: fit of each disk to the counts around it, where one holds, "
        "several times as exact where disks are apart; none: as the network says.",
    )
    counts_per_electron: float | None = Field(
        None, gt=0, description="Gain of the detector; measured on neighbouring patterns, or on each one, if absent.",
        json_schema_extra=_unit("counts"),
    )  # fmt: skip
    passes: int = Field(
        1,
        ge=1,
        le=64,
        description="Passes that are averaged: compact, of the pattern and its mirror images, at most 8; networks with "
        "dropout, with other dropout, where 1 is without.",
    )
    batch: int | None = Field(
        None,
        ge=1,
        description="Patterns at a time. If absent, as many as `memory_mb` holds on a GPU, and one on a CPU, "
        "where more are hardly faster and would change the last digits with the block.",
    )
    memory_mb: float = Field(1000.0, gt=0, description="Memory for the maps of a batch.", json_schema_extra=_unit("MB"))
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="Numbers of the products; bfloat16 is faster where the processor has it."
    )

"""Parameters of the atom finders."""

from __future__ import annotations

from typing import Any

from ronchi.api import Field, Params

__all__ = ["LogParams"]

_PX: dict[str, Any] = {"unit": "px"}
_ONE: dict[str, Any] = {"unit": "1"}


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

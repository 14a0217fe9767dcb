"""``images/1``: single images and movies."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ronchi.schema.common import ATTR, check_dataset, fail, variable

__all__ = ["NAME", "make", "validate"]

NAME = "images/1"
DIMS = ("frame", "y", "x")


def validate(ds: xr.Dataset, where: str = "") -> xr.Dataset:
    """Check an ``images/1`` data set. Raises `SchemaError`."""
    check_dataset(ds, NAME, {"intensity": DIMS}, None, where)
    if "frame" in ds.coords:
        numbers = ds["frame"].values
        if numbers.dtype.kind not in "iu" or len(np.unique(numbers)) < len(numbers):
            what = f"'frame' holds {numbers.dtype} values that are no numbers of frames, whole and each once"
            raise fail(where or "data set", what, "keep times in a coordinate `time` along `frame`")
    for dim in ("y", "x"):
        if dim in ds.coords and ds[dim].attrs.get("units") not in ("angstrom", "pixel"):
            raise fail(
                where or "data set", f"{dim!r} has units {ds[dim].attrs.get('units')!r}, allowed: angstrom, pixel"
            )
    return ds


def make(intensity: Any, *, step: tuple[float, float] | None = None, units: str = "1", **attrs: Any) -> xr.Dataset:
    """Build an ``images/1`` data set from (frame, y, x) or (y, x); ``step`` is (y, x) in angstrom."""
    array = intensity[None] if intensity.ndim == 2 else intensity
    if array.ndim != 3:
        raise fail("intensity", f"expected 2 or 3 dimensions, got shape {array.shape}")
    coords = {"frame": variable("frame", np.arange(array.shape[0]), "1", "frame number")}
    for axis, dim in enumerate(("y", "x")):
        size = step[axis] if step else 1.0
        coords[dim] = variable(
            dim, np.arange(array.shape[axis + 1]) * size, "angstrom" if step else "pixel", f"position, {dim}"
        )
    kept = {name: value for name, value in attrs.items() if value is not None}
    return validate(
        xr.Dataset({"intensity": variable(DIMS, array, units, "image intensity")}, coords, {**kept, ATTR: NAME})
    )

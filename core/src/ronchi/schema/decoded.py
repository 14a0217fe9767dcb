"""``decoded/1``: images that a learner gives back: mean images, components, grids over its latent space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ronchi.schema.common import ATTR, check_dataset, fail, variable

__all__ = ["NAME", "make", "validate"]

NAME = "decoded/1"


def validate(ds: xr.Dataset, where: str = "") -> xr.Dataset:
    """Check a ``decoded/1`` data set. Raises `SchemaError`."""
    check_dataset(ds, NAME, {}, None, where)
    if "image" not in ds or ds["image"].ndim < 3:
        raise fail(
            where or "data set", "'image' must have dims that number the images, followed by the two of an image"
        )
    return ds


def make(
    image: Any,
    *,
    dims: tuple[str, ...],
    units: str = "1",
    coords: Mapping[str, Any] | None = None,
    attrs: Mapping[str, Any] | None = None,
    **extra: xr.Variable,
) -> xr.Dataset:
    """Build a ``decoded/1`` data set.

    Parameters
    ----------
    image : (..., rows, columns) array
    dims : tuple of str
        ``("class", "y", "x")`` for one image a class; ``("z1", "z0", "y", "x")`` for a grid over two latents.
    coords : mapping, optional
        Coordinates of the latents, the classes, and the pixels.
    **extra : xarray.Variable
        Further variables, such as ``weight`` along ``class``.
    """
    data = {"image": variable(dims, np.asarray(image), units, "decoded image"), **extra}
    return validate(xr.Dataset(data, dict(coords or {}), {**(attrs or {}), ATTR: NAME}))

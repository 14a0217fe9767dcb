"""``atoms/1``: atom positions, one row an atom."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ronchi.schema.common import ATTR, check_dataset, variable

__all__ = ["NAME", "make", "validate"]

NAME = "atoms/1"
_REQUIRED = dict.fromkeys(("frame", "y", "x", "species", "score"), ("atom",))


def validate(ds: xr.Dataset, where: str = "") -> xr.Dataset:
    """Check an ``atoms/1`` data set. Raises `SchemaError`."""
    return check_dataset(ds, NAME, _REQUIRED, {"track": ("atom",)}, where)


def make(
    *,
    frame: Any,
    y: Any,
    x: Any,
    species: Any = None,
    score: Any = None,
    track: Any = None,
    units: str = "pixel",
    **attrs: Any,
) -> xr.Dataset:
    """Build an ``atoms/1`` data set; ``y`` and ``x`` in ``units``, ``species`` as integers."""
    n = len(np.asarray(y))
    data = {
        "frame": variable("atom", np.asarray(frame, np.int32), "1", "frame number"),
        "y": variable("atom", np.asarray(y, float), units, "position, y"),
        "x": variable("atom", np.asarray(x, float), units, "position, x"),
        "species": variable(
            "atom", np.zeros(n, np.int32) if species is None else np.asarray(species, np.int32), "1", "species"
        ),
        "score": variable(
            "atom", np.ones(n, np.float32) if score is None else np.asarray(score, np.float32), "1", "score"
        ),
    }
    if track is not None:
        data["track"] = variable("atom", np.asarray(track, np.int32), "1", "track number, -1 if none")
    return validate(xr.Dataset(data, attrs={**attrs, ATTR: NAME}))

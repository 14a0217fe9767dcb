"""``atoms/1``: atom positions, one row an atom."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ronchi.schema.common import ATTR, check_dataset, variable

__all__ = ["NAME", "make", "validate"]

NAME = "atoms/1"
_REQUIRED = dict.fromkeys(("frame", "y", "x", "species", "score"), ("atom",))
_OPTIONAL = dict.fromkeys(("track", "sigma_y", "sigma_x", "intensity"), ("atom",))


def validate(ds: xr.Dataset, where: str = "") -> xr.Dataset:
    """Check an ``atoms/1`` data set. Raises `SchemaError`."""
    return check_dataset(ds, NAME, _REQUIRED, _OPTIONAL, where)


def make(
    *,
    frame: Any,
    y: Any,
    x: Any,
    species: Any = None,
    score: Any = None,
    track: Any = None,
    sigma_y: Any = None,
    sigma_x: Any = None,
    intensity: Any = None,
    units: str = "pixel",
    intensity_units: str = "1",
    **attrs: Any,
) -> xr.Dataset:
    """Build an ``atoms/1`` data set.

    Parameters
    ----------
    frame, species, track : (n,) int
    y, x : (n,) float
        In ``units``.
    score : (n,) float
        How sure an atom is.
    sigma_y, sigma_x : (n,) float, optional
        Standard errors of ``y`` and ``x``, in ``units``; NaN where they are not known.
    intensity : (n,) float, optional
        Brightness above the background, in ``intensity_units``.
    **attrs
        ``step_angstrom`` (y, x) and ``image_shape`` (rows, columns) tell about the images, and ``image_start`` (y, x),
        in the units of the positions, where their first pixel is if not at 0; ``species_meanings`` names the species,
        with spaces between. Those that are None are left out.
    """
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
    for name, value, unit, meaning in (
        ("sigma_y", sigma_y, units, "standard error of y"),
        ("sigma_x", sigma_x, units, "standard error of x"),
        ("intensity", intensity, intensity_units, "brightness above the background"),
    ):
        if value is not None:
            data[name] = variable("atom", np.asarray(value, np.float32), unit, meaning)
    told = {name: value for name, value in attrs.items() if value is not None}
    return validate(xr.Dataset(data, attrs={**told, ATTR: NAME}))

"""``dynamics/1``: what a movie does in time: counts, fractions, transitions and times in a class, by the frame.

Every part is optional but the axis of frames; the parts that belong together come together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ronchi.schema.common import ATTR, check_dataset, fail, variable

__all__ = ["NAME", "PARTS", "make", "validate"]

NAME = "dynamics/1"

PARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "histograms of the components": {
        "latent_counts": ("frame", "component", "latent_bin"),
        "latent_edges": ("component", "latent_edge"),
    },
    "histogram of the angle": {"angle_counts": ("frame", "angle_bin"), "angle_edges": ("angle_edge",)},
    "fractions of the classes": {
        "fraction": ("frame", "class"),
        "fraction_low": ("frame", "class"),
        "fraction_high": ("frame", "class"),
    },
    "transitions between classes": {
        "transition_counts": ("class", "class_to"),
        "transition": ("class", "class_to"),
        "transition_low": ("class", "class_to"),
        "transition_high": ("class", "class_to"),
    },
    "times in a class": {
        "survival": ("class", "dwell"),
        "survival_low": ("class", "dwell"),
        "survival_high": ("class", "dwell"),
        "n_ended": ("class",),
        "n_censored": ("class",),
    },
    "rings": {"ring_counts": ("frame", "ring_size")},
}
"""Variables of each part, with their dims."""

_PROBABILITIES = ("fraction", "transition", "survival")


def validate(ds: xr.Dataset, where: str = "") -> xr.Dataset:
    """Check a ``dynamics/1`` data set.

    Raises
    ------
    SchemaError
        Besides what all schemas ask for: frames that do not ascend, a part that is there in parts, an angle without
        the attribute ``n_fold``, bins and edges that do not fit, or a probability outside of its interval.
    """
    all_dims = {name: dims for part in PARTS.values() for name, dims in part.items()}
    check_dataset(ds, NAME, {"frame": ("frame",)}, {**all_dims, "n_samples": ("frame",)}, where)
    where = where or "data set"
    if (np.diff(ds["frame"].values) <= 0).any():
        raise fail(where, "the numbers in 'frame' do not ascend", "sort them, each once")
    for part, variables in PARTS.items():
        there = [name for name in variables if name in ds]
        if there and len(there) < len(variables):
            missing = ", ".join(name for name in variables if name not in ds)
            raise fail(where, f"of the {part} {missing} is missing, {', '.join(there)} is there")
    for name in ("latent", "angle"):
        if f"{name}_counts" in ds and ds.sizes[f"{name}_edge"] != ds.sizes[f"{name}_bin"] + 1:
            raise fail(where, f"{name}_counts has {ds.sizes[f'{name}_bin']} bins, so it needs one edge more")
    if "angle_counts" in ds:
        if "n_fold" not in ds["angle_counts"].attrs:
            raise fail(where, "'angle_counts' needs the attribute 'n_fold', the symmetry that it is folded to")
        if ds["angle_edges"].attrs.get("units") != "rad":
            raise fail(where, "'angle_edges' must have units 'rad'")
    for name in _PROBABILITIES:
        if name in ds:
            low, middle, high = (ds[each].values for each in (f"{name}_low", name, f"{name}_high"))
            wrong = (low > middle + 1e-9) | (middle > high + 1e-9) | (low < -1e-9) | (high > 1 + 1e-9)
            if wrong.any():
                raise fail(where, f"{int(wrong.sum())} values of {name!r} lie outside of their interval or of [0, 1]")
    return ds


def make(
    frame: Any, variables: Mapping[str, xr.Variable], coords: Mapping[str, xr.Variable] | None = None, **attrs: Any
) -> xr.Dataset:
    """Build a ``dynamics/1`` data set.

    Parameters
    ----------
    frame : (frame,) int
        Numbers of the frames, ascending.
    variables, coords : mapping of str to xarray.Variable
        Of `PARTS`, and others beside them; ``coords`` along their dims.
    """
    axis = {"frame": variable("frame", np.asarray(frame, np.int32), "1", "frame number")}
    return validate(xr.Dataset(dict(variables), {**axis, **(coords or {})}, {**attrs, ATTR: NAME}))

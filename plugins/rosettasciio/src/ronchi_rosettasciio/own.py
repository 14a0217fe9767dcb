"""HyperSpy's files that ronchi wrote: they say what they are, and hold what HyperSpy has no place for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ronchi.interop.signals import NODE, Parts, dataset_of
from ronchi.schema import fourd, images, peaks, strain
from ronchi_rosettasciio.signals import Signal, text

__all__ = ["restored", "schema_noted"]

_AXES = {fourd.NAME: ["y", "x", "ky", "kx"], images.NAME: ["frame", "y", "x"], strain.NAME: ["component", "y", "x"]}
"""Names of the axes under which each schema is written."""


def schema_noted(signal: Signal) -> str:
    """Schema of which a signal was written, if it still has its form; empty for all others.

    What HyperSpy derives from a signal keeps the metadata, and with them a note that is no longer true.
    """
    node = _node(signal)
    name = text(node.get("schema"))
    if name == peaks.NAME:
        return name if signal.data.dtype == object and "columns" in node else ""
    if _AXES.get(name) != [axis.name for axis in signal.axes] or signal.data.dtype.kind not in "iuf":
        return ""
    if name == strain.NAME and np.shape(node.get("components")) != signal.shape[:1]:
        return ""
    return name


def restored(signal: Signal) -> xr.Dataset:
    """The data set that was written; patterns and images are as lazy as the signal.

    Raises
    ------
    RonchiError
        Somebody gave an axis a unit that is not one of its kind.
    Exception
        Whatever the libraries raise on damaged metadata.
    """
    name = schema_noted(signal)
    data = signal.data
    if name in (peaks.NAME, strain.NAME) and hasattr(data, "dask"):
        data = data.compute(scheduler="synchronous")
    axes = [
        {"name": a.name, "size": a.size, "scale": a.scale, "offset": a.offset, "units": a.unit_text, "navigate": on}
        for a, on in ((axis, axis.navigate or name == peaks.NAME) for axis in signal.axes)
    ]
    # Read now: a fault in masks and maps is then one of this file, and they travel to other processes.
    node = {key: np.asarray(value) if hasattr(value, "dask") else value for key, value in _node(signal).items()}
    return dataset_of(Parts(data, axes, {**signal.metadata, NODE: node}, ragged=name == peaks.NAME))


def _node(signal: Signal) -> Mapping[str, Any]:
    node = signal.metadata.get(NODE)
    return node if isinstance(node, Mapping) else {}

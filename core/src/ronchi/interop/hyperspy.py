"""HyperSpy signals: patterns, images, ragged peaks, stacks of strain maps; `ronchi.interop.signals` has the table."""

from __future__ import annotations

from typing import Any

import xarray as xr

from ronchi.errors import CalibrationError, SchemaError
from ronchi.interop.peers import need
from ronchi.interop.signal_parts import Parts
from ronchi.interop.signals import dataset_of, parts_of

__all__ = ["from_hyperspy", "to_hyperspy"]


def to_hyperspy(ds: xr.Dataset) -> Any:
    """Make a HyperSpy signal (needs ``ronchi[hyperspy]``).

    Parameters
    ----------
    ds : xarray.Dataset
        ``fourd/1`` or ``images/1`` (a Signal2D, lazy if the data are), ``peaks/1`` (a ragged BaseSignal of
        (n, column) arrays, columns ``qy, qx, intensity, …`` in the units of the patterns) or ``strain/1``
        (a Signal2D over its components, whose names are in ``metadata.ronchi.components``).

    Returns
    -------
    hyperspy.signals.BaseSignal

    Raises
    ------
    PluginError
        HyperSpy is not installed.
    SchemaError
    """
    api = need("hyperspy.api", "hyperspy")
    parts = parts_of(ds)
    make = api.signals.BaseSignal if parts.ragged else api.signals.Signal2D
    return signal_from(make, parts)


def signal_from(make: Any, parts: Parts) -> Any:
    """Call a signal class of HyperSpy or of one of its extensions."""
    more = {"ragged": True} if parts.ragged else {}
    metadata = dict(parts.metadata)
    if make.__module__.partition(".")[0] == "hyperspy":
        # The type belongs to pyxem, which may be absent; HyperSpy would warn.
        metadata["Signal"] = {"signal_type": ""}
    signal = make(parts.data, axes=[dict(axis) for axis in parts.axes], metadata=metadata, **more)
    return signal.as_lazy() if parts.lazy else signal


def from_hyperspy(signal: Any) -> xr.Dataset:
    """Take a HyperSpy signal as a data set; lazy data stay lazy.

    Parameters
    ----------
    signal : hyperspy.signals.BaseSignal
        Made by `to_hyperspy`; or a Signal2D with up to two navigation axes, which becomes ``fourd/1``; or a
        ragged signal of peaks as ``find_peaks`` gives it, columns row and column in px, which becomes ``peaks/1``.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    SchemaError
        It has another form.
    CalibrationError
        An axis has a unit that is not understood, or is not uniform.
    """
    if not hasattr(signal, "axes_manager"):
        raise SchemaError(f"a {type(signal).__name__} is no HyperSpy signal", fix="give a hyperspy.signals object")
    return dataset_of(parts_from(signal))


def parts_from(signal: Any) -> Parts:
    """Array, axes and metadata of a signal."""
    uneven = [str(axis.name) for axis in signal.axes_manager._axes if not getattr(axis, "is_uniform", True)]
    if uneven:
        fix = "call its convert_to_uniform_axis() if its steps are even, else signal.interpolate_on_axis"
        raise CalibrationError(f"the axis {uneven[0]!r} is not uniform", fix=fix)
    axes = [
        {
            "name": str(axis.name),
            "size": int(axis.size),
            "scale": float(getattr(axis, "scale", 1.0)),
            "offset": float(getattr(axis, "offset", 0.0)),
            "units": str(axis.units),
            "navigate": bool(axis.navigate),
        }
        for axis in signal.axes_manager._axes
    ]
    ragged = bool(signal.ragged)
    if ragged:
        # An unnamed axis of length one stands in for a missing scan, and has no entry in the array otherwise.
        axes = [axis for axis in axes if axis["navigate"]]
    return Parts(signal.data, axes, signal.metadata.as_dictionary(), ragged)

r"""pyxem: patterns as ElectronDiffraction2D, peaks as DiffractionVectors, strain by its names, order and signs.

========== ============== ==========================================================
ronchi     pyxem          meaning
========== ============== ==========================================================
``e_xx``   ``e11``        along the columns' axis, to the right
``e_yy``   ``e22``        along the rows' axis, downwards
``e_xy``   ``-e12``       shear: the right angle between +x and +y closes
``theta``  ``theta``      lattice turned from +x (right) to +y (down)
========== ============== ==========================================================

pyxem 0.21 decomposes the inverse deformation: its normal strains are turned back to real space, its shear is not
(hence the sign), and its axes turn with the lattice. These errors are not reproduced. The table is for a fit to vectors
with the columns (x, y). A fit to the vectors that pyxem's own peak finder gives, which have the columns (y, x), has
``e11`` along the rows' axis and theta of the other sign: ``from_pyxem(maps, columns="yx")``.

Its diffraction vectors have the columns (y, x, intensity), in the units of the patterns and relative to their
centre: ``DiffractionVectors.from_peaks`` takes the signal axes in reverse, and its markers turn the columns round.
Its patterns have axes in ``$\AA^{-1}$``, which is how its calibration finds out that it is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import xarray as xr

from ronchi.interop.axis_units import q_scale
from ronchi.interop.hyperspy import from_hyperspy, parts_from, signal_from
from ronchi.interop.peers import need
from ronchi.interop.signal_parts import NODE, Parts
from ronchi.interop.signals import dataset_of, parts_of
from ronchi.interop.strain_maps import assemble, rename
from ronchi.schema import fourd, peaks, schema_of

__all__ = ["from_pyxem", "to_pyxem"]

STRAIN = {"e11": ("e_xx", 1), "e22": ("e_yy", 1), "e12": ("e_xy", -1), "theta": ("theta", 1)}
"""Their strain to ours, with the sign between them."""

_STRAIN_OF_ROWS_FIRST = {"e11": ("e_yy", 1), "e22": ("e_xx", 1), "e12": ("e_xy", -1), "theta": ("theta", -1)}
_PYXEM_UNITS = {"1/Å": r"$\AA^{-1}$"}


def to_pyxem(ds: xr.Dataset) -> Any:
    """Patterns, peaks or strain in pyxem's form.

    Parameters
    ----------
    ds : xarray.Dataset
        ``fourd/1``, ``peaks/1`` or ``strain/1``.

    Returns
    -------
    pyxem.signals.ElectronDiffraction2D
        Of patterns, calibrated, with beam energy, camera length and convergence angle; lazy if the data are.
    pyxem.signals.DiffractionVectors
        Of peaks: ragged, columns y, x and intensity.
    dict of (scan_y, scan_x) float64
        Of strain: ``e11``, ``e22``, ``e12`` (of the sign opposite to ours) and ``theta`` [rad], NaN where unfit.
        The values are finite strain on fixed axes.

    Raises
    ------
    PluginError
        pyxem is not installed (``ronchi[pyxem]``); strain does without.
    SchemaError
    """
    name = schema_of(ds)
    if name == fourd.NAME:
        return _patterns(ds)
    if name == peaks.NAME:
        return _vectors(ds)
    return rename(ds, STRAIN)


def _patterns(ds: xr.Dataset) -> Any:
    signals = need("pyxem.signals", "pyxem")
    parts = parts_of(ds)
    axes = [{**axis, "units": _PYXEM_UNITS.get(axis["units"], axis["units"])} for axis in parts.axes]
    return signal_from(signals.ElectronDiffraction2D, replace(parts, axes=axes))


def _vectors(ds: xr.Dataset) -> Any:
    signals = need("pyxem.signals", "pyxem")
    parts = parts_of(ds)
    step, origin = ds.attrs["q_step"], ds.attrs["q_origin_px"]
    units = _PYXEM_UNITS.get("1/Å") if ds["qy"].attrs["units"] == "1/angstrom" else "px"
    tables = np.empty(parts.data.shape, dtype=object)
    for index, table in np.ndenumerate(parts.data):
        tables[index] = np.ascontiguousarray(table[:, :3])
    vectors = signals.DiffractionVectors(
        tables,
        axes=[dict(axis) for axis in parts.axes],
        metadata={**parts.metadata, "Signal": {"signal_type": "diffraction_vectors"}},
        scales=[float(step[0]), float(step[1]), 1.0],
        offsets=[-float(origin[0] * step[0]), -float(origin[1] * step[1]), 0.0],
        detector_shape=tuple(int(n) for n in ds.attrs["q_shape"]),
        column_names=["ky", "kx", "intensity"],
        units=[units, units, "a.u."],
    )
    vectors.has_intensity = True
    return vectors


def from_pyxem(data: Any, *, columns: Literal["xy", "yx"] = "xy", **labels: Any) -> xr.Dataset:
    """Bring patterns, peaks or strain of pyxem into our form.

    Parameters
    ----------
    data : ElectronDiffraction2D, DiffractionVectors, or mapping of str to (scan_y, scan_x) array
        A mapping has the strain maps ``e11, e22, e12, theta``.
    columns : {"xy", "yx"}
        For strain alone: order of the columns of the vectors that it was fitted to.
    **labels
        For strain alone. ``coords``: 1-D coordinates by name, indices by default; ``frame``: ``"detector"``
        (default) or ``"scan"``; ``reference``: what the strain is relative to, in words.

    Returns
    -------
    xarray.Dataset
        ``fourd/1``, ``peaks/1`` or ``strain/1``; the values of strain are pyxem's, and the attribute
        ``measure`` says so.

    Raises
    ------
    SchemaError
        A map is missing, or the shapes differ.
    CalibrationError
        An axis has a unit that is not understood.
    """
    if isinstance(data, Mapping):
        table = STRAIN if columns == "xy" else _STRAIN_OF_ROWS_FIRST
        return assemble(data, table, "polar decomposition of the inverse deformation, of pyxem", **labels)
    about = data.metadata.as_dictionary().get("VectorMetadata") if hasattr(data, "metadata") else None
    return from_hyperspy(data) if about is None else _peaks(data, about)


def _peaks(data: Any, about: Mapping[str, Any]) -> xr.Dataset:
    parts = parts_from(data)
    units = [str(unit) for unit in (about.get("units") or ("px", "px"))]
    scale = q_scale(units[0], "ky")
    factor = scale or 1.0
    node: dict[str, Any] = {"columns": ["qy", "qx", "intensity"], "units": ["pixel" if scale is None else "1/angstrom"]}
    if about.get("scales") is not None:
        steps = [float(step) * factor for step in about["scales"][:2]]
        offsets = [
            float(start) * factor for start in ([0.0, 0.0] if about.get("offsets") is None else about["offsets"])[:2]
        ]
        node["q_step"] = steps
        node["q_origin_px"] = [-start / step for start, step in zip(offsets, steps, strict=True)]
    if about.get("detector_shape") is not None:
        node["q_shape"] = [int(n) for n in about["detector_shape"]]
    tables = np.empty(parts.data.shape, dtype=object)
    for index, table in np.ndenumerate(parts.data.compute() if parts.lazy else parts.data):
        tables[index] = np.asarray(table, float)[:, :3] * ([factor, factor, 1.0][: np.shape(table)[1]])
    metadata = {**parts.metadata, NODE: {**parts.metadata.get(NODE, {}), **node}}
    return dataset_of(Parts(tables, parts.axes, metadata, ragged=True))

"""The truth beside a synthetic scan, in the schemas of the results it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ronchi.optics import disk_radius
from ronchi.schema import fourd, maps, peaks, strain
from ronchi.schema.common import ATTR, variable

__all__ = ["maps_truth", "peaks_truth", "strain_truth"]

Array = NDArray[np.float64]
_EDGE, _OVERLAP, _MASKED = 1, 4, 8


def strain_truth(data: xr.Dataset, components: Mapping[str, Array]) -> xr.Dataset:
    """``strain/1`` truth in the scan frame."""
    units = dict.fromkeys(strain.COMPONENTS, "1") | {"theta": "rad"}
    variables = {
        name: variable(("scan_y", "scan_x"), value, units[name], f"true {name}") for name, value in components.items()
    }
    attrs = {ATTR: "strain/1", "is_truth": 1, "frame": "scan", "reference": "the unstrained lattice"}
    return xr.Dataset(variables, {dim: data[dim].variable for dim in ("scan_y", "scan_x")}, attrs)


def peaks_truth(data: xr.Dataset, table: Mapping[str, NDArray[Any]], hidden: NDArray[np.bool_]) -> xr.Dataset:
    """``peaks/1`` truth: the disks whose centre is on the detector, from indices, centres [px] and electrons.

    Parameters
    ----------
    data : xarray.Dataset
        The scan.
    table : mapping
        From `render`.
    hidden : (qy, qx) bool
        Pixels in the shadow of gaps or beam stop.
    """
    shape = np.array([data.sizes["qy"], data.sizes["qx"]])
    scan_shape = (data.sizes["scan_y"], data.sizes["scan_x"])
    where = table["where"].reshape(len(table["hk"]), -1, 2).swapaxes(0, 1)
    inside = ((where > -0.5) & (where < shape - 0.5)).all(-1)
    step, centre = np.array(fourd.q_step(data)), np.array(fourd.centre_px(data))
    at = where[inside]
    radius = disk_radius(data.attrs["beam_energy_eV"], data.attrs["semiangle_mrad"]) / step
    cut = ((at < radius - 0.5) | (at > shape - 0.5 - radius)).any(1)
    flags = np.zeros(len(at), np.uint16)
    flags[cut] |= _EDGE
    flags[_overlaps(table["where"], radius)[inside]] |= _OVERLAP
    flags[_is_hidden(at, radius, hidden)] |= _MASKED
    ds = peaks.make(
        counts=inside.sum(1),
        qy=(at[:, 0] - centre[0]) * step[0],
        qx=(at[:, 1] - centre[1]) * step[1],
        scan_shape=scan_shape,
        intensity=table["electrons"].reshape(len(table["hk"]), -1).T[inside],
        var_yy=np.zeros(len(at)),
        var_xx=np.zeros(len(at)),
        flags=flags,
        q_step=(step[0], step[1]),
        q_origin_px=(centre[0], centre[1]),
        q_shape=(int(shape[0]), int(shape[1])),
        q_units=fourd.q_units(data),
        scan_coords={dim: data[dim].variable for dim in ("scan_y", "scan_x")},
        attrs={"is_truth": 1},
    )
    hk = np.broadcast_to(table["hk"], (*inside.shape, 2))[inside].astype(np.int32)
    return ds.assign({name: variable("peak", hk[:, i], "1", f"index {name}") for i, name in enumerate("hk")})


def _overlaps(where: Array, radius: Array) -> NDArray[np.bool_]:
    """(pos, n) True for disks that reach into another one of their pattern; centres (n, scan_y, scan_x, 2)."""
    flat = where.reshape(len(where), -1, 2).swapaxes(0, 1) / (2 * radius)
    found = np.zeros(flat.shape[:2], bool)
    for n, centres in enumerate(flat):
        found[n, cKDTree(centres).query_pairs(1.0, output_type="ndarray").ravel()] = True
    return found


def _is_hidden(at: Array, radius: Array, hidden: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """True for disks of which a shadow hides at least a pixel."""
    if not hidden.any():
        return np.zeros(len(at), bool)
    distance, _ = cKDTree(np.argwhere(hidden) / radius).query(at / radius)
    covered: NDArray[np.bool_] = distance < 1.0
    return covered


def maps_truth(data: xr.Dataset, bad: NDArray[np.bool_], origin: Array) -> xr.Dataset:
    """``maps/1`` truth: bad pixels and the beam position [px]."""
    scan = ("scan_y", "scan_x")
    variables = {
        "bad_pixel": variable(("qy", "qx"), bad.astype("i1"), "1", "1 where the detector is bad"),
        "origin_y": variable(scan, origin[..., 0], "pixel", "row of the direct beam"),
        "origin_x": variable(scan, origin[..., 1], "pixel", "column of the direct beam"),
    }
    return maps.make(variables, {dim: data[dim].variable for dim in fourd.DIMS}, {"is_truth": 1})

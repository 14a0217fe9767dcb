"""``peaks/1``: Bragg peaks of many patterns as a CF contiguous ragged array.

Positions are in the units of the patterns' q axes (0 at the centre). The attributes
``q_step`` and ``q_origin_px`` (both y, x) give the pixel back: px = q / step + origin.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import PeakBatch
from ronchi.schema import fourd
from ronchi.schema.common import ATTR, carry_attrs, check_dataset, fail, variable

__all__ = ["NAME", "at", "from_batch", "make", "offsets", "pixels", "to_arrow", "to_awkward", "validate"]

NAME = "peaks/1"
PER_PEAK = ("qy", "qx", "intensity", "score", "var_yy", "var_yx", "var_xx")
_REQUIRED = {
    "n_peaks": ("pos",),
    "scan_y_index": ("pos",),
    "scan_x_index": ("pos",),
    **dict.fromkeys(PER_PEAK, ("peak",)),
}
_OPTIONAL = dict.fromkeys(("h", "k", "flags", "disk_counts"), ("peak",))


def validate(ds: xr.Dataset, where: str = "") -> xr.Dataset:
    """Check a ``peaks/1`` data set.

    Raises
    ------
    SchemaError
    """
    check_dataset(ds, NAME, _REQUIRED, _OPTIONAL, where)
    where = where or "data set"
    if ds["n_peaks"].attrs.get("sample_dimension") != "peak":
        raise fail(where, "'n_peaks' needs the attribute sample_dimension='peak' (CF contiguous ragged array)")
    total = int(ds["n_peaks"].values.sum())
    if total != ds.sizes["peak"]:
        raise fail(where, f"'n_peaks' adds up to {total}, but there are {ds.sizes['peak']} peaks")
    for attr in ("scan_shape", "q_step", "q_origin_px", "q_shape"):
        if np.size(ds.attrs.get(attr, ())) != 2:
            raise fail(where, f"attribute {attr!r} is missing or not two numbers (y, x)")
    for axis, name in enumerate(("scan_y_index", "scan_x_index")):
        index = ds[name].values
        if len(index) and (index.min() < 0 or index.max() >= ds.attrs["scan_shape"][axis]):
            raise fail(where, f"{name!r} lies outside scan_shape {tuple(ds.attrs['scan_shape'])}")
    return ds


def from_batch(batch: PeakBatch, data: xr.Dataset, positions: NDArray[np.int64] | None = None) -> xr.Dataset:
    """Put a detector's peaks (px) on the calibrated axes of the patterns they come from.

    Parameters
    ----------
    batch : PeakBatch
        Peaks of all positions, in scan order.
    data : xarray.Dataset
        The ``fourd/1`` data set.
    positions : (pos,) int array, optional
        Flat scan index (row-major) of each pattern; all of them by default.
    """
    steps, origin = fourd.q_step(data), fourd.centre_px(data)
    disk_counts = np.asarray(batch.disk_counts, np.float32)
    return make(
        counts=batch.counts,
        qy=(batch.qy_px - origin[0]) * steps[0],
        qx=(batch.qx_px - origin[1]) * steps[1],
        intensity=batch.intensity,
        score=batch.score,
        var_yy=batch.var_yy * np.float32(steps[0] ** 2),
        var_yx=batch.var_yx * np.float32(steps[0] * steps[1]),
        var_xx=batch.var_xx * np.float32(steps[1] ** 2),
        flags=batch.flags,
        disk_counts=None if np.isnan(disk_counts).all() else disk_counts,
        scan_shape=(data.sizes["scan_y"], data.sizes["scan_x"]),
        positions=positions,
        q_step=steps,
        q_origin_px=origin,
        q_shape=(data.sizes["qy"], data.sizes["qx"]),
        q_units=fourd.q_units(data),
        scan_coords={
            name: data[name].variable for name in ("scan_y", "scan_x", *fourd.POSITIONS) if name in data.coords
        },
        attrs=carry_attrs(data),
    )


def make(
    *,
    counts: Any,
    qy: Any,
    qx: Any,
    scan_shape: tuple[int, int],
    intensity: Any = None,
    score: Any = None,
    var_yy: Any = None,
    var_yx: Any = None,
    var_xx: Any = None,
    flags: Any = None,
    disk_counts: Any = None,
    positions: Any = None,
    q_step: tuple[float, float] = (1.0, 1.0),
    q_origin_px: tuple[float, float] = (0.0, 0.0),
    q_shape: tuple[int, int] = (0, 0),
    q_units: str = "pixel",
    scan_coords: dict[str, xr.Variable] | None = None,
    attrs: dict[str, Any] | None = None,
) -> xr.Dataset:
    """Build a ``peaks/1`` data set from flat arrays.

    Parameters
    ----------
    counts : (pos,) int
        Peaks of each position.
    qy, qx : (peak,) float
        Position in ``q_units``, 0 at the pattern centre.
    intensity, score, var_yy, var_yx, var_xx : (peak,) float, optional
        1 (variances: 1 on the diagonal, 0 off it) where absent.
    disk_counts : (peak,) float, optional
        Where `intensity` is something else; NaN where they are not known.
    positions : (pos,) int, optional
        Flat scan index of each position; ``arange`` by default.
    scan_coords : dict, optional
        1-D coordinates ``scan_y`` and ``scan_x`` of the scan; positions off the grid, if there are.

    Raises
    ------
    SchemaError
        The lengths do not agree.
    """
    counts = np.asarray(counts, np.int32)
    qy, qx = np.asarray(qy, np.float64), np.asarray(qx, np.float64)
    flat = np.arange(len(counts)) if positions is None else np.asarray(positions)
    area = f"({q_units})^2"

    def column(values: Any, default: float) -> NDArray[np.float32]:
        return np.full(len(qy), default, np.float32) if values is None else np.asarray(values, np.float32)

    data = {
        "n_peaks": variable("pos", counts, "1", "number of peaks", sample_dimension="peak"),
        "scan_y_index": variable("pos", (flat // scan_shape[1]).astype(np.int32), "1", "scan row"),
        "scan_x_index": variable("pos", (flat % scan_shape[1]).astype(np.int32), "1", "scan column"),
        "qy": variable("peak", qy, q_units, "peak position, y"),
        "qx": variable("peak", qx, q_units, "peak position, x"),
        "intensity": variable("peak", column(intensity, 1), "counts", "disk intensity above background"),
        "score": variable("peak", column(score, 1), "1", "signal-to-noise ratio of the detection"),
        "var_yy": variable("peak", column(var_yy, 1), area, "variance of qy"),
        "var_yx": variable("peak", column(var_yx, 0), area, "covariance of qy and qx"),
        "var_xx": variable("peak", column(var_xx, 1), area, "variance of qx"),
    }
    if flags is not None:
        meanings = "edge saturated overlap masked not_refined"
        data["flags"] = variable(
            "peak", np.asarray(flags, np.uint16), "1", "flags of the detection",
            flag_masks=np.array([1, 2, 4, 8, 16], np.uint16), flag_meanings=meanings,
        )  # fmt: skip
    if disk_counts is not None:
        data["disk_counts"] = variable("peak", column(disk_counts, 0), "counts", "counts in the disk above background")
    coords = scan_coords or {
        dim: variable(dim, np.arange(n, dtype=float), "pixel", f"scan position, {dim[-1]}")
        for dim, n in zip(("scan_y", "scan_x"), scan_shape, strict=True)
    }
    all_attrs = {
        ATTR: NAME,
        "Conventions": "CF-1.11",
        "featureType": "point",
        **(attrs or {}),
        "scan_shape": np.array(scan_shape, np.int32),
        "q_step": np.array(q_step, np.float64),
        "q_origin_px": np.array(q_origin_px, np.float64),
        "q_shape": np.array(q_shape, np.int32),
    }
    return validate(xr.Dataset(data, coords, all_attrs))


def offsets(ds: xr.Dataset) -> NDArray[np.int64]:
    """(pos + 1,) start of each position's peaks in the flat arrays."""
    return np.concatenate([[0], np.cumsum(ds["n_peaks"].values, dtype=np.int64)])


def at(ds: xr.Dataset, scan_y: int, scan_x: int) -> xr.Dataset:
    """Peaks of one scan position, by index.

    Raises
    ------
    IndexError
        The position is not in the data set.
    """
    match = (ds["scan_y_index"].values == scan_y) & (ds["scan_x_index"].values == scan_x)
    if not match.any():
        raise IndexError(f"no peaks were recorded for scan position ({scan_y}, {scan_x})")
    pos = int(np.argmax(match))
    edges = offsets(ds)
    return ds.isel(pos=slice(pos, pos + 1), peak=slice(int(edges[pos]), int(edges[pos + 1])))


def pixels(ds: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(peak,) rows and columns of all peaks in px of the frame."""
    step, origin = ds.attrs["q_step"], ds.attrs["q_origin_px"]
    return ds["qy"].values / step[0] + origin[0], ds["qx"].values / step[1] + origin[1]


def to_arrow(ds: xr.Dataset) -> Any:
    """One ``LargeList`` of structs a position, as a pyarrow array (needs pyarrow)."""
    import pyarrow as pa

    columns = [name for name in ds.data_vars if ds[name].dims == ("peak",)]
    struct = pa.StructArray.from_arrays([pa.array(ds[name].values) for name in columns], names=list(map(str, columns)))
    return pa.LargeListArray.from_arrays(pa.array(offsets(ds)), struct)


def to_awkward(ds: xr.Dataset) -> Any:
    """A record array, ragged by position (needs awkward)."""
    import awkward as ak

    flat = ak.zip({str(name): ds[name].values for name in ds.data_vars if ds[name].dims == ("peak",)})
    return ak.unflatten(flat, ds["n_peaks"].values)

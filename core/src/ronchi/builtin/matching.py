"""Peaks found beside true peaks: positions of the scan paired, and peaks matched one to one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from ronchi.errors import DataError
from ronchi.schema import peaks

__all__ = ["Pattern", "match_one_to_one", "matching_positions", "paired_patterns"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pattern:
    """Peaks of one scan position.

    Parameters
    ----------
    points : (n, 2) float64
        (y, x) in the units of q.
    intensity : (n,) float64
    variance : (n, 2) float64
        Of y and x.
    flags : (n,) int
    """

    points: Array
    intensity: Array
    variance: Array
    flags: NDArray[np.int64]

    def select(self, keep: NDArray[np.bool_]) -> Pattern:
        """Peaks where ``keep`` holds."""
        return Pattern(self.points[keep], self.intensity[keep], self.variance[keep], self.flags[keep])


def paired_patterns(result: xr.Dataset, truth: xr.Dataset) -> Iterator[tuple[Pattern, Pattern]]:
    """Yield (found, true) for the scan positions of the truth that the result's scan holds too.

    The two scans are laid on each other by `matching_positions`; found is empty where the
    result has no pattern.

    Raises
    ------
    DataError
        The two are in different units, or the scan of the result is no part of that of the truth.
    """
    units = result["qy"].attrs["units"], truth["qy"].attrs["units"]
    if units[0] != units[1]:
        raise DataError(f"found peaks are in {units[0]}, true ones in {units[1]}", fix="calibrate the data first")
    rows, columns = (
        dict(zip(indices.tolist(), range(len(indices)), strict=True)) for indices in matching_positions(result, truth)
    )
    found = dict(_patterns(result))
    nothing = Pattern(np.empty((0, 2)), np.empty(0), np.empty((0, 2)), np.empty(0, np.int64))
    for (y, x), pattern in _patterns(truth):
        if y in rows and x in columns:
            yield found.get((rows[y], columns[x]), nothing), pattern


def matching_positions(result: xr.Dataset, truth: xr.Dataset) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Scan rows and columns of the truth at which the rows and columns of the result lie.

    Scans in different units, and those without coordinates, are laid on each other by index.

    Returns
    -------
    rows, columns : (scan_y,), (scan_x,) int
        One for each row and column of the result.

    Raises
    ------
    DataError
        A coordinate of the result is none of the truth's to 1 % of a step, or the scans
        cannot be compared by coordinates and differ in size.
    """
    return _matching_indices(result, truth, "scan_y"), _matching_indices(result, truth, "scan_x")


def _matching_indices(result: xr.Dataset, truth: xr.Dataset, dim: str) -> NDArray[np.intp]:
    want, have = (_scan_axis(ds, dim) for ds in (result, truth))
    units = [ds[dim].attrs.get("units") if dim in ds.coords else None for ds in (result, truth)]
    # Coordinates without units may be trusted to fit a part of the scan, but not to contradict the whole.
    if len(have) == len(want) and (units[0] != units[1] or None in units):
        return np.arange(len(have))
    fix = "crop, bin and calibrate both alike"
    if units[0] != units[1] and None not in units:
        raise DataError(
            f"the scan of the result has {len(want)} positions along {dim} in {units[0]}, "
            f"that of the truth {len(have)} in {units[1]}",
            where=dim,
            fix=fix,
        )
    step = float(np.diff(have).mean()) if len(have) > 1 else float(np.diff(want).mean()) if len(want) > 1 else 1.0
    nearest: NDArray[np.intp] = np.abs(have[:, None] - want).argmin(0)
    if (np.abs(have[nearest] - want) > 0.01 * step).any():
        raise DataError(
            f"the scan of the result is no part of that of the truth: along {dim} [{units[0] or '1'}], "
            f"{len(want)} positions from {want[0]:g} to {want[-1]:g} against {len(have)} "
            f"from {have[0]:g} to {have[-1]:g}",
            where=dim,
            fix=fix,
        )
    return nearest


def _scan_axis(ds: xr.Dataset, dim: str) -> Array:
    if dim in ds.coords:
        return ds[dim].values.astype(float)
    size = ds.sizes[dim] if dim in ds.sizes else int(ds.attrs["scan_shape"][("scan_y", "scan_x").index(dim)])
    return np.arange(size, dtype=float)


def _patterns(ds: xr.Dataset) -> Iterator[tuple[tuple[int, int], Pattern]]:
    values = {name: ds[name].values for name in ("qy", "qx", "intensity", "var_yy", "var_xx")}
    flags = ds["flags"].values if "flags" in ds else np.zeros(ds.sizes["peak"], np.int64)
    edges = peaks.offsets(ds)
    for n, (y, x) in enumerate(zip(ds["scan_y_index"].values, ds["scan_x_index"].values, strict=True)):
        part = slice(int(edges[n]), int(edges[n + 1]))
        yield (
            (int(y), int(x)),
            Pattern(
                np.stack([values["qy"][part], values["qx"][part]], 1).astype(float),
                values["intensity"][part].astype(float),
                np.stack([values["var_yy"][part], values["var_xx"][part]], 1).astype(float),
                flags[part].astype(np.int64),
            ),
        )


def match_one_to_one(found: Array, true: Array, tolerance: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pair as many points as possible within ``tolerance``, and those at the least total distance.

    Parameters
    ----------
    found, true : (n, 2), (m, 2) float64
    tolerance : float

    Returns
    -------
    i, j : (k,) int
        ``found[i]`` belongs to ``true[j]``.
    """
    if not len(found) or not len(true):
        none = np.empty(0, np.intp)
        return none, none
    distance = cdist(found, true)
    near = distance < tolerance
    # One pair out of reach costs more than all pairs within it: their number comes first.
    cost = np.where(near, distance, tolerance * (1 + min(distance.shape)))
    i, j = linear_sum_assignment(cost)
    hit = near[i, j]
    return i[hit], j[hit]

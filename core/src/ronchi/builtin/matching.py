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

__all__ = ["Pattern", "match_one_to_one", "paired_patterns"]

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
    """Yield (found, true) for every scan position of the truth; found is empty where the result has none.

    Raises
    ------
    DataError
        The two are in different units, or of different scans.
    """
    units = result["qy"].attrs["units"], truth["qy"].attrs["units"]
    if units[0] != units[1]:
        raise DataError(f"found peaks are in {units[0]}, true ones in {units[1]}", fix="calibrate the data first")
    shapes = tuple(map(int, result.attrs["scan_shape"])), tuple(map(int, truth.attrs["scan_shape"]))
    if shapes[0] != shapes[1]:
        raise DataError(f"found peaks are of a scan of {shapes[0]}, true ones of {shapes[1]}", fix="crop both alike")
    found = dict(_patterns(result))
    nothing = Pattern(np.empty((0, 2)), np.empty(0), np.empty((0, 2)), np.empty(0, np.int64))
    for position, pattern in _patterns(truth):
        yield found.get(position, nothing), pattern


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

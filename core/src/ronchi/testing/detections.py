"""What the contract of disk detectors makes of the disks that were found."""

from __future__ import annotations

import dataclasses

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ronchi.api import PeakBatch, Result
from ronchi.schema import peaks as schema
from ronchi.testing.matching import Match, match

__all__ = ["FLAT", "PLACES", "by_frame", "guess", "number_near", "with_scale"]

FLAT = "make flat arrays: the peaks of the first frame, then those of the next"
PLACES = "`qy_px` is the row, `qx_px` the column of the frame, (0, 0) the centre of the first pixel"


def with_scale(result: Result) -> Result:
    """The same with covariances on top of the product of the standard errors.

    Those of round disks are nothing but rounding errors, and how large they are says nothing of how exact they are.
    """
    data = result.data
    product = np.sqrt(data["var_yy"] * data["var_xx"])
    return dataclasses.replace(result, data=data.assign(var_yx=data["var_yx"] + product))


def by_frame(batch: PeakBatch) -> list[NDArray[np.float64]]:
    """(peaks, 3) rows, columns and intensities of every frame, in the order found."""
    table = np.stack([batch.qy_px, batch.qx_px, batch.intensity.astype(float)], 1)
    return np.split(table, np.cumsum(batch.counts)[:-1])


def guess(found: xr.Dataset, truth: xr.Dataset, got: Match, near_px: float) -> tuple[str, str]:
    """What explains disks at wrong places, if exchanged or flipped axes or frames do, and what to do."""
    y, x = schema.pixels(found)
    step, origin = found.attrs["q_step"], found.attrs["q_origin_px"]
    rows, columns = found.attrs["q_shape"]
    moved = {
        "x and y are exchanged": (x, y),
        "y runs upwards": (rows - 1 - y, x),
        "x runs to the left": (y, columns - 1 - x),
        "positions are relative to the centre": (y + origin[0], x + origin[1]),
        "positions are off by half a pixel or more": (y - 0.5, x - 0.5),
    }
    for text, (new_y, new_x) in moved.items():
        other = found.copy()
        other["qy"] = ("peak", (new_y - origin[0]) * step[0], found["qy"].attrs)
        other["qx"] = ("peak", (new_x - origin[1]) * step[1], found["qx"].attrs)
        if match(other, truth, near_px).recall > max(0.7, 1.5 * got.recall):
            return f"; it looks as if {text}", PLACES
    anywhere, _ = cKDTree(np.stack(schema.pixels(truth), 1)).query(np.stack([y, x], 1))
    if len(anywhere) and (anywhere <= near_px).mean() > max(0.9, 1.5 * got.precision):
        return "; it looks as if peaks were given to other frames than their own", FLAT
    return "", PLACES


def number_near(found: xr.Dataset, place: tuple[int, int]) -> int:
    """Number of disks less than two pixels from a pixel, in all frames together."""
    y, x = schema.pixels(found)
    return int((np.hypot(y - place[0], x - place[1]) < 2).sum())

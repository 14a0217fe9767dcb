"""What a sample of the scan tells a detector before the first block: the mean pattern, and the gain of the camera."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.errors import DataError
from ronchi.pipeline.camera import PairNoise
from ronchi.pipeline.tiles import Tile, read_tile, spread

__all__ = ["Sample", "check_finite", "sample_scan"]

_RUNS, _RUN_LENGTH = 64, 4
_FEW = {"u1": np.uint32, "u2": np.uint32, "i1": np.int32, "i2": np.int32, "f4": np.float32}
"""Types that hold the sum of a run: several times as fast as double precision."""
_PAIRS = 16
"""Pairs of neighbours that tell the noise: more tell little more."""


class Sample(NamedTuple):
    """Of at most 256 patterns, in 64 short runs evenly spread over the scan.

    Attributes
    ----------
    mean_pattern : (qy, qx) float32 array
    counts_per_electron : float or None
        None where it does not show: few patterns, next to no light, neighbours that differ by more than noise, an
        offset.
    """

    mean_pattern: NDArray[np.float32]
    counts_per_electron: float | None


def sample_scan(data: xr.Dataset) -> Sample:
    """Read a sample of a ``fourd/1`` data set; runs instead of single patterns, for a chunk is read as a whole.

    Raises
    ------
    DataError
        A pattern holds NaN or infinity.
    """
    height, width = data.sizes["scan_y"], data.sizes["scan_x"]
    runs = -(-width // _RUN_LENGTH)
    total = np.zeros((data.sizes["qy"], data.sizes["qx"]))
    count = 0
    valid = data["valid"].values.astype(bool) if "valid" in data else None
    noise = PairNoise(data["bad_pixel"].values.astype(bool) if "bad_pixel" in data else None)
    places = spread(height * runs, _RUNS)
    for k, i in enumerate(places):
        y, x = i // runs, i % runs * _RUN_LENGTH
        tile = Tile(y, y + 1, x, min(x + _RUN_LENGTH, width))
        keep = slice(None) if valid is None else valid[y, tile.x0 : tile.x1]
        frames = read_tile(data["intensity"], tile)[keep]
        check_finite(frames, np.stack([np.full(tile.size, y), np.arange(tile.x0, tile.x1)], 1)[keep])
        total += frames.sum(axis=0, dtype=_FEW.get(frames.dtype.str[1:], np.float64))
        count += len(frames)
        # From all over the scan, which may begin in vacuum.
        if len(frames) > 1 and noise.pairs * len(places) <= k * _PAIRS:
            noise.add(frames[0], frames[1])
    return Sample((total / max(1, count)).astype(np.float32), noise.counts_per_electron())


def check_finite(frames: NDArray[Any], positions: NDArray[np.int64]) -> None:
    """Raise `DataError` at the first pattern with NaN or infinity; ``positions`` is (n, 2), (y, x)."""
    if frames.dtype.kind != "f" or bool(np.isfinite(frames).all()):
        return
    bad = ~np.isfinite(frames)
    i, row, column = (int(index[0]) for index in np.nonzero(bad))
    y, x = (int(index) for index in positions[i])
    raise DataError(
        f"the pattern at scan_y {y}, scan_x {x} holds {int(bad[i].sum())} values that are NaN or infinite, "
        f"first at pixel ({row}, {column})",
        where="intensity",
        fix="set `valid` to 0 there, or replace bad pixels by a transform before the detection",
    )

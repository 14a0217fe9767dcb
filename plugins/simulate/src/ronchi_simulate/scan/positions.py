"""Where the probe goes, and which positions are simulated together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ronchi_simulate.params.scan import ScanParams

__all__ = ["position_blocks", "scan_positions"]

Array = NDArray[np.float64]


def scan_positions(params: ScanParams) -> Array:
    """(scan_y, scan_x, 2) probe positions (y, x) in angstrom."""
    scan = zip(params.scan_start_angstrom, params.scan_step_angstrom, params.scan_shape, strict=True)
    axes = [start + step * np.arange(n) for start, step, n in scan]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1)


def position_blocks(tilts: Array, most: int) -> Iterator[NDArray[np.intp]]:
    """Indices of positions with one tilt (n, 2), up to ``most`` at a time, in the order of the first of each tilt."""
    _, first, which = np.unique(tilts, axis=0, return_index=True, return_inverse=True)
    for number in np.argsort(first):
        members = np.flatnonzero(which.reshape(-1) == number)
        yield from np.split(members, range(most, len(members), most))

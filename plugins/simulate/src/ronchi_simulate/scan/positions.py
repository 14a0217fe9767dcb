"""Where the probe goes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ronchi_simulate.params.scan import ScanParams

__all__ = ["scan_positions"]

Array = NDArray[np.float64]


def scan_positions(params: ScanParams) -> Array:
    """(scan_y, scan_x, 2) probe positions (y, x) in angstrom."""
    scan = zip(params.scan_start_angstrom, params.scan_step_angstrom, params.scan_shape, strict=True)
    axes = [start + step * np.arange(n) for start, step, n in scan]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1)

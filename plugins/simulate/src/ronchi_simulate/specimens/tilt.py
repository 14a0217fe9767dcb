"""How a specimen leans along a scan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ronchi_simulate.params.scan import TiltedScanParams

__all__ = ["helical_tilt"]


def helical_tilt(params: TiltedScanParams) -> NDArray[np.float64]:
    """(scan_y, scan_x, 2) lean (y, x) of the zone axis in mrad under each probe, the same along a column."""
    rows, columns = params.scan_shape
    magnitude, direction = (
        np.deg2rad(np.linspace(*ends, columns)) for ends in (params.tilt_magnitude_deg, params.tilt_direction_deg)
    )
    tilt = 1e3 * magnitude[:, None] * np.stack([np.sin(direction), np.cos(direction)], -1)
    return np.tile(tilt, (rows, 1, 1))

"""Which lattice points of a simulated pattern have a disk of light, and which are dark."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

__all__ = ["LEAST_LIT", "lit"]

LEAST_LIT = 1e-5
"""Share of the beam in a disk from which it is lit: an electron in a pattern of 1e5."""


def lit(pattern: NDArray[Any], probe: NDArray[Any], places: NDArray[Any]) -> NDArray[np.float32]:
    """1 where the disk around a place has `LEAST_LIT` of the pattern in it, else 0.

    Parameters
    ----------
    pattern : (qy, qx) array
        Without noise and background. What neighbours that overlap a disk leave in it counts for it.
    probe : (qy, qx) array
        Centred at N // 2; the disk is where it has half of its maximum.
    places : (m, 2) array
        y and x in px; one outside of the frame is asked for at the border.
    """
    disk = (probe > 0.5 * probe.max()).astype(np.float32)
    # A convolution with the disk turned round, whose middle "same" keeps at N // 2.
    light = fftconvolve(pattern, disk[::-1, ::-1], "same")
    y, x = np.clip(np.rint(places).astype(int), 0, np.array(pattern.shape) - 1).T
    return (light[y, x] > LEAST_LIT * pattern.sum()).astype(np.float32)

"""How far peaks may lie from the lattice: what the detector says, and what the model leaves out.

A bright disk's Poisson variance is minute, but its position also carries what no counting statistics
know: dynamical contrast inside the disk, distortions, the pixels. One common variance, added to all
peaks, stands for it; without it the few brightest disks would decide alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["model_variance", "precisions", "usable_variances"]

Floats = NDArray[np.float64]

_MEDIAN_SQUARE = 2 * float(np.log(2.0))  # median of chi-squared with two degrees of freedom


def usable_variances(var: Floats) -> tuple[Floats, bool]:
    """Replace variances that say nothing.

    Parameters
    ----------
    var : (peak, 3) float64
        yy, yx, xx as the detector gave them.

    Returns
    -------
    var : (peak, 3) float64
        Peaks without a proper covariance get the scan's median.
    informative : bool
        False if all peaks have the same one: a place-holder, or no more than a guess of the scale, which the
        residuals tell better.
    """
    yy, yx, xx = var.T
    proper = (yy > 0) & (xx > 0) & (yy * xx > yx * yx) & (yy + xx < np.inf)
    if not proper.any():
        return np.zeros_like(var), False
    if not proper.all():
        typical = np.median(var[proper], axis=0)
        var = np.where(proper[:, None], var, [typical[0], 0.0, typical[2]])
    columns = [var[:, c] for c in range(3)]  # one by one: a reduction over rows of three is slow
    return var, any(np.ptp(column) > 1e-6 * columns[0].max() for column in columns)


def precisions(var: Floats, extra: float) -> Floats:
    """(peak, 3) inverses of the covariances with the variance ``extra`` added to both axes."""
    yy, yx, xx = var[:, 0] + extra, var[:, 1], var[:, 2] + extra
    det = yy * xx - yx * yx
    return np.stack([xx / det, -yx / det, yy / det], axis=1)


def model_variance(residual: Floats, var: Floats, shrinkage: Floats, floor: float) -> float:
    """Common variance that makes the residuals as large as they should be, by their median.

    Parameters
    ----------
    residual : (n, 2) float64
        Of the peaks used (y, x).
    var : (n, 3) float64
        What the detector says of them.
    shrinkage : (n,) float64
        Part of a peak's variance that the fit leaves in its residual.
    floor : float
        Smallest value to return; returned if the detector's variances suffice.
    """

    def excess(extra: float) -> float:
        yy, yx, xx = precisions(var, extra).T
        square = yy * residual[:, 0] ** 2 + 2 * yx * residual[:, 0] * residual[:, 1] + xx * residual[:, 1] ** 2
        return float(np.median(square / shrinkage) - _MEDIAN_SQUARE)

    low, high = floor, floor + 4 * float(np.max(np.sum(residual**2, axis=1) / shrinkage))
    if excess(low) <= 0:
        return floor
    while high > 1.002 * low:
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return high

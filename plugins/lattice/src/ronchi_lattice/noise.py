"""How far peaks may lie from the lattice: what the detector says, and what the model leaves out.

A bright disk's Poisson variance is minute, but its position also carries what no counting statistics know:
dynamical contrast, and the coherent light of everything else beneath it. Light of a fixed amplitude moves a disk
in inverse proportion to the disk's own amplitude, so this error's variance goes as 1 / intensity; its scale is
one number for the scan, found from the residuals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Weights", "model_variance", "precisions", "usable_variances", "weights"]

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


def precisions(var: Floats, extra: Floats) -> Floats:
    """(peak, 3) inverses of the covariances with the variances ``extra`` (peak,) added to both axes."""
    yy, yx, xx = var[:, 0] + extra, var[:, 1], var[:, 2] + extra
    det = yy * xx - yx * yx
    return np.stack([xx / det, -yx / det, yy / det], axis=1)


@dataclass(frozen=True)
class Weights:
    """Weights of peaks in the fit.

    Parameters
    ----------
    precision : (peak, 3) float64
        Inverse covariances yy, yx, xx, model error included.
    typical : float
        Sum of yy and xx of a peak of typical intensity that only the model error moves.
    """

    precision: Floats
    typical: float

    def at(self, rows: NDArray[np.int64]) -> Weights:
        """Those of some peaks."""
        return Weights(self.precision[rows], self.typical)


def weights(var: Floats, extra: float, dimness: Floats) -> Weights:
    """Weights from the detector's variances and the model variance ``extra`` of a typical peak."""
    return Weights(precisions(var, extra * dimness), 2 / extra)


def model_variance(residual: Floats, var: Floats, dimness: Floats, shrinkage: Floats, floor: float) -> float:
    """Model variance of a typical peak that makes the residuals as large as they should be, by their median.

    Parameters
    ----------
    residual : (n, 2) float64
        Of the peaks used (y, x).
    var : (n, 3) float64
        What the detector says of them.
    dimness : (n,) float64
        A typical intensity over theirs: their share of the model variance.
    shrinkage : (n,) float64
        Part of a peak's variance that the fit leaves in its residual.
    floor : float
        Smallest value to return; returned if the detector's variances suffice.
    """

    def excess(extra: float) -> float:
        yy, yx, xx = precisions(var, extra * dimness).T
        square = yy * residual[:, 0] ** 2 + 2 * yx * residual[:, 0] * residual[:, 1] + xx * residual[:, 1] ** 2
        return float(np.median(square / shrinkage) - _MEDIAN_SQUARE)

    low, high = floor, floor + 4 * float(np.max(np.sum(residual**2, axis=1) / shrinkage))
    if excess(low) <= 0:
        return floor
    while high > 1.002 * low:
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return high

"""How far peaks may lie from the lattice: what the detector says, and what the model leaves out.

A bright disk's Poisson variance is minute, but its position also carries what no counting statistics know:
dynamical contrast, and the coherent light of everything else beneath it. Light of a fixed amplitude moves a disk
in inverse proportion to the disk's own amplitude, so this error's variance goes as 1 / intensity; what the
detector's pixels and the rounding of positions leave is the same for all disks. The scales of the two are two
numbers for the scan, found from the residuals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

__all__ = ["ModelError", "Weights", "model_error", "precisions", "relative", "usable_variances", "weights"]

Floats = NDArray[np.float64]

_MEDIAN_SQUARE = 2 * float(np.log(2.0))  # median of chi-squared with two degrees of freedom
_MOST_DIM = 1e3
_EVEN = 1.1  # a spread of intensities smaller than this tells nothing of how the error depends on them
_ODDS = 6.0  # log of the ratio of the two parts of the model error beyond which the smaller does not count
_CLEAR = 10.0  # standard deviations; fewer take the misfit of bright disks for a constant: worse strain of SiGe
_NEAR = 2.0  # log of the ratio of scales: a peak of typical intensity has about the same with any share of the parts


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


def relative(dimness: Floats, typical: float) -> Floats:
    """Dimness (peak,) in units of that of a typical peak, within a factor of 1000 of it; 1 where it is NaN."""
    ratio = np.where(np.isnan(dimness), 1.0, dimness / typical)
    return np.clip(ratio, 1 / _MOST_DIM, _MOST_DIM)


@dataclass(frozen=True)
class ModelError:
    """Variance of a peak's distance from its node, on each axis, beyond what the detector says.

    Parameters
    ----------
    constant : float
        The same for all peaks.
    dimmed : float
        Of a typical peak; goes as 1 / intensity.
    """

    constant: float
    dimmed: float

    @property
    def typical(self) -> float:
        """Variance of a peak of typical intensity."""
        return self.constant + self.dimmed

    def at(self, dimness: Floats) -> Floats:
        """(peak,) variances."""
        variance: Floats = self.constant + self.dimmed * dimness
        return variance


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


def weights(var: Floats, extra: ModelError, dimness: Floats) -> Weights:
    """Weights from the detector's variances and the model error."""
    return Weights(precisions(var, extra.at(dimness)), 2 / extra.typical)


def model_error(residual: Floats, var: Floats, dimness: Floats, left: Floats, floor: float) -> ModelError:
    """Model error that makes the residuals as large as they should be, those of bright and of dim peaks alike.

    It goes as 1 / intensity unless bright peaks clearly lie too far off for that; then it gets a constant part.
    Sizes are judged by medians: stray peaks among the residuals do not count.

    Parameters
    ----------
    residual : (n, 2) float64
        Of the peaks used (y, x).
    var : (n, 3) float64
        What the detector says of them.
    dimness : (n,) float64
        A typical intensity over theirs.
    left : (n,) float64
        Part of a peak's variance that the fit leaves in its residual.
    floor : float
        Smallest variance of a typical peak to return; returned if the detector's variances suffice.
    """
    y, x = residual.T / np.sqrt(left)
    squares = y * y, 2 * y * x, x * x
    var_yy, var_yx, var_xx = np.ascontiguousarray(var.T)
    least, most = np.log(floor), np.log(floor + 4 * float(np.max(squares[0] + squares[2])))

    def distances(log_scale: float, share: float) -> Floats:
        extra = np.exp(log_scale) * (1 - share + share * dimness)
        yy, xx = var_yy + extra, var_xx + extra
        distance: Floats = (xx * squares[0] - var_yx * squares[1] + yy * squares[2]) / (yy * xx - var_yx * var_yx)
        return distance

    def excess(log_scale: float, share: float) -> float:
        return float(np.log(max(_middle(distances(log_scale, share)), 1e-300) / _MEDIAN_SQUARE))

    def scale_of(share: float, low: float, high: float) -> float:
        if excess(low, share) <= 0:
            return low
        return float(brentq(excess, low, high, args=(share,), xtol=2e-3)) if excess(high, share) < 0 else high

    def imbalance(log_odds: float) -> float:
        share = 1 / (1 + np.exp(-log_odds))
        distance = distances(scale_of(share, max(least, even - _NEAR), min(most, even + _NEAR)), share)
        return float(np.log(_middle(distance[~dim]) / _middle(distance[dim])))

    even = scale_of(0.0, least, most)  # the search for the other scales need not start from nothing
    dim = dimness > np.median(dimness)
    if even == least or not dim.any() or np.median(dimness[dim]) < _EVEN * np.median(dimness[~dim]):
        return ModelError(float(np.exp(even)), 0.0)
    # With too much of the part that goes as 1 / intensity, bright peaks lie too far off for what is said of them.
    if imbalance(_ODDS) <= _CLEAR * np.sqrt(8 / len(y)):
        share = 1.0  # the law of coherent light, unless the residuals clearly speak against it
    elif imbalance(-_ODDS) >= 0:
        share = 0.0
    else:
        share = float(1 / (1 + np.exp(-brentq(imbalance, -_ODDS, _ODDS, xtol=0.2))))
    scale = float(np.exp(scale_of(share, least, most)))
    return ModelError((1 - share) * scale, share * scale)


def _middle(values: Floats) -> float:
    """The median, or its upper neighbour: quicker than `numpy.median`."""
    half = len(values) // 2
    return float(np.partition(values, half)[half])

"""How far peaks may lie from the lattice: what the detector says, and what the model leaves out.

A bright disk's Poisson variance is minute, but its position also carries what no counting statistics know:
dynamical contrast, and the coherent light of everything else beneath it. Light of a fixed amplitude moves a disk
in inverse proportion to the disk's own amplitude, so this error's variance goes as 1 / intensity; what the
detector's pixels and the rounding of positions leave is the same for all disks. The scales of the two are two
numbers for the scan, found from the residuals.

How the scatter depends on intensity is told by peaks of the same indices: by which of them lies elsewhere than at the
other positions. What moves a reflection alike at all positions, as dynamical contrast on a zone axis does to the
brightest, moves the reference as well, and strain does not see it.
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
_ODDS = 6.0  # log of the ratio of the two parts of the model error beyond which the smaller does not count
_MISFIT = 0.1  # log of a variance: 5 % of an error bar
_CLEAR = 2.0  # standard deviations
_FEWEST_ALIKE = 8  # peaks of the same indices that tell where these lie in common


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


def _scale(residual: Floats, own: Floats, pattern: Floats, floor: float) -> float:
    """Scale of the model variance that makes the residuals as large as they should be, by their median.

    Parameters
    ----------
    residual : (n, 2) float64
        Of the peaks used (y, x).
    own : (n, 3) float64
        Their covariances from what the detector says of the peaks.
    pattern : (n,) float64
        Their variances from the model, in units of the scale.
    floor : float
        Smallest value to return; returned if the detector's variances suffice.
    """

    def excess(log_scale: float) -> float:
        return _log_misfit(_distances(residual, own, np.exp(log_scale) * pattern))

    low, high = np.log(floor), np.log(floor + 4 * float(np.max(np.sum(residual**2, axis=1) / pattern)))
    if excess(low) <= 0:
        return floor
    return float(np.exp(brentq(excess, low, high, xtol=2e-3) if excess(high) < 0 else high))


def model_error(
    residual: Floats, own: Floats, even: Floats, dimmed: Floats, dimness: Floats, hk: NDArray[np.int32], floor: float
) -> ModelError:
    """Model error that goes as 1 / intensity, with a constant part if bright peaks scatter too far for that.

    They scatter about where most peaks of their indices lie, in units of what all residuals tell. Sizes are
    judged by medians: stray peaks among the residuals do not count.

    Parameters
    ----------
    residual : (n, 2) float64
        Of the peaks used (y, x).
    own : (n, 3) float64
        Their covariances from what the detector says of the peaks.
    even, dimmed : (n,) float64
        Their variances from a variance of 1 of all peaks, and from one that is the dimness of each.
    dimness : (n,) float64
        A typical intensity over theirs.
    hk : (n, 2) int32
        Their indices. Where few have the same, as in a scan of a few positions, there is no constant part.
    floor : float
        Smallest variance to return.
    """
    rows, scatter = _scatter_of_alike(residual, hk)
    bright = dimness[rows] <= np.median(dimness[rows]) if len(rows) else np.zeros(0, bool)
    rows, scatter = rows[bright], scatter[bright]

    def error(share: float) -> ModelError:
        scale = _scale(residual, own, (1 - share) * even + share * dimmed, floor)
        return ModelError((1 - share) * scale, share * scale)

    def misfit(extra: ModelError) -> float:
        return _log_misfit(_distances(scatter, own[rows], extra.constant * even[rows] + extra.dimmed * dimmed[rows]))

    def misfit_of(log_odds: float) -> float:
        return misfit(error(1 / (1 + np.exp(-log_odds))))

    only_dimmed = error(1.0)
    # The logarithm of the median of n squared distances is known to 1.5 / sqrt(n).
    if not len(rows) or misfit(only_dimmed) <= max(_MISFIT, _CLEAR * 2 / np.sqrt(len(rows))):
        return only_dimmed
    if misfit_of(-_ODDS) >= 0:
        return error(0.0)
    if misfit_of(_ODDS) <= 0:
        return error(1 / (1 + np.exp(-_ODDS)))
    return error(float(1 / (1 + np.exp(-brentq(misfit_of, -_ODDS, _ODDS, xtol=0.2)))))


def _log_misfit(distances: Floats) -> float:
    """0 if the squared distances (n,) are as large as they should be, by their median."""
    half = len(distances) // 2
    middle = float(np.partition(distances, half)[half])  # quicker than `numpy.median`
    return float(np.log(max(middle, 1e-300) / _MEDIAN_SQUARE))


def _distances(residual: Floats, var: Floats, extra: Floats) -> Floats:
    """(n,) squared Mahalanobis distances, for covariances (n, 3) and variances (n,) beyond them."""
    (y, x), yx = residual.T, var[:, 1]
    yy, xx = var[:, 0] + extra, var[:, 2] + extra
    distance: Floats = (xx * y * y - 2 * yx * y * x + yy * x * x) / (yy * xx - yx * yx)
    return distance


def _scatter_of_alike(residual: Floats, hk: NDArray[np.int32]) -> tuple[NDArray[np.int64], Floats]:
    """Rows (m,) of peaks whose indices enough others share, and how far (m, 2) they lie from the median of these."""
    name = hk[:, 0].astype(np.int64) * 2**32 + hk[:, 1]
    order = np.argsort(name, kind="stable")
    ends = np.flatnonzero(np.diff(name[order])) + 1
    alike = [rows for rows in np.split(order, ends) if len(rows) >= _FEWEST_ALIKE]
    if not alike:
        return np.zeros(0, np.int64), np.zeros((0, 2))
    # The variance about the median of n is smaller by 1 - (2 - pi / 2) / n.
    lost = 2 - np.pi / 2
    scatter = [(residual[rows] - np.median(residual[rows], axis=0)) / np.sqrt(1 - lost / len(rows)) for rows in alike]
    return np.concatenate(alike), np.concatenate(scatter)

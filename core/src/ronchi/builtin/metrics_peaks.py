"""Metrics of peak lists: ``peak-f1``, ``peak-rmse``, and equation (1) of the FCU-Net paper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from ronchi.api import Context
from ronchi.builtin.matching import Pattern, match_one_to_one, paired_patterns
from ronchi.builtin.params_metrics import Eq1Params, PeakF1Params, PeakRmseParams
from ronchi.errors import DataError

__all__ = ["Eq1", "PeakF1", "PeakRmse", "eq1_accuracy", "position_variance"]

Array = NDArray[np.float64]
EDGE, MASKED = 1, 8
"""Bits of the flag for disks that the border cuts, and that something hides."""


class PeakF1:
    """Precision, recall and F1 of the peaks, matched one to one within a tolerance."""

    def __init__(self, params: PeakF1Params) -> None:
        self.params = params

    def score(self, result: xr.Dataset, truth: xr.Dataset, ctx: Context) -> Mapping[str, float]:
        """Score ``peaks/1`` against ``peaks/1`` truth over all patterns together.

        Returns
        -------
        dict
            ``precision``, ``recall``, ``f1``, ``n_true``, ``n_found``, ``n_matched``, and
            ``f1_worst``, the lowest F1 of a pattern.

        Raises
        ------
        DataError
            Units or scans differ.
        """
        totals, each = np.zeros(3), []
        for found, true, i, _ in _matched(result, truth, self.params):
            counts = np.array([len(i), len(found.points), len(true.points)], float)
            totals += counts
            each.append(_f1(counts))
        matched, n_found, n_true = totals.tolist()
        return {
            "precision": matched / n_found if n_found else np.nan,
            "recall": matched / n_true if n_true else np.nan,
            "f1": _f1(totals),
            "f1_worst": min(each, default=np.nan),
            "n_true": n_true,
            "n_found": n_found,
            "n_matched": matched,
        }


def _f1(counts: Array) -> float:
    matched, n_found, n_true = counts
    return float(2 * matched / (n_found + n_true)) if n_found + n_true else 1.0


class PeakRmse:
    """Position error of the matched peaks."""

    def __init__(self, params: PeakRmseParams) -> None:
        self.params = params

    def score(self, result: xr.Dataset, truth: xr.Dataset, ctx: Context) -> Mapping[str, float]:
        """Score ``peaks/1`` against ``peaks/1`` truth.

        Returns
        -------
        dict
            In px: ``rms_px`` (a coordinate: square root of half the mean squared distance),
            ``bias_y_px``, ``bias_x_px``, ``median_px`` and ``p95_px`` of the distance; ``z``,
            the RMS of error over stated standard error (1 if the covariances are right);
            ``recall`` beside them, as a detector that drops the hard peaks looks precise. With
            `PeakRmseParams.radius_px`: ``bound_px``, the RMS of the Cramér-Rao bounds of the same
            peaks from their true counts, and ``efficiency``, that over ``rms_px``: 1 is the best.

        Raises
        ------
        DataError
            Units or scans differ.
        """
        step = np.asarray(truth.attrs["q_step"], float)
        errors, stated, counts, n_true = [np.empty((0, 2))], [np.empty((0, 2))], [np.empty(0)], 0
        for found, true, i, j in _matched(result, truth, self.params):
            errors.append((found.points[i] - true.points[j]) / step)
            stated.append(found.variance[i] / step**2)
            counts.append(true.intensity[j])
            n_true += len(true.points)
        error, variance = np.concatenate(errors), np.concatenate(stated)
        if not len(error):
            names = ("rms_px", "bias_y_px", "bias_x_px", "median_px", "p95_px", "z")
            undefined = dict.fromkeys([*names, *self._efficiency(np.empty(0), 0.0)], np.nan)
            return {**undefined, "recall": 0.0 if n_true else np.nan}
        distance = np.hypot(*error.T)
        good = variance > 0
        rms_px = float(np.sqrt((error**2).mean()))
        return {
            "rms_px": rms_px,
            "bias_y_px": float(error[:, 0].mean()),
            "bias_x_px": float(error[:, 1].mean()),
            "median_px": float(np.median(distance)),
            "p95_px": float(np.quantile(distance, 0.95)),
            "z": float(np.sqrt((error[good] ** 2 / variance[good]).mean())) if good.any() else np.nan,
            "recall": len(error) / n_true,
            **self._efficiency(np.concatenate(counts), rms_px),
        }

    def _efficiency(self, counts: Array, rms_px: float) -> dict[str, float]:
        """Bound and efficiency for disks of so many counts; empty where the disk is not given."""
        radius, edge = self.params.radius_px, self.params.edge_px
        if radius is None or edge is None:
            return {}
        bound = float(np.sqrt(position_variance(counts, radius, edge).mean())) if len(counts) else np.nan
        return {"bound_px": bound, "efficiency": bound / rms_px if rms_px else np.nan}


def position_variance(counts: Array, radius_px: float, edge_px: float) -> Array:
    """Cramér-Rao bound of the variance of a disk's row or column, px^2, from Poisson counts without background.

    The Fisher information of one coordinate is the integral of (d mu / dx)^2 / mu. For mu = N s(r) / A with the
    logistic edge s, s' = -s (1 - s) / a, it is pi N (R / (2 a) + 1 / 2) / A, and the area A is
    pi R^2 (1 + (pi a / R)^2 / 3): about N / (2 a R). The edge alone tells the position, and a sharper one tells more.

    Parameters
    ----------
    counts : (n,) float64
        Electrons N in each disk.
    radius_px, edge_px : float
        R and a.
    """
    ratio = edge_px / radius_px
    with np.errstate(divide="ignore"):
        return 2 * edge_px * radius_px / counts * (1 + (np.pi * ratio) ** 2 / 3) / (1 + ratio)


def _matched(
    result: xr.Dataset, truth: xr.Dataset, params: PeakF1Params | PeakRmseParams
) -> Iterator[tuple[Pattern, Pattern, NDArray[np.intp], NDArray[np.intp]]]:
    """Yield what counts of the found and the true peaks of each pattern, with their pairs.

    Distances are taken in the unit of the tolerance, so that px are px on both axes.
    """
    step = np.asarray(truth.attrs["q_step"], float) if params.tolerance_unit == "px" else np.ones(2)
    for found, true in paired_patterns(result, truth):
        found_at, true_at = found.points / step, true.points / step
        strong = true.intensity >= params.min_truth_fraction * true.intensity.max(initial=0)
        counts = strong & (np.hypot(*true_at.T) >= params.exclude_radius)
        if params.whole_disks_only:
            counts &= (true.flags & (EDGE | MASKED)) == 0
        # A peak on a true one that does not count is neither right nor wrong.
        i, j = match_one_to_one(found_at, true_at, params.tolerance)
        judged = np.hypot(*found_at.T) >= params.exclude_radius
        judged[i[~counts[j]]] = False
        pairs = match_one_to_one(found_at[judged], true_at[counts], params.tolerance)
        yield found.select(judged), true.select(counts), *pairs


class Eq1:
    """Accuracy of equation (1) of Munshi et al. (2022), as the paper's code computes it and one to one."""

    def __init__(self, params: Eq1Params) -> None:
        self.params = params

    def score(self, result: xr.Dataset, truth: xr.Dataset, ctx: Context) -> Mapping[str, float]:
        """Score ``peaks/1`` against ``peaks/1`` truth.

        Weights are amplitudes: structure factors, in volt, as they are, and the root of any other intensity.

        Returns
        -------
        dict
            ``accuracy`` (as coded) and ``accuracy_one_to_one``, means over the patterns, and
            ``accuracy_median``, ``accuracy_one_to_one_median``; ``n``, the patterns with
            true peaks.

        Raises
        ------
        DataError
            The peaks are not in 1/angstrom, or of different scans.

        References
        ----------
        Munshi et al., npj Comput. Mater. 8, 254 (2022), doi:10.1038/s41524-022-00939-9.
        """
        if truth["qy"].attrs["units"] != "1/angstrom":
            raise DataError(
                "equation (1) has its tolerance in 1/angstrom, the peaks are in px", fix="calibrate the data"
            )
        p = self.params
        roots = [ds["intensity"].attrs.get("units") != "V" for ds in (result, truth)]
        scores = []
        for pair in paired_patterns(result, truth):
            (found, found_weight), (true, true_weight) = (
                _outside(pattern, p.central_radius_inv_angstrom, root)
                for pattern, root in zip(pair, roots, strict=True)
            )
            strong = true_weight > p.min_truth_fraction * true_weight.max(initial=0)
            if strong.any():
                tolerance = p.tolerance_inv_angstrom
                scores.append(eq1_accuracy(found, found_weight, true[strong], true_weight[strong], tolerance=tolerance))
        if not scores:
            names = ("accuracy", "accuracy_median", "accuracy_one_to_one", "accuracy_one_to_one_median")
            return {**dict.fromkeys(names, np.nan), "n": 0.0}
        coded, single = np.array(scores).T
        return {
            "accuracy": float(coded.mean()),
            "accuracy_median": float(np.median(coded)),
            "accuracy_one_to_one": float(single.mean()),
            "accuracy_one_to_one_median": float(np.median(single)),
            "n": float(len(scores)),
        }


def _outside(pattern: Pattern, radius: float, root: bool) -> tuple[Array, Array]:
    keep = np.hypot(*pattern.points.T) > radius
    weight = pattern.intensity[keep].clip(0)
    return pattern.points[keep], np.sqrt(weight) if root else weight


def eq1_accuracy(
    found: Array, found_weight: Array, true: Array, true_weight: Array, *, tolerance: float
) -> tuple[float, float]:
    """Equation (1), TP / (TP + FP + FN), of one pattern.

    TP and FP are the parts of the found weight on and off true peaks, FN the part of the
    true weight that was not found. As coded, any number of found peaks may lie on one true
    peak, and one may serve several; one to one, each counts once.

    Parameters
    ----------
    found, true : (n, 2), (m, 2) float64
        Positions, m > 0.
    found_weight, true_weight : (n,), (m,) float64
        Amplitudes.
    tolerance : float
        In the units of the positions.

    Returns
    -------
    as_coded, one_to_one : float
        0 for a pattern without found weight.
    """
    if not len(found) or found_weight.sum() <= 0:
        return 0.0, 0.0
    near = cdist(found, true) < tolerance
    i, j = match_one_to_one(found, true, tolerance)
    paired_found, paired_true = np.zeros(len(found), bool), np.zeros(len(true), bool)
    paired_found[i], paired_true[j] = True, True

    def accuracy(hit: NDArray[np.bool_], seen: NDArray[np.bool_]) -> float:
        true_positive = found_weight[hit].sum() / found_weight.sum()
        false_negative = true_weight[~seen].sum() / true_weight.sum()
        # TP + FP = 1: both are parts of the found weight.
        return float(true_positive / (1 + false_negative))

    return accuracy(near.any(1), near.any(0)), accuracy(paired_found, paired_true)

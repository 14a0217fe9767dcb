"""Metric ``angle-resultant``: how well an orientation is found, up to the symmetry of each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context
from ronchi.builtin.pairing import class_names, classes_of, flat, paired_truth, true_angle
from ronchi.builtin.params_descriptors import AngleResultantParams
from ronchi.errors import DataError

__all__ = ["AngleResultant", "Resultant", "angle_resultant"]

Array = NDArray[np.float64]


class Resultant(NamedTuple):
    """Agreement of angles modulo 2 pi / n.

    Parameters
    ----------
    resultant : float
        Length of the mean of exp(i n (found - true)): 1 if all differ by the same, 0 if by chance.
    offset : float
        That difference, in rad.
    mae : float
        Mean absolute difference in rad, once the offset is taken off.
    beyond : float
        Part of the samples that are off by more than half of the most that is possible, pi / (2 n).
    """

    resultant: float
    offset: float
    mae: float
    beyond: float


def angle_resultant(found: Array, true: Array, n_fold: int = 1, weight: Array | None = None) -> Resultant:
    """Compare angles up to a symmetry and one offset.

    Parameters
    ----------
    found, true : (n,) float
        In rad.
    n_fold : int
    weight : (n,) float, optional

    References
    ----------
    Mardia & Jupp, Directional Statistics (2000), section 2.3.
    """
    if not len(found):
        return Resultant(np.nan, np.nan, np.nan, np.nan)
    weights = np.ones(len(found)) if weight is None else np.asarray(weight, float)
    weights = weights / weights.sum()
    mean = complex((weights * np.exp(1j * n_fold * (found - true))).sum())
    offset = float(np.angle(mean)) / n_fold
    error = np.abs(np.angle(np.exp(1j * n_fold * (found - true - offset)))) / n_fold
    beyond = float((weights * (error > np.pi / (2 * n_fold))).sum())
    return Resultant(abs(mean), offset, float((weights * error).sum()), beyond)


class AngleResultant:
    """Circular resultant and mean absolute error, with one offset a class."""

    def __init__(self, params: AngleResultantParams) -> None:
        self.params = params

    def score(self, result: xr.Dataset, truth: xr.Dataset, ctx: Context) -> Mapping[str, float]:
        """Score the ``angle`` of ``descriptors/1``.

        Returns
        -------
        dict
            For each class of the truth ``resultant_*``, ``mae_deg_*``, ``beyond_*`` and ``n_*``;
            ``resultant_min``, ``mae_deg_max`` over the classes and ``resultant_mean``, ``mae_deg_mean`` over the
            samples; ``coverage``, the part of the samples that has an angle.

        Raises
        ------
        DataError
            There is no angle, or the truth does not fit.
        """
        where, p = "angle-resultant", self.params
        if "angle" not in result:
            raise DataError("the result has no 'angle'", where=where, fix="score a learner that finds one")
        truth = paired_truth(result, truth, where)
        found = flat(result, "angle").astype(np.float64)
        true, folds = true_angle(truth, p.angle, p.n_fold, where)
        if p.reverse:
            true = -true
        if p.weight and p.weight not in truth:
            raise DataError(f"the truth has no {p.weight!r}", where=where)
        weight = flat(truth, p.weight).astype(np.float64) if p.weight else np.ones(len(true))
        labels = classes_of(truth, p.classes, len(true))
        wanted = np.isfinite(true) & np.isfinite(weight)
        known = wanted & np.isfinite(found)
        figures: dict[str, float] = {}
        each: list[tuple[float, Resultant]] = []
        for k, name in class_names(truth, labels).items():
            chosen = known & (labels == k)
            fold = folds.get(k, folds.get(-1, 1))
            found_k = angle_resultant(found[chosen], true[chosen], fold, weight[chosen])
            figures |= {
                f"resultant_{name}": found_k.resultant,
                f"mae_deg_{name}": float(np.rad2deg(found_k.mae)),
                f"beyond_{name}": found_k.beyond,
                f"n_{name}": float(chosen.sum()),
            }
            if chosen.any():
                each.append((float(chosen.sum()), found_k))
        share = np.array([n for n, _ in each]) / max(1.0, sum(n for n, _ in each))
        resultant = np.array([found_k.resultant for _, found_k in each])
        mae = np.rad2deg([found_k.mae for _, found_k in each])
        summary = {
            "resultant_min": float(resultant.min()) if each else np.nan,
            "resultant_mean": float(share @ resultant) if each else np.nan,
            "mae_deg_max": float(mae.max()) if each else np.nan,
            "mae_deg_mean": float(share @ mae) if each else np.nan,
            "coverage": float(known.sum() / wanted.sum()) if wanted.any() else np.nan,
        }
        return summary | figures

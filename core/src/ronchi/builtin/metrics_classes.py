"""Metric ``adjusted-rand``: classes found against true ones, whatever they are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ronchi.api import Context
from ronchi.builtin.pairing import flat, paired_truth
from ronchi.builtin.params_descriptors import AdjustedRandParams
from ronchi.errors import DataError

__all__ = ["AdjustedRand", "adjusted_rand_index", "contingency"]


def contingency(found: NDArray[Any], true: NDArray[Any]) -> NDArray[np.int64]:
    """(true classes, found classes) numbers of samples."""
    _, rows = np.unique(true, return_inverse=True)
    _, columns = np.unique(found, return_inverse=True)
    table = np.zeros((rows.max(initial=-1) + 1, columns.max(initial=-1) + 1), np.int64)
    np.add.at(table, (rows, columns), 1)
    return table


def adjusted_rand_index(table: NDArray[np.int64]) -> float:
    """Agreement of two partitions: 1 if they are the same, 0 on average by chance.

    Parameters
    ----------
    table : (i, j) int
        From `contingency`.

    References
    ----------
    Hubert & Arabie, J. Classif. 2, 193 (1985), doi:10.1007/BF01908075.
    """
    n = float(table.sum())
    if n < 2:
        return np.nan
    pairs, by_row, by_column = (
        float((counts * (counts - 1.0) / 2).sum()) for counts in (table, table.sum(1), table.sum(0))
    )
    expected = by_row * by_column / (n * (n - 1) / 2)
    most = (by_row + by_column) / 2
    return (pairs - expected) / (most - expected) if most != expected else 1.0


class AdjustedRand:
    """Adjusted Rand index, and the accuracy under the best naming of the classes."""

    def __init__(self, params: AdjustedRandParams) -> None:
        self.params = params

    def score(self, result: xr.Dataset, truth: xr.Dataset, ctx: Context) -> Mapping[str, float]:
        """Score the ``label`` of ``descriptors/1``.

        Returns
        -------
        dict
            ``ari``; ``accuracy``, of the best one-to-one naming; ``purity``, where found classes may share a true
            one; ``n_found`` and ``n_true``, numbers of classes; ``coverage``, the part of the samples with a class.

        Raises
        ------
        DataError
            There are no labels, or the truth does not fit.
        """
        where = "adjusted-rand"
        if "label" not in result:
            raise DataError(
                "the result has no 'label'", where=where, fix="find classes in `z` with a step gmm or kmeans"
            )
        truth = paired_truth(result, truth, where)
        if self.params.classes not in truth:
            raise DataError(f"the truth has no {self.params.classes!r}", where=where)
        found, true = flat(result, "label"), flat(truth, self.params.classes)
        labelled = found >= 0
        table = contingency(found[labelled], true[labelled])
        n = max(1, int(table.sum()))
        best = table[linear_sum_assignment(table, maximize=True)].sum() if table.size else 0
        return {
            "ari": adjusted_rand_index(table),
            "accuracy": float(best) / n,
            "purity": float(table.max(0, initial=0).sum()) / n,
            "n_found": float(table.shape[1]),
            "n_true": float(table.shape[0]),
            "coverage": float(labelled.mean()) if len(labelled) else np.nan,
        }

"""Learner ``kmeans``: every sample belongs to the nearest mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context
from ronchi.schema.common import variable
from ronchi_gmm.learner import Encoded, Learner, State
from ronchi_gmm.params import KmeansParams
from ronchi_gmm.samples import Floats, Samples

__all__ = ["Kmeans"]

_MAX_PASSES = 20


class Kmeans(Learner):
    """k-means; the classes come in the order of their size.

    Data larger than memory begin with the means of a random part, and are then passed whole until they settle.

    Parameters
    ----------
    params : KmeansParams
    """

    name = "kmeans"
    params: KmeansParams

    def sides(self) -> dict[str, xr.Dataset]:
        """Give the mean image of every class, and the part of the samples that it holds."""
        weight = variable("class", self.state["weight"], "1", "part of the samples")
        return {"means": self._image_side(self.state["means"], "class", weight=weight)}

    def _fit(self, samples: Samples, ctx: Context) -> State:
        from sklearn.cluster import KMeans

        p = self.params
        rows = samples.rows(ctx, p.n_classes, f"{p.n_classes} classes")
        fitted = KMeans(
            p.n_classes, n_init=p.n_init, max_iter=p.max_iter, random_state=int(ctx.rng.integers(2**31))
        ).fit(rows)
        means, counts = fitted.cluster_centers_, np.bincount(fitted.labels_, minlength=p.n_classes)
        del rows
        if not samples.whole:
            means, counts = _settled(samples, means, ctx)
        order = np.argsort(-counts, kind="stable")
        return {"means": means[order].astype(np.float32), "weight": counts[order] / counts.sum()}

    def _encode(self, rows: Floats) -> Encoded:
        distance = _distances(rows, self.state["means"])
        return Encoded(distance, label=distance.argmin(1))


def _settled(samples: Samples, means: NDArray[Any], ctx: Context) -> tuple[NDArray[Any], NDArray[Any]]:
    """Lloyd's iteration over all samples, block by block; stops when hardly any changes its class."""
    before: NDArray[Any] | None = None
    for _ in range(_MAX_PASSES):
        sums, counts = np.zeros(means.shape, np.float64), np.zeros(len(means), np.int64)
        labels = np.full(samples.total, -1, np.int16)
        for positions, rows in samples.batches(ctx):
            nearest = _distances(rows, means).argmin(1)
            labels[positions] = nearest
            counts += np.bincount(nearest, minlength=len(means))
            for k in range(len(means)):
                sums[k] += rows[nearest == k].sum(0, dtype=np.float64)
        filled = counts > 0
        means = means.copy()
        means[filled] = sums[filled] / counts[filled, None]
        if before is not None and (labels != before).mean() < 1e-4:
            break
        before = labels
    return means, counts


def _distances(rows: Floats, means: NDArray[Any]) -> NDArray[np.float64]:
    """(n, k) Euclidean distances; of differences, as squares of large means would cancel."""
    found = [np.sqrt(np.einsum("ij,ij->i", d, d, dtype=np.float64)) for d in (rows - mean for mean in means)]
    return np.stack(found, 1)

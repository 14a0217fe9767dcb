"""Learners ``pca`` and ``ica``: scores that are linear in the pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context
from ronchi.schema.common import variable
from ronchi_gmm.learner import Encoded, Learner, State
from ronchi_gmm.params import IcaParams, PcaParams
from ronchi_gmm.samples import Floats, Samples
from ronchi_gmm.sketch import Scatter, Sketch

__all__ = ["Ica", "Pca", "principal_components", "scores"]

_EXACT = 1000

_OVERSAMPLES = 120
"""Directions that the randomised solver tries beyond those asked for. With the usual 10, components whose variance is
hardly above that of the noise's largest come out half mixed with it."""

_LEAST_RANK = 256
"""Directions that a pass over data larger than memory holds at least: weak components stand out among many only."""

_COPIES = 6
"""Samples in float32 that fit where one direction, its successor and one sample, all in float64, lie."""

_LEAST_VARIANCE = 1e-12
"""Components below this part of the first one's variance are rounding errors."""


def principal_components(samples: Samples, n_components: int, ctx: Context) -> State:
    """Mean, components and variances, in memory or in mini-batches over all samples.

    Parameters
    ----------
    n_components : int

    Returns
    -------
    dict of str to array
        ``mean`` (p,), ``components`` (k, p), ``variance`` (k,), ``fraction`` (k,), ``n`` ().

    Raises
    ------
    DataError
        Less than ``n_components`` + 1 usable samples, or all are equal.
    """
    found = (_in_memory if samples.whole else _in_batches)(samples, n_components, ctx)
    return {
        "mean": found.mean.astype(np.float32),
        "components": found.components.astype(np.float32),
        "variance": found.variance.astype(np.float64),
        "fraction": found.fraction.astype(np.float64),
        "n": np.array(found.n),
    }


class _Principal(NamedTuple):
    mean: NDArray[Any]
    components: NDArray[Any]
    variance: NDArray[Any]
    fraction: NDArray[Any]
    n: int


def _components(n_components: int) -> str:
    return f"{n_components} principal components"


def _in_memory(samples: Samples, n_components: int, ctx: Context) -> _Principal:
    from sklearn.decomposition import PCA

    rows = samples.rows(ctx, n_components + 1, _components(n_components))
    seed = int(ctx.rng.integers(2**31))
    # The pedestal goes first, in float64 and in place: squares of it would drown the variance in float32.
    mean = rows.mean(0, dtype=np.float64)
    np.subtract(rows, mean, out=rows, casting="same_kind")
    n, p = rows.shape
    if p <= _EXACT and n >= 10 * p:
        scatter = Scatter(p)
        for start in range(0, n, _EXACT):
            scatter.add(rows[start : start + _EXACT].astype(np.float64))
        components, variance, total = scatter.components(n_components)
        return _Principal(mean, components, variance, variance / total, n)
    # Exact where that is affordable: a randomised solver mixes components of nearly equal variance.
    solver = "full" if min(n, p) <= _EXACT else "auto"
    fitted = PCA(n_components, svd_solver=solver, copy=False, random_state=seed, n_oversamples=_OVERSAMPLES).fit(rows)
    return _Principal(mean, fitted.components_, fitted.explained_variance_, fitted.explained_variance_ratio_, n)


def _in_batches(samples: Samples, n_components: int, ctx: Context) -> _Principal:
    what, p = _components(n_components), int(samples.layout.used.sum())
    rank = max(n_components, min(max(_LEAST_RANK, 2 * n_components), samples.most // _COPIES))
    found = Scatter(p) if p <= _EXACT else Sketch(p, rank)
    pedestal: NDArray[Any] = np.zeros(1)
    for batch in _large(samples, ctx, rank):
        if not found.n:
            pedestal = batch[0].astype(np.float64)  # a sample and not a mean: equal samples leave exactly 0
        found.add(batch - pedestal)
    samples.check(found.n, n_components + 1, what)
    samples.check_varies(found.total > 0)
    components, variance, total = found.components(n_components)
    return _Principal(pedestal + found.mean, components, variance, variance / total, found.n)


def _large(samples: Samples, ctx: Context, least: int) -> Iterator[Floats]:
    """Batches of at least ``least`` samples, as far as there are so many."""
    waiting: list[Floats] = []
    for _, rows in samples.batches(ctx):
        waiting.append(rows)
        if sum(map(len, waiting)) >= least:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


def scores(rows: Floats, mean: NDArray[Any], components: NDArray[Any]) -> NDArray[np.float64]:
    """(n, k) float64 scores of rows (n, p)."""
    found: NDArray[np.float64] = ((rows - mean) @ components.T).astype(np.float64)
    return found


class _Linear(Learner):
    def sides(self) -> dict[str, xr.Dataset]:
        """Give the components as images, with the mean image."""
        s, layout = self.state, self._fitted()
        side = self._image_side(s["images"], "component")
        mean = layout.images(s["mean"][None])
        dims = tuple(map(str, side["image"].dims[1:]))
        image = variable(dims, mean.reshape([side.sizes[dim] for dim in dims]), layout.units, "mean image")
        return {"components": side.assign(mean=image)}

    def decode(self, z: NDArray[Any]) -> xr.DataArray:
        """Images (n, *features) of scores (n, n_components)."""
        return self._decoded(np.asarray(z, np.float32) @ self.state["images"] + self.state["mean"])

    def _encode(self, rows: Floats) -> Encoded:
        return Encoded(scores(rows, self.state["mean"], self.state["components"]))


class Pca(_Linear):
    """Principal components.

    Parameters
    ----------
    params : PcaParams
    """

    name = "pca"
    params: PcaParams

    def _fit(self, samples: Samples, ctx: Context) -> State:
        state = principal_components(samples, min(self.params.n_components, int(samples.layout.used.sum())), ctx)
        state["images"] = state["components"]
        if self.params.whiten:
            scale = np.sqrt(np.maximum(state["variance"], _LEAST_VARIANCE * state["variance"][0]))
            state["images"] = (state["images"] * scale[:, None]).astype(np.float32)
            state["components"] = (state["components"] / scale[:, None]).astype(np.float32)
        return state

    def _extra(self) -> dict[str, xr.Variable]:
        return {"fraction": variable("component", self.state["fraction"], "1", "fraction of the variance")}


class Ica(_Linear):
    """Independent components by FastICA on whitened principal scores.

    The components come in the order of the variance that they explain, each with the sign that makes its
    distribution lean to positive values.

    Parameters
    ----------
    params : IcaParams
    """

    name = "ica"
    params: IcaParams

    def _fit(self, samples: Samples, ctx: Context) -> State:
        from sklearn.decomposition import FastICA

        p = self.params
        state = principal_components(samples, min(p.n_components, int(samples.layout.used.sum())), ctx)
        scale = np.sqrt(state["variance"])
        keep = scale > np.sqrt(_LEAST_VARIANCE) * scale[0]
        scale, components = scale[keep], state["components"][keep].astype(np.float64)
        white = np.concatenate([scores(rows, state["mean"], components) for _, rows in samples.batches()]) / scale
        fitted = FastICA(
            whiten=False, max_iter=p.max_iter, tol=p.tolerance, random_state=int(ctx.rng.integers(2**31))
        ).fit(white)
        unmixing = fitted.components_
        mixing = np.linalg.inv(unmixing) * scale[:, None]
        order = np.argsort(-(mixing**2).sum(0))
        skew = ((white @ unmixing.T) ** 3).mean(0)
        sign = np.where(skew < 0, -1.0, 1.0)[order]
        state["components"] = ((unmixing / scale)[order] * sign[:, None] @ components).astype(np.float32)
        state["images"] = ((mixing[:, order] * sign).T @ components).astype(np.float32)
        return state

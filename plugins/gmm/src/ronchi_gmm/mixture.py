"""Learner ``gmm``: classes with a mean and a covariance, and the probability of each for every sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context, DataError
from ronchi.schema.common import variable
from ronchi_gmm.learner import Encoded, Learner, State
from ronchi_gmm.linear import principal_components, scores
from ronchi_gmm.params import GmmParams
from ronchi_gmm.samples import Floats, Samples

__all__ = ["Gmm"]

Features = NDArray[np.float64]


class Gmm(Learner):
    """Gaussian mixture over principal scores, or over pixels; the classes come in the order of their weight.

    Parameters
    ----------
    params : GmmParams
    """

    name = "gmm"
    params: GmmParams

    def sides(self) -> dict[str, xr.Dataset]:
        """Give the mean image of every class, over its samples by their probability, and its weight."""
        weight = variable("class", self.state["weights"], "1", "weight of the class")
        return {"means": self._image_side(self.state["means_px"], "class", weight=weight)}

    def decode(self, z: NDArray[Any]) -> xr.DataArray:
        """Images (n, *features) of scores (n, n_scores); of the class probabilities where pixels were mixed."""
        values, s = np.asarray(z, np.float32), self.state
        return self._decoded(values @ s["components"] + s["mean"] if "components" in s else values @ s["means_px"])

    def _fit(self, samples: Samples, ctx: Context) -> State:
        p = self.params
        least = 2 if p.n_classes == "bic" else max(2, p.n_classes)
        state: State = {}
        n_used = int(samples.layout.used.sum())
        n_scores = min(p.n_scores, n_used, max(1, samples.total - 1))
        if p.features == "scores":
            _check_memory(samples.total, n_scores, p)
            state = principal_components(samples, n_scores, ctx)
            parts = [scores(rows, state["mean"], state["components"]) for _, rows in samples.batches()]
            features = np.concatenate(parts)
            samples.check(len(features), least, f"{p.n_classes} classes")
        else:
            _check_memory(min(samples.total, samples.most), n_used, p)
            features = samples.rows(ctx, least, f"{p.n_classes} classes").astype(np.float64)
        state |= _mixture(features, p, ctx)
        self.state = state
        state["means_px"] = self._mean_images(samples)
        return state

    def _mean_images(self, samples: Samples) -> NDArray[np.float32]:
        total = np.zeros((len(self.state["weights"]), int(samples.layout.used.sum())))
        weight = np.zeros(len(total))
        for _, rows in samples.batches():
            prob = _posterior(self._features(rows), self.state, self.params.covariance)[0]
            total += prob.T @ rows
            weight += prob.sum(0)
        return (total / np.maximum(weight, 1e-300)[:, None]).astype(np.float32)

    def _features(self, rows: Floats) -> Features:
        s = self.state
        return scores(rows, s["mean"], s["components"]) if "components" in s else rows.astype(np.float64)

    def _encode(self, rows: Floats) -> Encoded:
        features = self._features(rows)
        prob, nll = _posterior(features, self.state, self.params.covariance)
        z = features if "components" in self.state else prob
        return Encoded(z, label=prob.argmax(1), label_prob=prob, nll=nll)

    def _components(self, n: int) -> list[str]:
        return [f"{'pca' if 'components' in self.state else 'prob'}{i}" for i in range(n)]

    def _extra(self) -> dict[str, xr.Variable]:
        if "bic" not in self.state:
            return {}
        return {"bic": variable("n_classes", self.state["bic"], "1", "BIC of mixtures of 1, 2, … classes")}


def _mixture(features: Features, p: GmmParams, ctx: Context) -> State:
    """Weights, means, covariances and their Cholesky factors, with the BIC of every number of classes tried."""
    scale = float(features.var(0).mean())
    if not scale > 0:
        raise DataError(
            "all usable samples are equal: there is nothing to learn", where="gmm", fix="give samples that differ"
        )
    # One seed for all: a class more is compared with the same draws.
    seed = int(ctx.rng.integers(2**31))
    if p.n_classes != "bic":
        best, bic = _fitted(features, p.n_classes, p, scale, seed), None
    else:
        best, bic = _of_least_bic(features, p, scale, seed, ctx)
    order = np.argsort(-best.weights_, kind="stable")
    shared = p.covariance == "tied"
    state = {
        "weights": best.weights_[order],
        "means": best.means_[order],
        "covariances": best.covariances_ if shared else best.covariances_[order],
        "precisions_cholesky": best.precisions_cholesky_ if shared else best.precisions_cholesky_[order],
    }
    return state if bic is None else {**state, "bic": bic}


def _of_least_bic(features: Features, p: GmmParams, scale: float, seed: int, ctx: Context) -> tuple[Any, Features]:
    """Mixture of the number of classes with the least BIC, and the BIC of 1, 2, … classes; NaN where one collapses."""
    n, n_dims = features.shape
    most = _most_classes(n, n_dims, p)
    if most < p.max_classes:
        ctx.log.warning(
            "%d samples of %d features tell at most %d classes of covariance %s apart, so BIC tries no more; "
            "give more samples, fewer n_scores or a simpler covariance",
            *(n, n_dims, most, p.covariance),
        )
    best, bic, smallest = None, np.full(most, np.nan), _smallest_class(n_dims, p)
    for k in range(1, most + 1):
        tried = _fitted(features, k, p, scale, seed)
        ctx.progress(k, most)
        members = tried.predict_proba(features).sum(0).min()
        if k > 1 and members < smallest:
            ctx.log.info("%d classes left out: one has %.3g samples, less than %d", k, members, smallest)
            continue
        bic[k - 1] = tried.bic(features)
        if np.nanargmin(bic) == k - 1:
            best = tried
    if most == p.max_classes > 1 and np.nanargmin(bic) == most - 1:
        ctx.log.warning("BIC still falls at %d classes; raise max_classes to see where it turns", most)
    return best, bic


def _smallest_class(n_dims: int, p: GmmParams) -> int:
    """Members below which the covariance of a class is singular but for the regularisation, or as good as that.

    The likelihood of such a class has no bound, and BIC would count its members as found.
    """
    return max(4, n_dims + 1) if p.covariance == "full" else 4


def _most_classes(n: int, n_dims: int, p: GmmParams) -> int:
    """Most classes that BIC compares: each could have twice the members that its covariance needs."""
    each = 2 * (n_dims + 1) if p.covariance == "full" else 4
    shared = n - 2 * (n_dims + 1) if p.covariance == "tied" else n  # what the means leave for the one covariance
    return max(1, min(p.max_classes, n // each, shared))


def _check_memory(n: int, n_dims: int, p: GmmParams) -> None:
    """Raise `DataError` if the covariances are larger than ``memory_mb``."""
    if p.covariance not in ("full", "tied"):
        return
    k = _most_classes(n, n_dims, p) if p.n_classes == "bic" else p.n_classes
    # The covariance, its inverse and the Cholesky factor of that, each of the best draw and of the one that is tried;
    # two more while they are computed.
    size_mb = 8e-6 * n_dims**2 * (6 * (k if p.covariance == "full" else 1) + 2)
    if size_mb > p.memory_mb:
        over = f"{n_dims} {'pixels' if p.features == 'pixels' else 'scores'}"
        raise DataError(
            f"covariances `{p.covariance}` of {k} classes over {over} need {size_mb:.3g} MB, "
            f"more than `memory_mb` {p.memory_mb:g}",
            where="gmm",
            fix="use covariance: diag, features: scores with few n_scores, fewer classes, or the transform `bin`",
        )


def _fitted(features: Features, k: int, p: GmmParams, scale: float, seed: int) -> Any:
    from sklearn.mixture import GaussianMixture

    try:
        return GaussianMixture(
            k,
            covariance_type=p.covariance,
            n_init=p.n_init,
            max_iter=p.max_iter,
            reg_covar=p.regularisation * scale,
            random_state=seed,
        ).fit(features)
    except ValueError as error:
        raise DataError(
            f"the covariances of {k} classes collapse: {str(error).splitlines()[0]}",
            where="gmm",
            fix="use covariance: diag, fewer classes or scores, or a larger regularisation",
        ) from error


def _posterior(features: Features, state: State, covariance: str) -> tuple[Features, Features]:
    """(n, k) class probabilities and (n,) negative log-likelihoods of the features."""
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(len(state["weights"]), covariance_type=covariance)
    mixture.weights_, mixture.means_ = state["weights"], state["means"]
    mixture.covariances_, mixture.precisions_cholesky_ = state["covariances"], state["precisions_cholesky"]
    return mixture.predict_proba(features), -mixture.score_samples(features)

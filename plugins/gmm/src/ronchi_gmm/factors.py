"""Learner ``nmf``: non-negative images and weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context, DataError
from ronchi_gmm.learner import Encoded, Learner, State
from ronchi_gmm.params import NmfParams
from ronchi_gmm.passes import has_settled, settle
from ronchi_gmm.samples import Floats, Samples
from ronchi_gmm.weights import best_weights

__all__ = ["Nmf"]


class Nmf(Learner):
    """Non-negative matrix factorisation; the components come in the order of the intensity that they carry.

    Data larger than memory begin with the components of a random part. Passes over all samples then alternate
    between weights, sample by sample, and components, of sums over all samples, until the loss settles: the block
    of the reading has no say, as it would have in mini-batches.

    Parameters
    ----------
    params : NmfParams
    """

    name = "nmf"
    params: NmfParams

    def sides(self) -> dict[str, xr.Dataset]:
        """Give the components as images."""
        return {"components": self._image_side(self.state["images"], "component")}

    def decode(self, z: NDArray[Any]) -> xr.DataArray:
        """Images (n, *features) of weights (n, n_components)."""
        return self._decoded(np.asarray(z, np.float32) @ self.state["images"])

    def _fit(self, samples: Samples, ctx: Context) -> State:
        k = min(self.params.n_components, int(samples.layout.used.sum()))
        rows = self._positive(samples.rows(ctx, k, f"{k} components"))
        if not rows.any():
            raise DataError(
                "all usable samples are 0: there is nothing to learn", where=self.name, fix="give samples with a signal"
            )
        model = self._model(k, int(ctx.rng.integers(2**31)))
        # The start that scikit-learn makes, and what it takes for 0, are meant for values about 1: of thousands of
        # counts it ends far from the least loss.
        unit = np.float32(rows.mean(dtype=np.float64))
        rows /= unit
        weight = model.fit_transform(rows).mean(0)
        images = model.components_
        del rows
        if not samples.whole:
            images, weight = self._settled(samples, images, unit, ctx)
        order = np.argsort(-weight * images.sum(1), kind="stable")
        return {"images": (unit * images[order]).astype(np.float32)}

    def _model(self, k: int, seed: int) -> Any:
        from sklearn.decomposition import NMF

        p = self.params
        # Multiplicative updates are the only ones for counts, and cannot leave zeros: a start without zeros.
        solver = "cd" if p.loss == "frobenius" else "mu"
        return NMF(k, beta_loss=p.loss, solver=solver, init="nndsvda", max_iter=p.max_iter, random_state=seed)

    def _settled(
        self, samples: Samples, images: Floats, unit: np.float32, ctx: Context
    ) -> tuple[Floats, NDArray[np.float64]]:
        """Components (k, p) and their mean weights (k,), after passes over all samples; values are in ``unit``."""

        def batches(images: Floats) -> Iterator[tuple[Floats, Floats]]:
            for _, batch in samples.batches(ctx):
                rows = self._positive(batch) / unit
                yield rows, best_weights(rows, images, self.params.loss).astype(np.float32)

        images, weight, losses = settle(batches, images, self.params.loss, self.params.max_iter)
        if not has_settled(losses):
            ctx.log.warning("the loss still falls after %d passes over all samples; raise max_iter", len(losses))
        return images, weight

    def _positive(self, rows: Floats) -> Floats:
        if self.params.clip:
            return np.maximum(rows, 0, out=rows)
        if (rows < 0).any():
            raise DataError(
                f"the data have negative values (lowest {rows.min():.3g}), which factors of NMF cannot make",
                where=self.name,
                fix="set `clip: true`, or use pca or ica",
            )
        return rows

    def _encode(self, rows: Floats) -> Encoded:
        return Encoded(best_weights(self._positive(rows), self.state["images"], self.params.loss))

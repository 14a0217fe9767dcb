"""Learner ``nmf``: non-negative images and weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context, DataError
from ronchi_gmm.learner import Encoded, Learner, State
from ronchi_gmm.params import NmfParams
from ronchi_gmm.samples import Floats, Samples

__all__ = ["Nmf"]


class Nmf(Learner):
    """Non-negative matrix factorisation; larger data than memory in mini-batches.

    The components come in the order of the intensity that they carry.

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
            raise DataError("all usable samples are 0: there is nothing to learn", where=self.name)
        model = self._model(k, int(ctx.rng.integers(2**31)), whole=samples.whole)
        if samples.whole:
            weights = model.fit_transform(rows)
        else:
            # The random part begins, so that the first components do not follow the first corner of the data.
            model.partial_fit(rows)
            del rows
            total, n = np.zeros(k), 0
            for _, batch in samples.batches(ctx):
                model.partial_fit(self._positive(batch))
            for _, batch in samples.batches():
                total, n = total + model.transform(self._positive(batch)).sum(0), n + len(batch)
            weights = (total / n)[None]
        images = model.components_
        order = np.argsort(-weights.mean(0) * images.sum(1), kind="stable")
        return {"images": images[order].astype(np.float32)}

    def _model(self, k: int, seed: int, *, whole: bool) -> Any:
        from sklearn.decomposition import NMF, MiniBatchNMF

        p = self.params
        # Multiplicative updates are the only ones for counts, and cannot leave zeros: a start without zeros.
        init = "nndsvda"
        if not whole:
            return MiniBatchNMF(
                k,
                beta_loss=p.loss,
                init=init,
                max_iter=p.max_iter,
                random_state=seed,
                fresh_restarts=False,
            )
        solver = "cd" if p.loss == "frobenius" else "mu"
        return NMF(k, beta_loss=p.loss, solver=solver, init=init, max_iter=p.max_iter, random_state=seed)

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
        from sklearn.decomposition import non_negative_factorization

        p = self.params
        weights, _, _ = non_negative_factorization(
            self._positive(rows),
            H=self.state["images"],
            n_components=len(self.state["images"]),
            init="custom",
            update_H=False,
            solver="cd" if p.loss == "frobenius" else "mu",
            beta_loss=p.loss,
            max_iter=p.max_iter,
        )
        return Encoded(np.asarray(weights, np.float64))

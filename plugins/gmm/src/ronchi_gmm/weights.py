"""Non-negative weights of given components: each sample by itself, to the end, so that no other has a say in it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from ronchi_gmm.samples import Floats

__all__ = ["best_weights"]

Doubles = NDArray[np.float64]

_AT_ONCE = 256
"""Samples of counts that are iterated together: until the last of them is at its end."""
_FIRST, _ROUNDS = 3, 60
_CLOSE = 1e-7
"""Of the intensity of a sample, what a step may promise in loss that is the last: rounding is about as much."""
_RIDGE = 1e-5
"""Beyond the rounding of curvatures in float32; it changes the way, and not the end."""
_TINY = 1e-12


def best_weights(rows: Floats, images: Floats, loss: str) -> Doubles:
    """Weights of components that leave the least loss of every sample.

    Parameters
    ----------
    rows : (n, p) float32
        Not negative.
    images : (k, p) float32
        Components, not negative; none of the losses sees in which unit they and the rows are.
    loss : {"frobenius", "kullback-leibler"}

    Returns
    -------
    (n, k) float64
    """
    if loss == "frobenius":
        q, r = np.linalg.qr(images.T.astype(np.float64))
        return _nearest(np.broadcast_to(r, (len(rows), *r.shape)), (rows @ q.astype(np.float32)).astype(np.float64))
    unit, made = max(float(images.max()), 1e-30), np.zeros((len(rows), len(images)))
    filled = np.flatnonzero(rows.any(1))
    for start in range(0, len(filled), _AT_ONCE):
        at = filled[start : start + _AT_ONCE]
        made[at] = _of_counts(rows[at] / np.float32(unit), images / np.float32(unit))
    return made


def _nearest(factors: Doubles, targets: Doubles) -> Doubles:
    """(n, k) non-negative w of least |factor w - target|, of factors (n, k, k) and targets (n, k)."""
    return np.array([nnls(*pair)[0] for pair in zip(factors, targets, strict=True)]).reshape(targets.shape)


def _of_counts(rows: Floats, images: Floats) -> Doubles:
    """Weights of the least divergence, by Newton's steps within the bounds.

    The first steps, and those that Newton's would not improve, are those of Lee & Seung, which never raise the loss.
    """
    sums = np.maximum(images.sum(1, dtype=np.float64), _TINY)
    first, second = np.triu_indices(len(images))
    products = (images[first] * images[second]).T
    least = np.float32(_TINY) * rows.mean(1, keepdims=True)
    weights = np.repeat(rows.sum(1, dtype=np.float64)[:, None] / sums.sum(), len(images), axis=1)

    def seen(weights: Doubles, of: Any = slice(None)) -> tuple[Floats, Doubles]:
        """Model (n, p) and loss (n,), but for what no weight changes."""
        model = np.maximum(weights.astype(np.float32) @ images, least[of])
        return model, weights @ sums - (rows[of] * np.log(model)).sum(1, dtype=np.float64)

    model, loss = seen(weights)
    for step in range(_ROUNDS):
        ratio = rows / model
        share = (ratio @ images.T).astype(np.float64)
        safe = weights * share / sums
        new = safe
        if step >= _FIRST:
            curvature = np.empty((len(rows), len(images), len(images)))
            curvature[:, first, second] = curvature[:, second, first] = (ratio / model) @ products
            new = _stepped(weights, share - sums, curvature)
        new_model, new_loss = seen(new)
        worse = ~(new_loss <= loss + 1e-6 * np.abs(loss))
        if worse.any():
            new[worse] = safe[worse]
            new_model[worse], new_loss[worse] = seen(new[worse], worse)
        gained = ((share - sums) * (new - weights)).sum(1)
        weights, model, loss = new, new_model, new_loss
        if step >= _FIRST and (gained <= _CLOSE * (weights @ sums)).all():
            break
    return weights


def _stepped(weights: Doubles, slope: Doubles, curvature: Doubles) -> Doubles:
    """Newton's step from weights (n, k), within the bounds, of slopes (n, k) and curvatures (n, k, k)."""
    # In units in which all curve alike. A sample may say nothing of a component, or the same of two of them.
    unit = np.sqrt(np.maximum(np.einsum("nii->ni", curvature), _TINY))
    curvature = curvature / (unit[:, :, None] * unit[:, None]) + _RIDGE * np.eye(weights.shape[1])
    wanted = np.einsum("nij,nj->ni", curvature, weights * unit) + slope / unit
    factor = np.linalg.cholesky(curvature)
    return _nearest(np.swapaxes(factor, 1, 2), np.linalg.solve(factor, wanted[..., None])[..., 0]) / unit

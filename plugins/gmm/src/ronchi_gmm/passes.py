"""Non-negative components of data larger than memory: passes over all samples, which keep sums alone.

Lee & Seung, Adv. Neural Inf. Process. Syst. 13, 556 (2000), for Kullback-Leibler; Cichocki & Phan, IEICE Trans.
Fundam. E92-A, 708 (2009), doi:10.1587/transfun.E92.A.708, for Frobenius.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi_gmm.samples import Floats

__all__ = ["Sums", "has_settled", "settle"]

_SETTLED = 1e-4
"""Part of the first loss that a pass has to win, as in scikit-learn."""

_SWEEPS = 20
"""Over the components for one pass over the samples: they cost nothing beside it."""

_TINY = 1e-12

Batches = Callable[[Floats], Iterable[tuple[Floats, Floats]]]


@dataclass
class Sums:
    """Sums over n samples x with weights w and model m = w @ images: all that the next components depend on.

    Parameters
    ----------
    gram : (k, k) float64
        Of w w^T.
    share : (k, p) float64
        Of w x^T for the Frobenius loss, of w (x / m)^T for that of Kullback and Leibler.
    weight : (k,) float64
        Of w.
    loss : float
    n : int
    """

    gram: NDArray[np.float64]
    share: NDArray[np.float64]
    weight: NDArray[np.float64]
    loss: float = 0.0
    n: int = 0

    def add(self, rows: Floats, weights: Floats, images: Floats, loss: str) -> None:
        """Add rows (n, p) with their weights (n, k), for components (k, p)."""
        model = weights @ images
        target = rows
        if loss == "frobenius":
            self.loss += float(np.square(rows - model).sum(dtype=np.float64))
        else:
            model = np.maximum(model, _TINY)
            target = rows / model
            divergence = rows * np.log(np.where(rows > 0, target, 1)) - rows + model
            self.loss += float(divergence.sum(dtype=np.float64))
        self.gram += weights.T @ weights
        self.share += weights.T @ target
        self.weight += weights.sum(0, dtype=np.float64)
        self.n += len(rows)


def settle(
    batches: Batches, images: Floats, loss: str, max_passes: int
) -> tuple[Floats, NDArray[np.float64], list[float]]:
    """Alternate weights, sample by sample, and components, of sums over all samples, until the loss settles.

    As all samples are seen before the components change, how they are cut into batches tells in rounding alone.

    Parameters
    ----------
    batches : callable
        Given components (k, p), one pass: pairs of rows (n, p) and their best weights (n, k).
    images : (k, p) float32
        The first components.
    loss : {"frobenius", "kullback-leibler"}
    max_passes : int

    Returns
    -------
    images : (k, p) float32
    weight : (k,) float64
        Mean of the weights.
    losses : list of float
        Of every pass, over all samples; they have not settled where there are ``max_passes``.
    """
    step = _frobenius if loss == "frobenius" else _kullback_leibler
    losses: list[float] = []
    weight = np.zeros(len(images))
    while len(losses) < max_passes:
        sums = Sums(np.zeros((len(images),) * 2), np.zeros(images.shape), np.zeros(len(images)))
        for rows, weights in batches(images):
            sums.add(rows, weights, images, loss)
        losses.append(sums.loss)
        weight = sums.weight / sums.n
        if has_settled(losses):
            break
        images = step(sums, images).astype(np.float32)
    return images, weight, losses


def has_settled(losses: list[float]) -> bool:
    """Whether the last pass won hardly anything over the one before."""
    return len(losses) > 1 and losses[-2] - losses[-1] <= _SETTLED * losses[0]


def _frobenius(sums: Sums, images: NDArray[Any]) -> NDArray[np.float64]:
    """Hierarchical alternating least squares: one component at a time, the others held."""
    images = images.astype(np.float64)
    for _ in range(_SWEEPS):
        for i, own in enumerate(np.diag(sums.gram)):
            if own > 0:  # a component without weight has nothing to follow
                images[i] = np.maximum(images[i] + (sums.share[i] - sums.gram[i] @ images) / own, 0)
    return images


def _kullback_leibler(sums: Sums, images: NDArray[Any]) -> NDArray[np.float64]:
    """The multiplicative update, which never raises the loss."""
    updated: NDArray[np.float64] = images * sums.share / np.maximum(sums.weight, _TINY)[:, None]
    return updated

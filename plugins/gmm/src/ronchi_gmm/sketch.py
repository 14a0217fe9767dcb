"""Principal components in one pass over samples, however many there are."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scatter", "Sketch"]

Doubles = NDArray[np.float64]


class _Moments(ABC):
    """Number, mean and sum of squares about it of the samples so far; how their scatter is held is left open.

    In float64, for in float32 a component of less than 1e-7 of the first one's variance would be lost.
    """

    def __init__(self, n_pixels: int) -> None:
        self.n, self.total = 0, 0.0
        self.mean: Doubles = np.zeros(n_pixels)

    def add(self, batch: Doubles) -> None:
        """Add a batch (n, n_pixels), which is changed."""
        n, mean = len(batch), batch.mean(0)
        batch -= mean
        # Chan et al., Am. Stat. 37, 242 (1983): that the means differ is scatter too.
        shift = (mean - self.mean) * np.sqrt(self.n * n / (self.n + n))
        self.total += float(np.square(batch).sum() + np.square(shift).sum())
        self.mean += (mean - self.mean) * (n / (self.n + n))
        self.n += n
        self._add(batch, shift)

    def components(self, n_components: int) -> tuple[Doubles, Doubles, float]:
        """Components (k, n_pixels), their variances (k,) and the variance of all of them together.

        The largest pixel of a component is positive, as in scikit-learn.
        """
        components, values = self._largest(n_components)
        largest = np.abs(components).argmax(1)[:, None]
        components *= np.sign(np.take_along_axis(components, largest, 1))
        return components, np.maximum(values, 0) / (self.n - 1), self.total / (self.n - 1)

    @abstractmethod
    def _add(self, batch: Doubles, shift: Doubles) -> None:
        """Add the scatter of a batch about its mean, and that of the mean."""

    @abstractmethod
    def _largest(self, n_components: int) -> tuple[Doubles, Doubles]:
        """Directions (k, n_pixels) of the most scatter, and their scatter (k,)."""


class Scatter(_Moments):
    """For few pixels: the scatter is a matrix of all pairs of them."""

    def __init__(self, n_pixels: int) -> None:
        super().__init__(n_pixels)
        self._pairs: Doubles = np.zeros((n_pixels, n_pixels))

    def _add(self, batch: Doubles, shift: Doubles) -> None:
        self._pairs += batch.T @ batch + np.outer(shift, shift)

    def _largest(self, n_components: int) -> tuple[Doubles, Doubles]:
        values, vectors = np.linalg.eigh(self._pairs)
        return vectors.T[::-1][:n_components], values[::-1][:n_components]


class Sketch(_Moments):
    """For many pixels: of the scatter, only the directions in which it is largest are held.

    With every batch, the directions are found anew from the products of all rows that are held, and the least are
    dropped.  That is the incremental singular value decomposition of Ross et al., Int. J. Comput. Vis. 77, 125 (2008),
    doi:10.1007/s11263-007-0075-7, by eigenvectors of a small matrix.  What is dropped is lost for the batches to come:
    a component must stand out among the ``rank`` largest, not among the few that are asked for in the end.

    Parameters
    ----------
    n_pixels : int
    rank : int
        Directions that are held.
    """

    def __init__(self, n_pixels: int, rank: int) -> None:
        super().__init__(n_pixels)
        self.rank = rank
        self._rows: Doubles = np.zeros((0, n_pixels))

    def _add(self, batch: Doubles, shift: Doubles) -> None:
        held = np.concatenate([self._rows, batch, shift[None]])
        if len(held) > self.rank:
            _, vectors = np.linalg.eigh(held @ held.T)
            held = vectors[:, : -self.rank - 1 : -1].T @ held
        self._rows = held

    def _largest(self, n_components: int) -> tuple[Doubles, Doubles]:
        values, vectors = np.linalg.eigh(self._rows @ self._rows.T)
        components = vectors[:, ::-1][:, :n_components].T @ self._rows
        components /= np.maximum(np.linalg.norm(components, axis=1, keepdims=True), np.finfo(float).tiny)
        return components, values[::-1][:n_components]

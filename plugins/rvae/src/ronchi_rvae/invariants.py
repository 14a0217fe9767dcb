"""The learner ``polar-invariants``: products of coefficients that a rotation leaves alone; no angle is looked for.

A rotation by u turns every coefficient of order m by ``exp(-i m u)``: products of one with the conjugate of another
of the same order do not change. They hold the power at every order and radius and how the radii lie to one another;
how the orders lie to one another is lost. In the mirror the imaginary parts change their sign.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.api import Context
from ronchi_rvae.disc import DiscBasis
from ronchi_rvae.learner import DiscLearner, principal_axes
from ronchi_rvae.results import Encoded

__all__ = ["PolarInvariants", "invariants"]

Floats = NDArray[np.float32]


def invariants(basis: DiscBasis, coefficients: NDArray[np.complex64]) -> Floats:
    """Rotation invariants of images.

    Parameters
    ----------
    coefficients : (n, D) complex64

    Returns
    -------
    (n, I) float32
        The coefficients of order 0, and for every other order the real and imaginary parts of all products of two,
        divided by the root of the power of that order: like the coefficients, they grow with the contrast.
    """
    parts = [coefficients[:, : basis.first[1]].real]
    for m in range(1, basis.n_orders):
        block = coefficients[:, basis.first[m] : basis.first[m + 1]]
        products = np.conj(block)[:, :, None] * block[:, None, :]
        upper = np.triu_indices(block.shape[1])
        beyond = np.triu_indices(block.shape[1], 1)
        root = np.sqrt(np.maximum((np.abs(block) ** 2).sum(axis=1), 1e-20))[:, None]
        parts += [products[:, upper[0], upper[1]].real / root, products[:, beyond[0], beyond[1]].imag / root]
    return np.concatenate(parts, axis=1).astype(np.float32)


class PolarInvariants(DiscLearner):
    """Principal components of rotation invariants.

    Parameters
    ----------
    params : PolarInvariantsParams
    """

    name = "polar-invariants"

    def _learn(self, values: Floats, groups: NDArray[Any], ctx: Context) -> None:
        self._mean, self._axes = principal_axes(self._rows(values), self.params.n_components)

    def _encode(self, values: Floats) -> Encoded:
        return Encoded((self._rows(values) - self._mean) @ self._axes.T)

    def _rows(self, values: Floats) -> Floats:
        return invariants(self.basis, self.basis.describe(values)[:, 0])

    def _sample_mb(self, basis: DiscBasis) -> float:
        # As parts, and joined.
        return basis.described_mb + 2 * 4e-6 * int((np.diff(basis.first)[1:] ** 2).sum() + basis.first[1])

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {"mean": self._mean, "axes": self._axes}

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._mean, self._axes = arrays["mean"], arrays["axes"]

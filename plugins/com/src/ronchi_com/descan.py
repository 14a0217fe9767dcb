"""The drift of the beam over the scan: its mean, or a smooth surface fitted robustly to centres of mass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["TERMS", "DescanSurface"]

Floats = NDArray[np.float64]

TERMS = {"mean": 1, "plane": 3, "parabola": 6}
"""Number of polynomial terms of each order."""

_TUKEY = 5.0  # standard deviations at which a position loses all weight
_MEDIAN_OF_RAYLEIGH = 1.1774  # length of a two-dimensional normal vector with unit deviations
_STEPS = 30
_DRAWS = 300  # with a third of outliers, 0.09 of the draws of six positions have none
_LOOKED_AT = 1500  # positions that a draw is judged by


@dataclass(frozen=True)
class DescanSurface:
    """A polynomial for each component of the centre of mass.

    Parameters
    ----------
    order : {"mean", "plane", "parabola"}
    centre, half_width : (2,) float
        Scan coordinates (y, x) that the polynomial's own run from -1 to 1 over.
    coefficients : (terms, 2) float
        Columns (y, x), in q units.
    left_out : float
        Part of the positions that the fit gave no weight, 0 to 1; not saved.
    """

    order: str
    centre: Floats
    half_width: Floats
    coefficients: Floats
    left_out: float = 0.0

    @classmethod
    def fit(cls, order: str, scan_y: Floats, scan_x: Floats, com: Floats, rng: np.random.Generator) -> Self:
        """Take the arithmetic mean, or fit a plane or parabola robustly.

        Robustly is by least median of squares first (Rousseeuw 1984, doi:10.2307/2288718), Tukey's biweight then. A
        mean is not: of two domains it would take the larger one for the drift, and call the other twice as strong.

        Parameters
        ----------
        scan_y, scan_x : (ny,), (nx,) float
            Scan coordinates.
        com : (ny, nx, 2) float
            NaN is left out; at least one position must be finite.
        rng : numpy.random.Generator
            Draws the positions of the start; not for the mean.
        """
        ends = np.array([[axis.min(), axis.max()] for axis in (scan_y, scan_x)])
        half_width = np.ptp(ends, axis=1) / 2
        empty = cls(order, ends.mean(1), np.where(half_width > 0, half_width, 1.0), np.zeros((TERMS[order], 2)))
        values = com.reshape(-1, 2)
        good = np.isfinite(values[:, 0]) & np.isfinite(values[:, 1])
        design, values = empty._design(scan_y, scan_x).reshape(len(good), -1)[good], values[good]
        if order == "mean":
            return cls(order, empty.centre, empty.half_width, values.mean(0, keepdims=True))
        coefficients, exact = _least_median(design, values, rng), 1e-12 * float(np.abs(values).max())
        for _ in range(_STEPS):
            distance, scale = _residuals(design, values, coefficients)
            if scale <= exact:
                break
            weighted = design * np.maximum(0.0, 1 - (distance / (_TUKEY * scale)) ** 2)[:, None] ** 2
            # By the pseudo-inverse: a scan of one row has no slope along y, and gets none.
            coefficients = np.linalg.pinv(weighted.T @ design, rcond=1e-12, hermitian=True) @ (weighted.T @ values)
        distance, scale = _residuals(design, values, coefficients)
        left_out = float(np.mean(distance > _TUKEY * max(scale, exact)))
        return cls(order, empty.centre, empty.half_width, coefficients, left_out)

    def at(self, scan_y: Floats, scan_x: Floats) -> Floats:
        """(ny, nx, 2) surface at scan coordinates."""
        return self._design(scan_y, scan_x) @ self.coefficients

    def to_json(self) -> dict[str, Any]:
        """Numbers as JSON holds them; floats come back bit for bit."""
        arrays = ("centre", "half_width", "coefficients")
        return {"order": self.order, **{name: getattr(self, name).tolist() for name in arrays}}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        """Reverse `to_json`."""
        names = ("centre", "half_width", "coefficients")
        centre, half_width, coefficients = (np.array(state[name], np.float64) for name in names)
        return cls(str(state["order"]), centre, half_width, coefficients)

    def _design(self, scan_y: Floats, scan_x: Floats) -> Floats:
        y, x = np.meshgrid(
            (scan_y - self.centre[0]) / self.half_width[0],
            (scan_x - self.centre[1]) / self.half_width[1],
            indexing="ij",
        )
        return np.stack([np.ones_like(y), y, x, y * y, y * x, x * x], -1)[..., : TERMS[self.order]]


def _residuals(design: Floats, values: Floats, coefficients: Floats) -> tuple[Floats, float]:
    """(n,) distances from the surface, and their robust standard deviation of one component."""
    distance = np.hypot(*(values - design @ coefficients).T)
    return distance, float(np.median(distance)) / _MEDIAN_OF_RAYLEIGH


def _least_median(design: Floats, values: Floats, rng: np.random.Generator) -> Floats:
    """Of the surfaces through a few positions each, the one that half of the scan lies closest to."""
    n, terms = design.shape
    picks = rng.integers(n, size=(_DRAWS, terms))
    candidates = np.linalg.pinv(design[picks]) @ values[picks]
    some = rng.permutation(n)[:_LOOKED_AT]
    distances = np.hypot(*np.moveaxis(values[some] - design[some] @ candidates, -1, 0))
    return np.asarray(candidates[np.argmin(np.median(distances, axis=1))])

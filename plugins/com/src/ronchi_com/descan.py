"""The drift of the beam over the scan: a smooth surface fitted to centres of mass."""

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
_LEAST_ABSOLUTE_STEPS, _BIWEIGHT_STEPS = 10, 20


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
    """

    order: str
    centre: Floats
    half_width: Floats
    coefficients: Floats

    @classmethod
    def fit(cls, order: str, scan_y: Floats, scan_x: Floats, com: Floats) -> Self:
        """Fit robustly: least absolute deviations first, Tukey's biweight on the residual vectors then.

        Parameters
        ----------
        scan_y, scan_x : (ny,), (nx,) float
            Scan coordinates.
        com : (ny, nx, 2) float
            NaN is left out; at least one position must be finite.
        """
        ends = np.array([[axis.min(), axis.max()] for axis in (scan_y, scan_x)])
        half_width = np.ptp(ends, axis=1) / 2
        empty = cls(order, ends.mean(1), np.where(half_width > 0, half_width, 1.0), np.zeros((TERMS[order], 2)))
        values = com.reshape(-1, 2)
        good: NDArray[np.bool_] = np.isfinite(values).all(axis=1)
        design, values = empty._design(scan_y, scan_x).reshape(len(good), -1)[good], values[good]
        weight = np.ones(len(values))
        for step in range(_LEAST_ABSOLUTE_STEPS + _BIWEIGHT_STEPS):
            weighted = design * weight[:, None]
            # Least squares of the normal equations: a scan of one row has no slope along y, and gets none.
            coefficients = np.asarray(np.linalg.lstsq(weighted.T @ design, weighted.T @ values, rcond=1e-12)[0], float)
            distance = np.hypot(*(values - design @ coefficients).T)
            scale = float(np.median(distance)) / _MEDIAN_OF_RAYLEIGH
            if scale <= 1e-12 * float(np.abs(values).max()):
                break
            if step < _LEAST_ABSOLUTE_STEPS:
                weight = scale / np.maximum(distance, 1e-3 * scale)
            else:
                weight = np.maximum(0.0, 1 - (distance / (_TUKEY * scale)) ** 2) ** 2
        return cls(order, empty.centre, empty.half_width, coefficients)

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
        arrays = (np.array(state[name], np.float64) for name in ("centre", "half_width", "coefficients"))
        return cls(str(state["order"]), *arrays)

    def _design(self, scan_y: Floats, scan_x: Floats) -> Floats:
        y, x = np.meshgrid(
            (scan_y - self.centre[0]) / self.half_width[0],
            (scan_x - self.centre[1]) / self.half_width[1],
            indexing="ij",
        )
        return np.stack([np.ones_like(y), y, x, y * y, y * x, x * x], -1)[..., : TERMS[self.order]]

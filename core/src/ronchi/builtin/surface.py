"""Robust smooth surfaces over a scan."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["fit_surface"]

Array = NDArray[np.float64]
Order = Literal["plane", "parabola", "mean", "none"]

TUKEY = 4.685
"""Tuning constant at which Tukey's biweight is 95 % efficient for normal errors."""

_TERMS = {"mean": 1, "plane": 3, "parabola": 6}


def fit_surface(values: Array, order: Order, robust: bool = True) -> Array:
    """Fit a surface to a map by (iteratively re-weighted) least squares.

    Parameters
    ----------
    values : (scan_y, scan_x) float64
        NaN is left out.
    order : {"mean", "plane", "parabola", "none"}
        ``"none"`` returns the values themselves.
    robust : bool
        Weigh residuals by Tukey's biweight on the scale of their median absolute deviation.

    Returns
    -------
    (scan_y, scan_x) float64
        The surface everywhere; NaN everywhere if no value is finite.
    """
    if order == "none":
        return values.copy()
    y, x = (np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in values.shape)
    yy, xx = (grid.ravel() for grid in np.meshgrid(y, x, indexing="ij"))
    design = np.stack([np.ones_like(xx), yy, xx, yy * yy, yy * xx, xx * xx], 1)[:, : _TERMS[order]]
    flat = values.ravel()
    good = np.isfinite(flat)
    rows, known = design[good], flat[good]
    if not good.any():
        return np.full(values.shape, np.nan)
    coefficients = _solve(rows, known, np.ones(len(known)))
    if robust:
        # Least absolute deviations first: from there outliers stand out, from least squares they may hide.
        for weigh in (*[_least_absolute] * 10, *[_biweight] * 20):
            previous = coefficients
            coefficients = _solve(rows, known, weigh(known - rows @ coefficients))
            if np.allclose(previous, coefficients, rtol=0, atol=1e-9) and weigh is _biweight:
                break
    surface: Array = (design @ coefficients).reshape(values.shape)
    return surface


def _least_absolute(residual: Array) -> Array:
    size = np.abs(residual)
    weight: Array = 1 / np.maximum(size, max(1e-6 * float(size.max()), 1e-12))
    return weight


def _biweight(residual: Array) -> Array:
    # The scale is about zero, so that half of the weights at least are positive.
    scale = 1.4826 * float(np.median(np.abs(residual)))
    if scale == 0:
        return np.ones_like(residual)
    weight: Array = np.maximum(0.0, 1 - (residual / (TUKEY * scale)) ** 2) ** 2
    return weight


def _solve(design: Array, values: Array, weight: Array) -> Array:
    root = np.sqrt(weight)
    # Minimum norm: a scan of one row has no slope along y, and gets none.
    return np.asarray(np.linalg.lstsq(design * root[:, None], values * root, rcond=None)[0], np.float64)

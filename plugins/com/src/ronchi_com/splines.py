"""Derivatives and integrals of sampled lines through interpolating splines, with gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, make_interp_spline

__all__ = ["derivative", "step_integrals"]

Floats = NDArray[np.float64]


def derivative(values: Floats, step: float, axis: int) -> Floats:
    """Derivative at the samples.

    Parameters
    ----------
    values : (...) float
        Evenly sampled; NaN marks gaps, beyond which nothing is felt.
    step : float
        Distance of the samples.
    axis : int

    Returns
    -------
    (...) float
        NaN in gaps, and at samples without a neighbour. At the ends of a line curvature is taken for 0.
    """

    def slope(lines: Floats) -> Floats:
        where = np.arange(lines.shape[1], dtype=float)
        # Natural ends miss a wave of ten samples by rms 0.13 of its slope at the first sample, 0.04 at the second, and
        # multiply noise by 2.1; ends of the inner order (not-a-knot) miss it by 0.03 and multiply noise by 4.5.
        return np.asarray(CubicSpline(where, lines, axis=1, bc_type="natural")(where, 1))

    return _by_run(values, axis, slope, lost=0) / step


def step_integrals(values: Floats, step: float, axis: int) -> Floats:
    """Integrals from each sample to the next: one less than there are samples; see `derivative`."""

    def increments(lines: Floats) -> Floats:
        n = lines.shape[1]
        where = np.arange(n, dtype=float)
        spline = make_interp_spline(where, lines.T, k=5 if n >= 6 else 3 if n >= 4 else 1)
        return np.diff(np.asarray(spline.antiderivative()(where).T), axis=1)

    return _by_run(values, axis, increments, lost=1) * step


def _by_run(values: Floats, axis: int, function: Callable[[Floats], Floats], lost: int) -> Floats:
    """Apply a function of (lines, n) to each run of finite values; it returns ``lost`` values less per line."""
    moved = np.moveaxis(values, axis, -1)
    lines = moved.reshape(-1, moved.shape[-1])
    out = np.full((len(lines), lines.shape[1] - lost), np.nan)
    finite = np.isfinite(lines)
    whole = finite.all(1) & (lines.shape[1] > 1)
    if whole.any():
        out[whole] = function(lines[whole])
    for i in np.flatnonzero(~whole):
        for start, stop in _runs(finite[i]):
            if stop - start > 1:
                out[i, start : stop - lost] = function(lines[i : i + 1, start:stop])[0]
    return np.moveaxis(out.reshape(*moved.shape[:-1], -1), -1, axis)


def _runs(finite: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.pad(finite, 1).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)

"""From a gradient on a grid to its potential, in the sense of least squares.

The potential is sought whose steps from position to position come closest to the integrals of the gradient
along them. Nothing is assumed beyond the border (Neumann), so one discrete cosine transform solves it exactly on
a full rectangle; where positions are missing, that solution preconditions conjugate gradients.
Simchony, Chellappa & Shao 1990, doi:10.1109/34.55103.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.sparse.linalg import LinearOperator, cg

from ronchi.api import DataError
from ronchi_com.splines import step_integrals

__all__ = ["integrate_gradient"]

Floats = NDArray[np.float64]

_RELATIVE_RESIDUAL = 1e-10
_MAX_ITERATIONS = 2000


def integrate_gradient(gradient_y: Floats, gradient_x: Floats, step: tuple[float, float]) -> Floats:
    """Potential of a gradient, by least squares.

    Parameters
    ----------
    gradient_y, gradient_x : (ny, nx) float
        Not finite where unknown.
    step : tuple of float
        Distance of the positions along y and x.

    Returns
    -------
    (ny, nx) float64
        Of mean 0 over every group of connected positions; NaN where the gradient is unknown, and at
        positions without a neighbour.

    Raises
    ------
    DataError
        No two neighbours are known, or the iteration does not converge.
    """
    known = np.isfinite(gradient_y) & np.isfinite(gradient_x)
    rise_y = step_integrals(np.where(known, gradient_y, np.nan), step[0], 0)
    rise_x = step_integrals(np.where(known, gradient_x, np.nan), step[1], 1)
    used_y, used_x = np.isfinite(rise_y), np.isfinite(rise_x)
    if not (used_y.any() or used_x.any()):
        raise DataError("no two neighbouring positions are known: there is nothing to integrate", where="dpc")
    stiffness = (used_y / step[0] ** 2, used_x / step[1] ** 2)
    source = _gather(np.where(used_y, rise_y, 0) * stiffness[0], np.where(used_x, rise_x, 0) * stiffness[1])
    potential = _solve_rectangle(source, step) if known.all() else _solve_with_holes(source, stiffness, step)
    return _level(potential, known, used_y, used_x)


def _gather(flow_y: Floats, flow_x: Floats) -> Floats:
    """Transpose of the differences between neighbours: what flows along the steps, added up at the positions."""
    return -np.diff(np.pad(flow_y, ((1, 1), (0, 0))), axis=0) - np.diff(np.pad(flow_x, ((0, 0), (1, 1))), axis=1)


def _solve_rectangle(source: Floats, step: tuple[float, float]) -> Floats:
    ny, nx = source.shape
    curvature_y = (2 - 2 * np.cos(np.pi * np.arange(ny) / ny)) / step[0] ** 2
    curvature_x = (2 - 2 * np.cos(np.pi * np.arange(nx) / nx)) / step[1] ** 2
    curvature = curvature_y[:, None] + curvature_x
    curvature[0, 0] = np.inf  # the constant is free
    return np.asarray(fft.idctn(fft.dctn(source, norm="ortho") / curvature, norm="ortho"))


def _solve_with_holes(source: Floats, stiffness: tuple[Floats, Floats], step: tuple[float, float]) -> Floats:
    shape = source.shape
    at = _has_neighbour(stiffness, shape)

    def spread(unknown: Floats) -> Floats:
        full = np.zeros(shape)
        full[at] = unknown
        return full

    def normal(unknown: Floats) -> Floats:
        full = spread(unknown)
        return _gather(np.diff(full, axis=0) * stiffness[0], np.diff(full, axis=1) * stiffness[1])[at]

    size = int(at.sum())
    solution, failed = cg(
        LinearOperator((size, size), normal, dtype=np.float64),
        source[at],
        rtol=_RELATIVE_RESIDUAL,
        maxiter=_MAX_ITERATIONS,
        M=LinearOperator((size, size), lambda r: _solve_rectangle(spread(r), step)[at], dtype=np.float64),
    )
    if failed:
        raise DataError(
            f"the integration around missing positions did not converge in {_MAX_ITERATIONS} steps",
            where="dpc",
            fix="crop the scan to where most positions are valid",
        )
    return spread(solution)


def _level(potential: Floats, known: NDArray[np.bool_], used_y: NDArray[np.bool_], used_x: NDArray[np.bool_]) -> Floats:
    """Take the mean out of every connected group; NaN where a position is on its own."""
    labels, n = ndimage.label(known)
    means = ndimage.mean(potential, labels, np.arange(1, n + 1))
    levelled = potential - np.concatenate([[0.0], means])[labels]
    return np.where(_has_neighbour((used_y, used_x), known.shape), levelled, np.nan)


def _has_neighbour(used: tuple[NDArray[Any], NDArray[Any]], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Positions at either end of a step that is used."""
    at = np.zeros(shape, bool)
    for axis, steps in enumerate(used):
        rows, columns = np.nonzero(steps)
        at[rows, columns] = True
        at[rows + (axis == 0), columns + (axis == 1)] = True
    return at

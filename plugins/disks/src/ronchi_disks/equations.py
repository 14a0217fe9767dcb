"""The equations of one disk: room for them, what is known of its slopes beforehand, and their solution."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit

__all__ = ["N_PARAMETERS", "SLOPES", "Room", "add_spread", "invert", "make_room", "solve"]

Float = NDArray[np.floating[Any]]

N_PARAMETERS = 8
"""Background, height, slopes (times height) along y and x, centre y and x, and the background's slopes a radius."""
SLOPES = (2, 3, 6, 7)
"""Parameters that are slopes: of the disk, then of the background."""


class Room(NamedTuple):
    """Room for the equations of one disk, made once for all.

    Attributes
    ----------
    system : (8, 9) float64
        Upper triangle of the information, and the score in the last column.
    lower : (8, 8) float64
        Cholesky's factor, below and on its diagonal.
    inverse, covariance : (8, 8) float64
    p, relative, step : (8,) float64
        Parameters, the same with the centre relative to that of a row of the table, and a step.
    """

    system: Float
    lower: Float
    inverse: Float
    covariance: Float
    p: Float
    relative: Float
    step: Float


@njit(nogil=True)
def make_room() -> Room:
    """Make room, all zeros."""
    n = N_PARAMETERS
    square, vectors = np.zeros((3, n, n)), np.zeros((3, n))
    return Room(np.zeros((n, n + 1)), square[0], square[1], square[2], vectors[0], vectors[1], vectors[2])


@njit(allocates=False, nogil=True)
def add_spread(room: Room, spread: tuple[float, float], scale: tuple[float, float]) -> None:
    """Add what is known of the slopes beforehand: that of disk and background are about ``spread * scale``.

    A spread of 0 holds them: their step is 0, and they take nothing from what is known of the others.
    """
    system, p = room.system, room.p
    for k in range(4):
        of = SLOPES[k]
        if spread[k // 2] > 0.0:
            stiffness = 1.0 / (spread[k // 2] * scale[k // 2]) ** 2
            system[of, of] += stiffness
            system[of, N_PARAMETERS] -= stiffness * p[of]
        else:
            for i in range(of):
                system[i, of] = 0.0
            for i in range(of + 1, N_PARAMETERS + 1):
                system[of, i] = 0.0
            system[of, of] = 1.0


@njit(allocates=False, nogil=True)
def solve(room: Room) -> bool:
    """Fill ``step`` by Cholesky's factor, which is kept for `invert`; False where the information is singular.

    One over the square of the factor's last diagonal element is the variance of the last parameter.
    """
    system, lower, step = room.system, room.lower, room.step
    for i in range(N_PARAMETERS):
        for j in range(i + 1):
            total = system[j, i]
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            if i > j:
                lower[i, j] = total / lower[j, j]
            elif total > 1e-10 * system[i, i]:
                lower[i, i] = np.sqrt(total)
            else:
                return False
    for i in range(N_PARAMETERS):
        total = system[i, N_PARAMETERS]
        for k in range(i):
            total -= lower[i, k] * step[k]
        step[i] = total / lower[i, i]
    for i in range(N_PARAMETERS - 1, -1, -1):
        total = step[i]
        for k in range(i + 1, N_PARAMETERS):
            total -= lower[k, i] * step[k]
        step[i] = total / lower[i, i]
    return True


@njit(allocates=False, nogil=True)
def invert(room: Room) -> None:
    """Fill ``covariance``, the inverse information, from the factor that `solve` left."""
    lower, inverse, covariance = room.lower, room.inverse, room.covariance
    for j in range(N_PARAMETERS):
        inverse[j, j] = 1.0 / lower[j, j]
        for i in range(j + 1, N_PARAMETERS):
            total = 0.0
            for k in range(j, i):
                total -= lower[i, k] * inverse[k, j]
            inverse[i, j] = total / lower[i, i]
    for i in range(N_PARAMETERS):
        for j in range(i, N_PARAMETERS):
            total = 0.0
            for k in range(j, N_PARAMETERS):
                total += inverse[k, i] * inverse[k, j]
            covariance[i, j] = total
            covariance[j, i] = total

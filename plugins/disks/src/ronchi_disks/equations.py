"""The equations of one disk: room for them, what is known of its slopes beforehand, and their solution."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ronchi.cholesky import factor, solve
from ronchi.compiled import part

__all__ = ["N_PARAMETERS", "SLOPES", "Room", "add_spread", "make_room", "solve_step"]

Float = NDArray[np.floating[Any]]

N_PARAMETERS = 8
"""Background, height, slopes (times height) along y and x, centre y and x, and the background's slopes a radius."""
SLOPES = (2, 3, 6, 7)
"""Parameters that are slopes: of the disk, then of the background."""
_LEAST = 1e-10
"""Share of a parameter's information that the others must leave."""


class Room(NamedTuple):
    """Room for the equations of one disk, made once for all.

    Attributes
    ----------
    system : (8, 8) float64
        Lower triangle of the information, then Cholesky's factor.
    covariance : (8, 8) float64
    score, step : (8,) float64
    p, relative : (8,) float64
        Parameters, and the same with the centre relative to that of a row of the table.
    place : (5,) int64
        Row and column of the pixel on which the window is centred, how many of its pixels are usable, row of the table,
        number of the frame.
    """

    system: Float
    covariance: Float
    score: Float
    step: Float
    p: Float
    relative: Float
    place: NDArray[np.int64]


def make_room() -> Room:
    """Make room, all zeros."""
    n = N_PARAMETERS
    square, vectors = np.zeros((2, n, n)), np.zeros((4, n))
    return Room(square[0], square[1], vectors[0], vectors[1], vectors[2], vectors[3], np.zeros(5, np.int64))


@part(allocates=False)
def add_spread(room: Room, spread: tuple[float, float], scale: tuple[float, float]) -> None:
    """Add what is known of the slopes beforehand: those of disk and background are about ``spread * scale``.

    A spread of 0 holds them: their step is 0, and they take nothing from what is known of the others.
    """
    system, score, p = room.system, room.score, room.p
    for k in range(4):
        of = SLOPES[k]
        if spread[k // 2] > 0.0:
            stiffness = 1.0 / (spread[k // 2] * scale[k // 2]) ** 2
            system[of, of] += stiffness
            score[of] -= stiffness * p[of]
        else:
            for i in range(of):
                system[of, i] = 0.0
            for i in range(of + 1, N_PARAMETERS):
                system[i, of] = 0.0
            system[of, of] = 1.0
            score[of] = 0.0


@part(allocates=False)
def solve_step(room: Room) -> bool:
    """Fill ``step``, and leave Cholesky's factor; False where the information is singular.

    One over the square of the factor's last diagonal element is the variance of the last parameter.
    """
    score, step = room.score, room.step
    if not factor(room.system, N_PARAMETERS, _LEAST):
        return False
    for k in range(N_PARAMETERS):
        step[k] = score[k]
    solve(room.system, step, N_PARAMETERS)
    return True

"""Whether a bend of the background explains a window better than a disk: amorphous rings, edges of shadows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import part
from ronchi_disks.equations import N_PARAMETERS, Room, solve_step
from ronchi_disks.fisher import ACROSS, DOWN, HEIGHT, N_ROWS, RESIDUAL, WEIGHT

__all__ = ["is_smooth"]

Float = NDArray[np.floating[Any]]

_TERMS = 6
"""Of a paraboloid; the disk's height comes after them."""
_MARGIN = 10.0
"""By how much, in units of the disk's misfit, the paraboloid must be the better one: of dynamical disks 3 in 1000 are
lost by it, of what passes for disks on a ring or on the edge of a shadow nine in ten."""
_SEEN = 4.0
"""Standard deviations by which a disk stands out of the paraboloid if both are there."""


@part(allocates=False)
def is_smooth(window: Float, rows: Float, room: Room, disk_chi2: float, misfit: float) -> bool:
    """Whether the counts of a window are those of a paraboloid rather than of a disk on a plane, or on the paraboloid.

    Paraboloid and disk on a plane have six parameters each where the disk's slopes are not counted, so their
    chi-squares may be compared.

    Parameters
    ----------
    window : (3, pixel) float32
        Electrons, 1 where usable and else 0, and the mean that other disks add.
    rows : (n, pixel) float32
        As `ronchi_disks.fisher.normal_equations` left them for the disk; those of the residuals are written to.
    room : Room
        Its ``relative`` parameters are the disk's; ``system``, ``score`` and ``step`` are written to.
    disk_chi2, misfit : float
        Of the disk, and over its degrees of freedom, 1 at least.
    """
    freedom = room.place[2] - _TERMS
    if disk_chi2 - _MARGIN * misfit < freedom - np.sqrt(2.0 * freedom):
        return False
    system, score, step, p = room.system, room.score, room.step, room.relative
    level, down, across = np.float32(p[0]), np.float32(p[6]), np.float32(p[7])
    # What is next to nothing beside a bright background would be lost in the sums.
    for i in range(window.shape[1]):
        plane = level + down * rows[DOWN, i] + across * rows[ACROSS, i]
        rows[RESIDUAL, i] = window[0, i] - window[2, i] - plane
    total = _paraboloid_and_disk(rows, room)
    if not solve_step(room):
        return False
    for k in range(_TERMS + 1):
        total -= step[k] * score[k]
    # The last element of the factor tells the disk's variance where all else is free.
    stands_out = max(step[_TERMS], 0.0) ** 2 * system[_TERMS, _TERMS] ** 2
    smooth_chi2 = total + (step[_TERMS] * system[_TERMS, _TERMS]) ** 2
    if stands_out > _SEEN**2 * max(1.0, total / freedom):
        return False
    return bool(smooth_chi2 < disk_chi2 - _MARGIN * misfit)


@part(allocates=False, fastmath=True)
def _paraboloid_and_disk(rows: Float, room: Room) -> float:
    """Normal equations of 1, v, u, v^2, uv, u^2, and the disk's height; returns the weighted sum of squares."""
    system, score, zero = room.system, room.score, np.float32(0.0)
    m00 = m10 = m01 = m20 = m11 = m02 = zero
    m30 = m21 = m12 = m03 = m40 = m31 = m22 = m13 = m04 = zero
    for i in range(rows.shape[1]):
        v, u, w = rows[DOWN, i], rows[ACROSS, i], rows[WEIGHT, i]
        wv, wu = w * v, w * u
        wvv, wvu, wuu = wv * v, wv * u, wu * u
        m00 += w
        m10 += wv
        m01 += wu
        m20 += wvv
        m11 += wvu
        m02 += wuu
        m30 += wvv * v
        m21 += wvv * u
        m12 += wuu * v
        m03 += wuu * u
        m40 += wvv * v * v
        m31 += wvv * v * u
        m22 += wvv * u * u
        m13 += wuu * v * u
        m04 += wuu * u * u
    system[0, 0], system[1, 0], system[2, 0], system[3, 0], system[4, 0], system[5, 0] = m00, m10, m01, m20, m11, m02
    system[1, 1], system[2, 1], system[3, 1], system[4, 1], system[5, 1] = m20, m11, m30, m21, m12
    system[2, 2], system[3, 2], system[4, 2], system[5, 2] = m02, m21, m12, m03
    system[3, 3], system[4, 3], system[5, 3] = m40, m31, m22
    system[4, 4], system[5, 4], system[5, 5] = m22, m13, m04
    # Of a constant numba would compile a function for each.
    for row in range(N_ROWS):
        if row == RESIDUAL:
            for k, moment in enumerate(_moments(rows, row)):
                score[k] = moment
        elif row == HEIGHT:
            for k, moment in enumerate(_moments(rows, row)):
                system[_TERMS, k] = moment
    square = disk_square = product = zero
    for i in range(rows.shape[1]):
        counts, disk = rows[RESIDUAL, i], rows[HEIGHT, i]
        square += rows[WEIGHT, i] * counts * counts
        product += rows[WEIGHT, i] * counts * disk
        disk_square += rows[WEIGHT, i] * disk * disk
    system[_TERMS, _TERMS], score[_TERMS] = disk_square, product
    # What the fit of a disk has more is held.
    for row in range(_TERMS + 1, N_PARAMETERS):
        for k in range(row):
            system[row, k] = 0.0
        system[row, row], score[row] = 1.0, 0.0
    return float(square)


@part(allocates=False, fastmath=True)
def _moments(rows: Float, of: int) -> tuple[float, float, float, float, float, float]:
    """Of a row with the terms of the paraboloid."""
    m00 = m10 = m01 = m20 = m11 = m02 = np.float32(0.0)
    for i in range(rows.shape[1]):
        v, u = rows[DOWN, i], rows[ACROSS, i]
        w = rows[WEIGHT, i] * rows[of, i]
        m00 += w
        m10 += w * v
        m01 += w * u
        m20 += w * v * v
        m11 += w * v * u
        m02 += w * u * u
    return m00, m10, m01, m20, m11, m02

"""The compiled kernel of the likelihood fit: Fisher information and score of one disk."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import part
from ronchi_disks.equations import Room

__all__ = ["ACROSS", "DOWN", "HEIGHT", "N_ROWS", "RESIDUAL", "WEIGHT", "normal_equations"]

Float = NDArray[np.floating[Any]]

N_ROWS = 9
WEIGHT, HEIGHT, _U, _V, _Y, _X, RESIDUAL, DOWN, ACROSS = range(N_ROWS)
"""Rows of the work space: weights, derivatives with height, slopes and centre, residuals, and what the caller fills
once: the pixels' offsets along y and x, in radii."""


@part(allocates=False, fastmath=True)
def normal_equations(
    window: Float, table: Float, spread: tuple[float, float], floor: float, rows: Float, room: Room
) -> float:
    """Fisher information and score of one disk.

    Parameters
    ----------
    window : (3, pixel) float32
        Electrons, 1 where usable and else 0, and the mean that other disks add.
    table : (phase, 9, pixel) float32
        That of `DiskModel`.
    spread : (float, float)
        Of the slopes of the disk, and of the background: where it is 0 there are none, and the rows and columns of
        their information are left as they are.
    floor : float
        Variance beyond that of the counts.
    rows : (9, pixel) float32
        Room to work in; the rows `DOWN` and `ACROSS` filled.
    room : Room
        Its ``relative`` parameters and ``place`` are read, its ``system`` and ``score`` are filled.

    Returns
    -------
    chi2 : float
        Sum of squared residuals over their variance.
    """
    n, least, zero = window.shape[1], np.float32(floor), np.float32(0.0)
    p, system, score, phase = room.relative, room.system, room.score, room.place[3]
    b, height, dy, dx = np.float32(p[0]), np.float32(p[1]), np.float32(p[4]), np.float32(p[5])
    # Where too large a dark reference was taken off, the light of the disk still has its noise.
    dark = min(b, zero)
    # Many short loops, and rows[K, i] instead of views: each loop that reads several rows and writes several is guarded
    # by a comparison of every pair of their addresses, which takes longer than the loop itself.
    for i in range(n):
        rows[HEIGHT, i] = table[phase, 0, i] + dy * table[phase, 3, i] + dx * table[phase, 4, i]
    for i in range(n):
        rows[_Y, i] = height * table[phase, 3, i]
    for i in range(n):
        rows[_X, i] = height * table[phase, 4, i]
    for i in range(n):
        rows[RESIDUAL, i] = b + height * rows[HEIGHT, i] + window[2, i]
    if spread[0] > 0.0:
        _slope_disk(table, phase, np.float32(p[2]), np.float32(p[3]), dy, dx, rows)
    if spread[1] > 0.0:
        by, bx = np.float32(p[6]), np.float32(p[7])
        for i in range(n):
            rows[RESIDUAL, i] += by * rows[DOWN, i] + bx * rows[ACROSS, i]
    for i in range(n):
        rows[WEIGHT, i] = window[1, i] / (max(rows[RESIDUAL, i] - dark, zero) + least)
    for i in range(n):
        rows[RESIDUAL, i] = window[0, i] - rows[RESIDUAL, i]
    # One loop of all 45 sums would not fit into the registers, and take twice as long.
    chi = one = t1 = y1 = x1 = g0 = zero
    for i in range(n):
        w = rows[WEIGHT, i]
        wr = w * rows[RESIDUAL, i]
        chi += wr * rows[RESIDUAL, i]
        g0 += wr
        one += w
        t1 += w * rows[HEIGHT, i]
        y1 += w * rows[_Y, i]
        x1 += w * rows[_X, i]
    system[0, 0], system[1, 0], system[4, 0], system[5, 0] = one, t1, y1, x1
    tt = ty = tx = g1 = zero
    for i in range(n):
        w = rows[WEIGHT, i] * rows[HEIGHT, i]
        tt += w * rows[HEIGHT, i]
        ty += w * rows[_Y, i]
        tx += w * rows[_X, i]
        g1 += w * rows[RESIDUAL, i]
    system[1, 1], system[4, 1], system[5, 1] = tt, ty, tx
    yy = yx = xx = g4 = g5 = zero
    for i in range(n):
        w = rows[WEIGHT, i] * rows[_Y, i]
        yy += w * rows[_Y, i]
        yx += w * rows[_X, i]
        g4 += w * rows[RESIDUAL, i]
        w = rows[WEIGHT, i] * rows[_X, i]
        xx += w * rows[_X, i]
        g5 += w * rows[RESIDUAL, i]
    system[4, 4], system[5, 4], system[5, 5] = yy, yx, xx
    score[0], score[1], score[4], score[5] = g0, g1, g4, g5
    if spread[0] > 0.0:
        _disk_slopes(rows, room)
    if spread[1] > 0.0:
        # Of constants numba would compile a function for each.
        for k in range(2):
            _background_slope(rows, DOWN + k, 6 + k, spread[0] > 0.0, room)
    return float(chi)


@part(allocates=False, fastmath=True)
def _slope_disk(
    table: Float, phase: int, sy: np.float32, sx: np.float32, dy: np.float32, dx: np.float32, rows: Float
) -> None:
    """Fill the rows of the disk's slopes, and add their part to those of the centre and of what is expected."""
    n = rows.shape[1]
    for i in range(n):
        rows[_U, i] = table[phase, 1, i] + dy * table[phase, 5, i] + dx * table[phase, 6, i]
    for i in range(n):
        rows[_V, i] = table[phase, 2, i] + dy * table[phase, 7, i] + dx * table[phase, 8, i]
    for i in range(n):
        rows[_Y, i] += sy * table[phase, 5, i] + sx * table[phase, 7, i]
    for i in range(n):
        rows[_X, i] += sy * table[phase, 6, i] + sx * table[phase, 8, i]
    for i in range(n):
        rows[RESIDUAL, i] += sy * rows[_U, i] + sx * rows[_V, i]


@part(allocates=False, fastmath=True)
def _disk_slopes(rows: Float, room: Room) -> None:
    """Fill what belongs to the disk's slopes."""
    system, score, n = room.system, room.score, rows.shape[1]
    u1 = v1 = tu = tv = np.float32(0.0)
    for i in range(n):
        wu, wv = rows[WEIGHT, i] * rows[_U, i], rows[WEIGHT, i] * rows[_V, i]
        u1 += wu
        v1 += wv
        tu += wu * rows[HEIGHT, i]
        tv += wv * rows[HEIGHT, i]
    system[2, 0], system[3, 0], system[2, 1], system[3, 1] = u1, v1, tu, tv
    uu = uv = uy = ux = vv = vy = vx = g2 = g3 = np.float32(0.0)
    for i in range(n):
        w = rows[WEIGHT, i] * rows[_U, i]
        uu += w * rows[_U, i]
        uv += w * rows[_V, i]
        uy += w * rows[_Y, i]
        ux += w * rows[_X, i]
        g2 += w * rows[RESIDUAL, i]
        w = rows[WEIGHT, i] * rows[_V, i]
        vv += w * rows[_V, i]
        vy += w * rows[_Y, i]
        vx += w * rows[_X, i]
        g3 += w * rows[RESIDUAL, i]
    system[2, 2], system[3, 2], system[4, 2], system[5, 2] = uu, uv, uy, ux
    system[3, 3], system[4, 3], system[5, 3] = vv, vy, vx
    score[2], score[3] = g2, g3


@part(allocates=False, fastmath=True)
def _background_slope(rows: Float, own: int, k: int, disk_sloped: bool, room: Room) -> None:
    """Fill row ``k`` of the information, and the score, of one slope of the background."""
    system = room.system
    one = t = y = x = down = square = rest = np.float32(0.0)
    for i in range(rows.shape[1]):
        w = rows[WEIGHT, i] * rows[own, i]
        one += w
        t += w * rows[HEIGHT, i]
        y += w * rows[_Y, i]
        x += w * rows[_X, i]
        down += w * rows[DOWN, i]
        square += w * rows[own, i]
        rest += w * rows[RESIDUAL, i]
    system[k, 0], system[k, 1], system[k, 4], system[k, 5] = one, t, y, x
    system[k, 6], system[k, k], room.score[k] = down, square, rest
    if disk_sloped:
        u = v = np.float32(0.0)
        for i in range(rows.shape[1]):
            w = rows[WEIGHT, i] * rows[own, i]
            u += w * rows[_U, i]
            v += w * rows[_V, i]
        system[k, 2], system[k, 3] = u, v

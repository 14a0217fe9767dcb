"""The pixels around a disk: its own counts, what is usable of them, and the light of its neighbours."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit, part
from ronchi_disks.disk_model import N_PHASES, DiskModel
from ronchi_disks.equations import Room

__all__ = [
    "EDGE",
    "MISFIT",
    "MOVED",
    "NOT_REFINED",
    "OVERLAP",
    "SMOOTH",
    "State",
    "View",
    "background_and_height",
    "gather",
    "neighbours",
]

Float = NDArray[np.floating[Any]]

EDGE = 1
"""Flag: pixels of the window lie outside the frame or are bad."""
NOT_REFINED = 2
"""Flag: too little signal, no disk of this shape, or the fit went astray; the position is the start's."""
OVERLAP = 4
"""Flag: another disk reaches into the window; the two were fitted in turn."""

MISFIT, MOVED = 8, 9
"""Columns of ``looks``, after slopes and variances."""
SMOOTH = 8
"""Flag, with `NOT_REFINED`: a bend of the background explains the counts better than a disk."""


class View(NamedTuple):
    """Frames and their disks as they were found; ``others[first[i] : first[i + 1]]`` reach into the window of disk i.

    ``start`` rows: y and x, what makes electrons of counts, and the variance of a pixel without light, electrons^2.
    """

    frames: NDArray[Any]
    good: NDArray[np.bool_]
    all_good: bool
    start: Float
    first: NDArray[np.int64]
    others: NDArray[np.int64]
    model: DiskModel


class State(NamedTuple):
    """What the fit has found so far.

    ``fits`` rows: background, height, slopes times height, y, x, slopes of the background, then the covariance of y
    and x.  ``looks`` rows: relative slopes of disk and background and their variances as the look at each found them,
    its misfit, 0 where it failed, and whether the last fit has moved the disk.  ``equations`` of the look: information,
    score and parameters, those of one frame (disk i in row ``i % len(equations)``), to stay in the processor's cache.
    ``window`` and ``rows`` are room for one disk's pixels, ``room`` for its equations.
    """

    fits: Float
    looks: Float
    equations: Float
    flags: NDArray[np.uint8]
    window: Float
    rows: Float
    room: Room


@part(allocates=False)
def gather(view: View, state: State, own: int, centre: tuple[int, int]) -> int:
    """Fill the window around ``centre``; return how many of its pixels are usable.

    Of another disk that reaches into it, the latest state is taken off; where there is none, its pixels are left out.
    """
    row, column = centre
    offset_y, offset_x, window = view.model.offset_y, view.model.offset_x, state.window
    frame, scale = view.frames[state.room.place[4]], np.float32(view.start[own, 2])
    n, reach = 0, len(view.model.lookup) // 2
    within = reach <= row < frame.shape[0] - reach and reach <= column < frame.shape[1] - reach
    if within and view.all_good:
        n = len(offset_y)
        _copy_pixels(frame, scale, (row, column), offset_y, offset_x, window)
    for i in range(n, len(offset_y)):
        r, c = row + offset_y[i], column + offset_x[i]
        inside = 0 <= r < frame.shape[0] and 0 <= c < frame.shape[1] and view.good[r, c]
        window[0, i] = frame[r, c] * scale if inside else 0.0
        window[1, i] = 1.0 if inside else 0.0
        window[2, i] = 0.0
        n += inside
    if n < len(offset_y):
        state.flags[own] |= EDGE
    for k in range(view.first[own], view.first[own + 1]):
        other = view.others[k]
        if state.fits[other, 1] > 0.0:
            _add_disk(view, state, other, centre)
        else:
            n -= _leave_out(view, state, own, other, centre)
    return n


@part(allocates=False)
def _copy_pixels(
    frame: NDArray[Any],
    scale: np.float32,
    centre: tuple[int, int],
    offset_y: NDArray[np.int32],
    offset_x: NDArray[np.int32],
    window: Float,
) -> None:
    """Fill a window that lies within the frame, all pixels good."""
    row, column = centre
    for i in range(len(offset_y)):
        # Unsigned, so that no test for negative indices slows the loop.
        window[0, i] = frame[np.uint64(row + offset_y[i]), np.uint64(column + offset_x[i])] * scale
    for i in range(len(offset_y)):
        window[1, i] = 1.0
        window[2, i] = 0.0


@part(allocates=False)
def _add_disk(view: View, state: State, other: int, centre: tuple[int, int]) -> None:
    """Add the mean of another disk to the window around ``centre``."""
    model = view.model
    height, sy, sx = state.fits[other, 1], state.fits[other, 2], state.fits[other, 3]
    y, x = state.fits[other, 4], state.fits[other, 5]
    row, column = round(y), round(x)
    ky, kx = round((y - row + 0.5) * N_PHASES), round((x - column + 0.5) * N_PHASES)
    phase = ky * (N_PHASES + 1) + kx
    side = len(model.lookup)
    for i in range(len(model.offset_y)):
        r = centre[0] + model.offset_y[i] - row + side // 2
        c = centre[1] + model.offset_x[i] - column + side // 2
        if 0 <= r < side and 0 <= c < side and model.lookup[r, c] >= 0:
            k = model.lookup[r, c]
            state.window[2, i] += (
                height * model.table[phase, 0, k] + sy * model.table[phase, 1, k] + sx * model.table[phase, 2, k]
            )


@part(allocates=False, fastmath=True)
def _leave_out(view: View, state: State, own: int, other: int, centre: tuple[int, int]) -> int:
    """Make pixels unusable that lie in another disk and nearer to it; return how many."""
    offset_y, offset_x, window = view.model.offset_y, view.model.offset_x, state.window
    own_y, own_x = np.float32(view.start[own, 0] - centre[0]), np.float32(view.start[own, 1] - centre[1])
    other_y, other_x = np.float32(view.start[other, 0] - centre[0]), np.float32(view.start[other, 1] - centre[1])
    reach = np.float32(view.model.radius_px + 1.5) ** 2
    left_out = np.float32(0.0)
    for i in range(len(offset_y)):
        y, x = np.float32(offset_y[i]), np.float32(offset_x[i])
        distance = (y - other_y) * (y - other_y) + (x - other_x) * (x - other_x)
        own_distance = (y - own_y) * (y - own_y) + (x - own_x) * (x - own_x)
        # Without branches, which would be guessed wrongly as often as not.
        out = window[1, i] if distance < min(own_distance, reach) else np.float32(0.0)
        window[1, i] -= out
        left_out += out
    return int(left_out)


def neighbours(start: Float, ends: NDArray[np.int64], model: DiskModel) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Disks whose light falls into the window of each, as ``first`` and ``others`` of `View`.

    Parameters
    ----------
    start : (p, >= 2) float64
        y, x in the first columns.
    ends : (frame + 1,) int64
        Where the disks of each frame begin and end.
    """
    reach = model.radius_px + 0.5 * len(model.lookup) + 1.0
    order, first, others = np.arange(len(start)), np.zeros(len(start) + 1, np.int64), np.empty(0, np.int64)
    _list_neighbours(start, ends, reach, order, first[1:], others)
    first = np.cumsum(first)
    others = np.empty(first[-1], np.int64)
    _list_neighbours(start, ends, reach, order, first[:-1].copy(), others)
    return first, others


@njit(allocates=False, nogil=True)
def _list_neighbours(
    start: Float,
    ends: NDArray[np.int64],
    reach: float,
    order: NDArray[np.int64],
    place: NDArray[np.int64],
    others: NDArray[np.int64],
) -> None:
    """Move the place of each disk on by the number of its neighbours, which are written there if there is room."""
    for n in range(len(ends) - 1):
        begin, end = ends[n], ends[n + 1]
        # Shell's way: NumPy's sorts take a second to compile.
        gap = (end - begin) // 2
        while gap > 0:
            for a in range(begin + gap, end):
                i, b = order[a], a
                while b >= begin + gap and start[order[b - gap], 0] > start[i, 0]:
                    order[b] = order[b - gap]
                    b -= gap
                order[b] = i
            gap = 1 if gap == 2 else 5 * gap // 11
        for a in range(begin, end):
            i = order[a]
            for b in range(a + 1, end):
                j = order[b]
                dy, dx = start[j, 0] - start[i, 0], start[j, 1] - start[i, 1]
                if dy >= reach:
                    break
                if dy * dy + dx * dx < reach * reach:
                    if len(others):
                        others[place[i]], others[place[j]] = j, i
                    place[i] += 1
                    place[j] += 1


@part(allocates=False, fastmath=True)
def background_and_height(window: Float, table: Float, phase: int) -> tuple[float, float]:
    """Fit the counts by a constant and the disk, without weights."""
    s1, st, stt, sp, spt = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(window.shape[1]):
        t, usable, pixel = table[phase, 0, i], window[1, i], window[0, i]
        s1 += usable
        st += usable * t
        stt += usable * t * t
        sp += usable * pixel
        spt += usable * pixel * t
    determinant = s1 * stt - st * st
    if determinant <= 0.0:
        return 0.0, 0.0
    return (stt * sp - st * spt) / determinant, (s1 * spt - st * sp) / determinant

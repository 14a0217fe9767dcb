"""Search of the correlation: local maxima, then one verdict for each, brightest first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit, part
from ronchi_crosscorr.photometry import SECTORS, Aperture, measure
from ronchi_crosscorr.refine import newton, parabola
from ronchi_disks.noise import quiet_level

__all__ = ["COLUMNS", "REASONS", "Rules", "local_maxima", "search"]

REASONS = ("accepted", "edge", "masked", "weak", "low-snr", "uneven", "too-close", "faint", "over-cap", "smooth")
"""Verdicts on a candidate; their index is the code in the column `REASON`. The last one is the fit's."""
_ACCEPTED, _EDGE, _MASKED, _WEAK, _LOW_SNR, _UNEVEN, _TOO_CLOSE, _FAINT, _OVER_CAP = range(9)

COLUMNS = ("y", "x", "intensity", "snr", "var_yy", "var_yx", "var_xx", "flags", "reason")
"""Columns of the table of candidates; positions in px of the grid."""
_Y, _X, _INTENSITY, _SNR, _VYY, _VYX, _VXX, _FLAGS, _REASON = range(9)

FLAG_OVERLAP, FLAG_MASKED, FLAG_NOT_REFINED = 4, 8, 16

MIN_EVENNESS = 0.6
"""Least share of a disk's sectors that hold its light."""
GATE = 0.6
"""A maximum whose rise above its surroundings is less than this share of the threshold is noise: no photometry."""
HALO = 4.0
"""A ring this many times brighter than the dark half of the pattern, and than one electron in it, is in a halo."""
MAX_MASKED = 0.3
"""Largest share of bad pixels in a disk."""


class Rules(NamedTuple):
    """What the verdicts depend on; lengths in px of the grid.

    Parameters
    ----------
    height, width : int
        Used part of the grid.
    last_y, last_x : float
        Row and column at the frame's end, were the last blocks whole.
    edge, min_distance, radius : float
    min_snr, min_relative : float
    max_peaks : int
    linear : bool
        The correlation is in counts (cross mode).
    interpolate : bool
        Refine by `newton`, else by `parabola`.
    cov_shot, cov_background : (3,) float64 arrays
        yy, yx, xx of the covariance per gain / intensity, and per background variance / intensity^2.
    """

    height: int
    width: int
    last_y: float
    last_x: float
    edge: float
    min_distance: float
    radius: float
    min_snr: float
    min_relative: float
    max_peaks: int
    linear: bool
    interpolate: bool
    cov_shot: NDArray[np.float64]
    cov_background: NDArray[np.float64]


class Room(NamedTuple):
    """Room for the search of a pattern, made once for all.

    Attributes
    ----------
    marks : (my, 8 * k) uint8
        Zeros, ``8 * k >= width``.
    words : (my * k,) uint64
        The same memory.
    ys, xs, kept : (capacity,) int32
        Maxima, and the numbers of those that get a closer look.
    height : (capacity,) float32
        Of the latter.
    pixels : (3, >= pixels of the aperture) float32
    number : (2 * SECTORS,) int64
    weights : (2, 3, 7) float64
    """

    marks: NDArray[np.uint8]
    words: NDArray[np.uint64]
    ys: NDArray[np.int32]
    xs: NDArray[np.int32]
    kept: NDArray[np.int32]
    height: NDArray[np.float32]
    pixels: NDArray[np.float32]
    number: NDArray[np.int64]
    weights: NDArray[np.float64]


def make_room(rows: int, width: int, capacity: int, aperture_px: int = 0) -> Room:
    """Make room for patterns of so many rows, the used part of them so wide, with ``capacity`` maxima at most."""
    marks = np.zeros((rows, (width + 7) // 8 * 8), np.uint8)
    return Room(
        marks,
        marks.reshape(-1).view(np.uint64),
        *np.empty((3, capacity), np.int32),
        np.empty(capacity, np.float32),
        np.empty((3, max(aperture_px, 2 * SECTORS)), np.float32),
        np.empty(2 * SECTORS, np.int64),
        np.empty((2, 3, 7)),
    )


@part(allocates=False)
def local_maxima(c: NDArray[np.float32], height: int, width: int, border: int, room: Room) -> int:
    """List the local maxima among 8 neighbours in ``ys`` and ``xs`` of the room, and return their number.

    Of equal neighbours the first in reading order wins, so that a plateau of two pixels gives one maximum.

    Parameters
    ----------
    c : (my, mx) float32 array
    height, width : int
        Its used part.
    border : int
        Rows at the edge of the used part that are left out, at least 1.
    """
    marks, words = room.marks, room.words
    found, stride = 0, marks.shape[1]
    _mark_maxima(c, height, width, border, marks)
    for w in range(len(words)):
        if words[w] == 0:
            continue
        for i in range(8 * w, 8 * w + 8):
            if marks[i // stride, i % stride] and found < len(room.ys):
                room.ys[found], room.xs[found] = i // stride, i % stride
                found += 1
        words[w] = 0
    return found


@part(allocates=False)
def _mark_maxima(c: NDArray[np.float32], height: int, width: int, border: int, flags: NDArray[np.uint8]) -> None:
    for y in range(border, height - border):
        above, row, below, flag = c[y - 1], c[y], c[y + 1], flags[y]
        # No branches, and a start that is known to be positive: the loop becomes vector compares.
        for x in range(1, width - 1):
            z = row[x]
            flag[x] = (
                (z > above[x - 1])
                & (z > above[x])
                & (z > above[x + 1])
                & (z > row[x - 1])
                & (z >= row[x + 1])
                & (z >= below[x - 1])
                & (z >= below[x])
                & (z >= below[x + 1])
            )


@part(allocates=False)
def _surroundings(
    c: NDArray[np.float32], height: int, width: int, y: int, x: int, distance: int, v: NDArray[np.float32]
) -> float:
    """Third lowest of eight values around a pixel: the level next to a disk, whatever neighbours it has."""
    diagonal = max(1, round(0.7071 * distance))
    up, down = max(y - distance, 0), min(y + distance, height - 1)
    left, right = max(x - distance, 0), min(x + distance, width - 1)
    up_d, down_d = max(y - diagonal, 0), min(y + diagonal, height - 1)
    left_d, right_d = max(x - diagonal, 0), min(x + diagonal, width - 1)
    v[0], v[1], v[2], v[3] = c[up, x], c[down, x], c[y, left], c[y, right]
    v[4], v[5], v[6], v[7] = c[up_d, left_d], c[up_d, right_d], c[down_d, left_d], c[down_d, right_d]
    low0, low1, low2 = np.float32(np.inf), np.float32(np.inf), np.float32(np.inf)
    for i in range(8):
        z = v[i]
        if z < low0:
            low0, low1, low2 = z, low0, low1
        elif z < low1:
            low1, low2 = z, low1
        elif z < low2:
            low2 = z
    return float(low2)


def search(
    image: NDArray[np.float32],
    c: NDArray[np.float32],
    bad: NDArray[np.float32],
    rules: Rules,
    ap: Aperture,
    explain: bool,
    table: NDArray[np.float64],
    counts: NDArray[np.int32],
    gains: NDArray[np.float64],
) -> int:
    """Find the disks of a batch.

    Parameters
    ----------
    image, c : (n, my, mx) float32 arrays
        Patterns and correlations on the grid.
    bad : (n or 1, my, mx) float32 array
        Share of bad pixels in a disk centred there, for each pattern or for all.
    explain : bool
        List the rejected candidates too, with their reasons.
    table : (n * capacity, len(COLUMNS)) float64 array
        Filled with one row a candidate.
    counts : (n,) int32 array
        Rows of each pattern.
    gains : (n,) float64 array
        Gain of each pattern: variance of a pixel over its value.

    Returns
    -------
    rows : int
    """
    room = make_room(c.shape[1], rules.width, len(table) // len(image), len(ap.flat))
    quiet = quiet_level(image, rules.height, rules.width)
    # Maxima outside the edge are of interest only to those who ask why they were dropped.
    cut = max(rules.last_y - rules.height, rules.last_x - rules.width) + 1
    border = 1 if explain else max(1, int(np.ceil(rules.edge - 0.5 - cut)))
    return int(_search(image, c, bad, rules, ap, border, explain, gains, quiet, room, table, counts))


@njit(allocates=False)
def _search(
    image: NDArray[np.float32],
    c: NDArray[np.float32],
    bad: NDArray[np.float32],
    rules: Rules,
    ap: Aperture,
    border: int,
    explain: bool,
    gains: NDArray[np.float64],
    quiet: NDArray[np.float64],
    room: Room,
    table: NDArray[np.float64],
    counts: NDArray[np.int32],
) -> int:
    distance = max(2, round(1.5 * rules.radius))
    ring_px = ap.start[2 * SECTORS] - ap.start[SECTORS]
    rows = 0
    for b in range(len(image)):
        frame, cc, share, first, gain = image[b], c[b], bad[b % len(bad)], rows, gains[b]
        found = local_maxima(cc, rules.height, rules.width, border, room)
        n_kept = 0
        for i in range(found):
            y, x = room.ys[i], room.xs[i]
            reason = _ACCEPTED
            if min(float(min(y, x)), rules.last_y - y, rules.last_x - x) < rules.edge - 0.5:
                reason = _EDGE
            elif share[y, x] > MAX_MASKED:
                reason = _MASKED
            elif rules.linear:
                rise = cc[y, x] - _surroundings(cc, rules.height, rules.width, y, x, distance, room.pixels[0])
                around = max(cc[y, x] - rise, np.float32(gain))
                if rise <= 0 or rise * rise < (GATE * rules.min_snr) ** 2 * gain * around:
                    reason = _WEAK
            if reason == _ACCEPTED:
                room.height[n_kept], room.kept[n_kept] = cc[y, x], i
                n_kept += 1
            elif explain:
                _write(table, rows, float(y), float(x), reason)
                rows += 1
        _brightest_first(room.height, room.kept, n_kept)
        accepted, brightest, backgrounds, measured = 0, 0.0, 0.0, 0
        first_kept = rows
        for o in range(n_kept):
            y, x = room.ys[room.kept[o]], room.xs[room.kept[o]]
            dy, dx, ok = parabola(cc, y, x)
            if ok and rules.interpolate:
                dy, dx = newton(cc, y, x, dy, dx, room.weights)
            reason = _ACCEPTED
            for i in range(first_kept, rows):
                if table[i, _REASON] == _ACCEPTED:
                    gap = (table[i, _Y] - y - dy) ** 2 + (table[i, _X] - x - dx) ** 2
                    if gap < rules.min_distance**2:
                        reason = _TOO_CLOSE
                        break
            intensity, pixel_variance, snr = 0.0, 0.0, 0.0
            if reason == _ACCEPTED:
                # Rings tell it better than the dark half of a pattern full of disks, once there are some.
                known = (quiet[b] + backgrounds) / (1 + measured)
                intensity, pixel_variance, snr, sigmas, evenness, background = measure(
                    frame, rules.height, rules.width, y, x, ap, gain, known, room.pixels, room.number
                )
                # The halo of a bright beam says nothing of the background elsewhere.
                if background <= HALO * (quiet[b] + gain / ring_px):
                    backgrounds += background
                    measured += 1
                if not sigmas >= rules.min_snr or intensity <= 0:
                    reason = _LOW_SNR
                elif evenness < MIN_EVENNESS:
                    reason = _UNEVEN
                elif accepted >= rules.max_peaks:
                    reason = _OVER_CAP
            if reason != _ACCEPTED and not explain:
                continue
            _write(table, rows, y + dy, x + dx, reason)
            table[rows, _INTENSITY], table[rows, _SNR] = intensity, snr
            table[rows, _FLAGS] = (FLAG_MASKED if share[y, x] > 0 else 0) | (0 if ok else FLAG_NOT_REFINED)
            if reason == _ACCEPTED:
                accepted += 1
                brightest = max(brightest, intensity)
                shot, floor = gain / intensity, pixel_variance / intensity**2
                for k in range(3):
                    table[rows, _VYY + k] = shot * rules.cov_shot[k] + floor * rules.cov_background[k]
            rows += 1
        rows = _finish(table, first_kept, rows, rules, brightest, explain)
        counts[b] = rows - first
    return rows


@part(allocates=False)
def _brightest_first(height: NDArray[np.float32], number: NDArray[np.int32], n: int) -> None:
    """Sort by height, and equal ones by number: Shell's way, which takes a tenth of the time of NumPy's to compile."""
    gap = n // 2
    while gap > 0:
        for i in range(gap, n):
            z, own, k = height[i], number[i], i
            while k >= gap and (height[k - gap] < z or (height[k - gap] == z and number[k - gap] > own)):
                height[k], number[k] = height[k - gap], number[k - gap]
                k -= gap
            height[k], number[k] = z, own
        gap = 1 if gap == 2 else 5 * gap // 11


@part(allocates=False)
def _write(table: NDArray[np.float64], row: int, y: float, x: float, reason: int) -> None:
    for k in range(table.shape[1]):
        table[row, k] = 0.0
    table[row, _Y], table[row, _X], table[row, _REASON] = y, x, reason


@part(allocates=False)
def _finish(table: NDArray[np.float64], first: int, last: int, rules: Rules, brightest: float, explain: bool) -> int:
    """Apply the relative threshold, flag disks that touch, and close the ranks."""
    rows = first
    for i in range(first, last):
        if table[i, _REASON] == _ACCEPTED and table[i, _INTENSITY] < rules.min_relative * brightest:
            table[i, _REASON] = _FAINT
            if not explain:
                continue
        if rows != i:
            for k in range(table.shape[1]):
                table[rows, k] = table[i, k]
        rows += 1
    for i in range(first, rows):
        for j in range(first, i):
            if table[i, _REASON] == _ACCEPTED and table[j, _REASON] == _ACCEPTED:
                gap = (table[i, _Y] - table[j, _Y]) ** 2 + (table[i, _X] - table[j, _X]) ** 2
                if gap < 4 * rules.radius**2:
                    table[i, _FLAGS] = np.float64(np.int64(table[i, _FLAGS]) | FLAG_OVERLAP)
                    table[j, _FLAGS] = np.float64(np.int64(table[j, _FLAGS]) | FLAG_OVERLAP)
    return rows

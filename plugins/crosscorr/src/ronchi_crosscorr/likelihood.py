"""Maximum-likelihood positions of Bragg disks: Poisson counts, a local background, and a slope across each disk.

The slope is the rocking curve seen through the aperture.  A fit without it takes a slope for a shift, a fit with a free slope
doubles the variance of disks that have none; so how strong slopes are is learnt from all disks of the pattern (empirical Bayes).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from ronchi_crosscorr.disk_model import N_PHASES, DiskModel
from ronchi_crosscorr.fisher import N_PARAMETERS, invert, normal_equations

__all__ = ["EDGE", "NOT_REFINED", "OVERLAP", "DiskFits", "fit_disks"]

Float = NDArray[np.floating[Any]]
Int = NDArray[np.integer[Any]]

EDGE = 1
"""Flag: pixels of the window lie outside the frame or are bad."""
NOT_REFINED = 2
"""Flag: too little signal, or the fit left the start's neighbourhood; the position is the start's."""
OVERLAP = 4
"""Flag: another disk reaches into the window; the two were fitted in turn."""

MODEL_ERROR = 0.02
"""Error of the disk's shape relative to its height; bright disks are not known better than that."""
WEAK_SLOPE = 1.0
"""Spread of relative slopes before a pattern has been looked at: any slope that leaves the disk positive."""
NO_SLOPE = 1e-3
MAX_SHIFT_PX = 1.5
MAX_ITERATIONS = 10
TOLERANCE_SIGMA = 0.02
"""A step below this share of the standard error ends the fit."""


class DiskFits(NamedTuple):
    """Results of `fit_disks`, one entry a peak.

    Attributes
    ----------
    y, x : (p,) float64
        Positions in px.
    intensity : (p,) float64
        Counts in the disk, background subtracted; 0 where not refined.
    background : (p,) float64
        Counts a pixel.
    var_yy, var_yx, var_xx : (p,) float64
        Covariance of the position in px^2 from the Fisher information, times chi^2 where that is above 1; infinite where not
        refined.
    flags : (p,) uint8
        `EDGE`, `NOT_REFINED`, `OVERLAP`.
    """

    y: NDArray[np.float64]
    x: NDArray[np.float64]
    intensity: NDArray[np.float64]
    background: NDArray[np.float64]
    var_yy: NDArray[np.float64]
    var_yx: NDArray[np.float64]
    var_xx: NDArray[np.float64]
    flags: NDArray[np.uint8]


def fit_disks(
    frames: NDArray[Any],
    counts: Int,
    y: Float,
    x: Float,
    model: DiskModel,
    *,
    bad_pixel: NDArray[np.bool_] | None = None,
    counts_per_electron: float | Float = 1.0,
    slope: float | None = None,
) -> DiskFits:
    """Refine the positions of disks that are known to about a pixel.

    The electrons in a window follow a Poisson law with mean ``b + I (T + s . S)``, ``T`` the shape of the disk and ``S`` its
    slopes (`DiskModel`).  Fisher scoring finds background b, height I, slope s and centre; with the shape known it reaches the
    Cramer-Rao bound.

    Parameters
    ----------
    frames : (n, qy, qx) array
        Any real dtype.
    counts : (n,) int
        Peaks of each frame: ``y`` and ``x`` hold those of frame 0, then of frame 1, and so on.
    y, x : (p,) float
        Starts in px.
    bad_pixel : (qy, qx) bool, optional
        True where the detector is to be ignored.
    counts_per_electron : float or (n,) array
        Gain of the detector, of each frame.
    slope : float, optional
        Spread of the relative slopes from centre to rim; found for each pattern if absent, and 0 fits none.
    """
    frames = np.ascontiguousarray(frames)
    ends = np.cumsum(counts, dtype=np.int64)
    good = np.ones(frames.shape[1:], np.bool_) if bad_pixel is None else ~np.asarray(bad_pixel, dtype=np.bool_)
    gain = np.broadcast_to(np.asarray(counts_per_electron, dtype=np.float64), (len(frames),))
    start = np.stack([np.asarray(y, np.float64), np.asarray(x, np.float64)], axis=1)
    out = np.zeros((len(start), 9))
    flags = np.zeros(len(start), np.uint8)
    for n, frame in enumerate(frames):
        part = slice(ends[n] - counts[n], ends[n])
        _fit_frame(
            frame,
            start[part],
            good,
            1.0 / gain[n],
            model.radius_px,
            model.offset_y,
            model.offset_x,
            model.lookup,
            model.table,
            -1.0 if slope is None else slope,
            out[part],
            flags[part],
        )
        out[part, 2:4] *= gain[n]
    out[:, 3] *= model.area_px
    return DiskFits(out[:, 0], out[:, 1], out[:, 3], out[:, 2], out[:, 6], out[:, 7], out[:, 8], flags)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fit_frame(
    frame: NDArray[Any],
    start: Float,
    good: NDArray[np.bool_],
    scale: float,
    radius: float,
    offset_y: Int,
    offset_x: Int,
    lookup: Int,
    table: Float,
    slope: float,
    out: Float,
    flags: NDArray[np.uint8],
) -> None:
    """Fit all disks of a frame; ``out`` rows: y, x, background, height, slopes times height, then the covariance."""
    n = len(start)
    window = np.zeros((3, len(offset_y)), np.float32)
    found = np.zeros((n, 4))
    first = NO_SLOPE
    reach = 2.0 * radius + 3.0
    for i in range(n):
        out[i, :2] = start[i]
        out[i, 6:9] = np.inf, 0.0, np.inf
        for j in range(n):
            if j != i and np.hypot(start[i, 0] - start[j, 0], start[i, 1] - start[j, 1]) < reach:
                flags[i] |= OVERLAP
    for i in range(n):
        _fit_disk(
            frame,
            i,
            start,
            good,
            scale,
            radius,
            offset_y,
            offset_x,
            lookup,
            table,
            first,
            3,
            False,
            window,
            out,
            flags,
            found[i],
        )
    spread = _slope_spread(found, flags) if slope < 0.0 else slope
    for i in range(n):
        if not flags[i] & NOT_REFINED:
            _fit_disk(
                frame, i, start, good, scale, radius, offset_y, offset_x, lookup, table, spread, MAX_ITERATIONS, True, window, out,
                flags, found[i],
            )  # fmt: skip
    for _ in range(2):
        for i in range(n):
            if flags[i] & OVERLAP and not flags[i] & NOT_REFINED:
                _fit_disk(
                    frame, i, start, good, scale, radius, offset_y, offset_x, lookup, table, spread, MAX_ITERATIONS, True, window, out,
                    flags, found[i],
                )  # fmt: skip


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _slope_spread(found: Float, flags: NDArray[np.uint8]) -> float:
    """Maximum-likelihood spread of slopes ``found[:, :2]`` with error variances ``found[:, 2:]``."""
    spread = 0.1
    for _ in range(8):
        weights, excess = 0.0, 0.0
        for i in range(len(found)):
            if flags[i] & NOT_REFINED:
                continue
            for axis in range(2):
                variance = found[i, 2 + axis]
                w = 1.0 / (variance + spread) ** 2
                weights += w
                excess += w * (found[i, axis] ** 2 - variance)
        spread = max(excess / weights, NO_SLOPE**2) if weights > 0.0 else NO_SLOPE**2
    return min(np.sqrt(spread), WEAK_SLOPE)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _gather(
    frame: NDArray[Any],
    own: int,
    start: Float,
    good: NDArray[np.bool_],
    scale: float,
    radius: float,
    offset_y: Int,
    offset_x: Int,
    lookup: Int,
    table: Float,
    row: int,
    column: int,
    subtract: bool,
    window: Float,
    out: Float,
    flags: NDArray[np.uint8],
) -> int:
    """Fill ``window`` with electrons, usable pixels and the mean of the other disks; return how many pixels are usable."""
    height, width = frame.shape
    n = 0
    for i in range(len(offset_y)):
        r, c = row + offset_y[i], column + offset_x[i]
        window[2, i] = 0.0
        if 0 <= r < height and 0 <= c < width and good[r, c]:
            window[0, i] = frame[r, c] * scale
            window[1, i] = 1.0
            n += 1
        else:
            window[0, i] = 0.0
            window[1, i] = 0.0
    if not flags[own] & OVERLAP:
        return n
    reach = len(lookup) // 2
    for j in range(len(start)):
        if j == own or np.hypot(start[own, 0] - start[j, 0], start[own, 1] - start[j, 1]) >= 2.0 * radius + 3.0:
            continue
        if subtract and not flags[j] & NOT_REFINED:
            y, x = int(np.floor(out[j, 0] + 0.5)), int(np.floor(out[j, 1] + 0.5))
            ky = int(np.floor((out[j, 0] - y + 0.5) * N_PHASES + 0.5))
            kx = int(np.floor((out[j, 1] - x + 0.5) * N_PHASES + 0.5))
            shape = table[ky * (N_PHASES + 1) + kx]
            for i in range(len(offset_y)):
                r, c = row + offset_y[i] - y + reach, column + offset_x[i] - x + reach
                if 0 <= r < len(lookup) and 0 <= c < len(lookup) and lookup[r, c] >= 0:
                    k = lookup[r, c]
                    window[2, i] += out[j, 3] * shape[0, k] + out[j, 4] * shape[1, k] + out[j, 5] * shape[2, k]
        else:
            for i in range(len(offset_y)):
                r, c = row + offset_y[i], column + offset_x[i]
                far = np.hypot(r - start[j, 0], c - start[j, 1])
                if far < radius + 1.5 and far < np.hypot(r - start[own, 0], c - start[own, 1]) and window[1, i] > 0.0:
                    window[1, i] = 0.0
                    n -= 1
    return n


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fit_disk(
    frame: NDArray[Any],
    own: int,
    start: Float,
    good: NDArray[np.bool_],
    scale: float,
    radius: float,
    offset_y: Int,
    offset_x: Int,
    lookup: Int,
    table: Float,
    spread: float,
    iterations: int,
    last: bool,
    window: Float,
    out: Float,
    flags: NDArray[np.uint8],
    found: Float,
) -> None:
    """Fisher scoring of one disk from the state in ``out``; the last call leaves the covariance, the first the slopes."""
    H = np.empty((N_PARAMETERS, N_PARAMETERS))
    C = np.empty((N_PARAMETERS, N_PARAMETERS))
    g = np.empty(N_PARAMETERS)
    p = np.empty(4, np.float32)
    shift = np.empty(2, np.float32)
    step = np.empty(N_PARAMETERS)
    y, x = out[own, 0], out[own, 1]
    b, height, sy, sx = out[own, 2], out[own, 3], out[own, 4], out[own, 5]
    row, column, n = -(10**9), 0, 0
    size = window.shape[1]
    failed = True
    for iteration in range(iterations):
        new_row, new_column = int(np.floor(y + 0.5)), int(np.floor(x + 0.5))
        if new_row != row or new_column != column:
            row, column = new_row, new_column
            n = _gather(
                frame,
                own,
                start,
                good,
                scale,
                radius,
                offset_y,
                offset_x,
                lookup,
                table,
                row,
                column,
                last,
                window,
                out,
                flags,
            )
            if n < size:
                flags[own] |= EDGE
            if n < size // 2 or n <= 2 * N_PARAMETERS:
                break
        ky, kx = int(np.floor((y - row + 0.5) * N_PHASES + 0.5)), int(np.floor((x - column + 0.5) * N_PHASES + 0.5))
        shape = table[ky * (N_PHASES + 1) + kx]
        shift[0], shift[1] = y - row + 0.5 - ky / N_PHASES, x - column + 0.5 - kx / N_PHASES
        if height <= 0.0:
            b, height = _background_and_height(window, shape)
            if height <= 0.0:
                break
        p[0], p[1], p[2], p[3] = b, height, sy, sx
        floor = (MODEL_ERROR * height) ** 2 + 1.0 / size
        chi = normal_equations(window[0], window[1], window[2], shape, shift, p, floor, H, g)
        stiff = 1.0 / (spread * height) ** 2
        if not last and iteration == iterations - 1:
            stiff = 1.0 / (WEAK_SLOPE * height) ** 2
        H[2, 2] += stiff
        H[3, 3] += stiff
        g[2] -= stiff * sy
        g[3] -= stiff * sx
        if not invert(H, C):
            break
        for i in range(N_PARAMETERS):
            step[i] = 0.0
            for j in range(N_PARAMETERS):
                step[i] += C[i, j] * g[j]
        misfit = max(1.0, chi / (n - N_PARAMETERS))
        if not last and iteration == iterations - 1:
            found[0], found[1] = (sy + step[2]) / height, (sx + step[3]) / height
            found[2], found[3] = C[2, 2] * misfit / height**2, C[3, 3] * misfit / height**2
            failed = False
            break
        length = np.hypot(step[4], step[5])
        damp = 1.0 if length < 0.7 else 0.7 / length
        b += damp * step[0]
        height = max(height + damp * step[1], 0.2 * height)
        sy += damp * step[2]
        sx += damp * step[3]
        y += damp * step[4]
        x += damp * step[5]
        if not np.hypot(y - start[own, 0], x - start[own, 1]) < MAX_SHIFT_PX:
            break
        near = TOLERANCE_SIGMA if iteration < iterations - 1 else 1.0
        if last and length**2 < near**2 * (C[4, 4] + C[5, 5]):
            out[own, 6], out[own, 7], out[own, 8] = C[4, 4] * misfit, C[4, 5] * misfit, C[5, 5] * misfit
            failed = False
            break
    if failed:
        flags[own] |= NOT_REFINED
        out[own, 0], out[own, 1] = start[own]
        out[own, 2:6] = 0.0
        out[own, 6:9] = np.inf, 0.0, np.inf
    else:
        out[own, 0], out[own, 1], out[own, 2], out[own, 3], out[own, 4], out[own, 5] = y, x, b, height, sy, sx


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _background_and_height(window: Float, shape: Float) -> tuple[float, float]:
    """Unweighted linear fit of the counts by a constant and the disk."""
    s1, st, stt, sp, spt = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(window.shape[1]):
        t, usable, pixel = shape[0, i], window[1, i], window[0, i]
        s1 += usable
        st += usable * t
        stt += usable * t * t
        sp += usable * pixel
        spt += usable * pixel * t
    det = s1 * stt - st * st
    if det <= 0.0:
        return 0.0, 0.0
    return (stt * sp - st * spt) / det, (s1 * spt - st * sp) / det

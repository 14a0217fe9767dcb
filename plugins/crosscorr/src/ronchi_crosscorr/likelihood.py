"""Maximum-likelihood positions of Bragg disks: Poisson counts, a local background, and a slope across each disk."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from ronchi_crosscorr.disk_model import N_PHASES, DiskModel

__all__ = ["EDGE", "NOT_REFINED", "DiskFits", "fit_disks"]

Float = NDArray[np.float64]

EDGE = 1
"""Flag: pixels of the window lie outside the frame or are bad."""
NOT_REFINED = 2
"""Flag: the fit left the start's neighbourhood or had too little signal; position and intensity are the start's."""

N_PARAMETERS = 6


class DiskFits(NamedTuple):
    """Results of `fit_disks`, one entry a peak.

    Attributes
    ----------
    y, x : (p,) float64
        Positions in px.
    intensity : (p,) float64
        Counts in the disk, background subtracted.
    background : (p,) float64
        Counts a pixel.
    var_yy, var_yx, var_xx : (p,) float64
        Covariance of the position in px^2, from the Fisher information, times chi^2 where that is above 1.
    flags : (p,) uint8
        `EDGE`, `NOT_REFINED`.
    """

    y: Float
    x: Float
    intensity: Float
    background: Float
    var_yy: Float
    var_yx: Float
    var_xx: Float
    flags: NDArray[np.uint8]


def fit_disks(
    frames: NDArray[Any],
    counts: NDArray[np.integer[Any]],
    y: Float,
    x: Float,
    model: DiskModel,
    *,
    bad_pixel: NDArray[np.bool_] | None = None,
    slope_prior: float = 0.5,
    model_error: float = 0.02,
    max_shift_px: float = 1.5,
    max_iterations: int = 8,
    tolerance_px: float = 1e-3,
) -> DiskFits:
    """Refine the positions of disks found by correlation.

    The counts k of a window follow a Poisson law with mean ``b + I (T(q - c) + s . S(q - c))``.  Fisher scoring finds b, I, the
    slope s and the centre c of each disk.

    Parameters
    ----------
    frames : (n, qy, qx) array
        Counts, any real dtype.
    counts : (n,) int
        Peaks of each frame; ``y`` and ``x`` hold those of frame 0, then of frame 1, …
    y, x : (p,) float64
        Starts in px, good to about a pixel.
    bad_pixel : (qy, qx) bool, optional
        True where the detector is to be ignored.
    slope_prior : float
        Standard deviation of the relative slope from centre to edge before looking at the data; 0 fits no slope.
    model_error : float
        Relative error of the disk's shape, added to the Poisson variance.
    max_shift_px : float
        A fit further from its start is not trusted.
    """
    frames = np.ascontiguousarray(frames)
    ends = np.cumsum(counts)
    starts = ends - counts
    good = np.ones(frames.shape[1:], np.bool_) if bad_pixel is None else ~np.asarray(bad_pixel, dtype=np.bool_)
    out = np.empty((len(y), 7))
    flags = np.zeros(len(y), np.uint8)
    _fit_all(
        frames, starts, ends, np.asarray(y, np.float64), np.asarray(x, np.float64), good, model.offset_y, model.offset_x, model.table,
        slope_prior, model_error, max_shift_px, max_iterations, tolerance_px, out, flags,
    )  # fmt: skip
    out[:, 2] *= model.area_px
    return DiskFits(*(np.ascontiguousarray(column) for column in out.T), flags)


@numba.njit(cache=True, nogil=True)
def _fit_all(
    frames,
    starts,
    ends,
    y,
    x,
    good,
    offset_y,
    offset_x,
    table,
    slope_prior,
    model_error,
    max_shift,
    max_iterations,
    tolerance,
    out,
    flags,
):
    pixels = np.empty(len(offset_y), np.float32)
    usable = np.empty(len(offset_y), np.float32)
    for n in range(len(frames)):
        for p in range(starts[n], ends[n]):
            flags[p] = _fit_one(
                frames[n],
                y[p],
                x[p],
                good,
                offset_y,
                offset_x,
                table,
                slope_prior,
                model_error,
                max_shift,
                max_iterations,
                tolerance,
                pixels,
                usable,
                out[p],
            )


@numba.njit(cache=True, nogil=True)
def _gather(frame, good, offset_y, offset_x, row, column, pixels, usable):
    n = 0
    for i in range(len(offset_y)):
        r, c = row + offset_y[i], column + offset_x[i]
        if 0 <= r < frame.shape[0] and 0 <= c < frame.shape[1] and good[r, c]:
            pixels[i] = frame[r, c]
            usable[i] = 1.0
            n += 1
        else:
            pixels[i] = 0.0
            usable[i] = 0.0
    return n


@numba.njit(cache=True, nogil=True, fastmath=True)
def _normal_equations(pixels, usable, shape, dy, dx, b, height, sy, sx, floor, H, g):
    h = np.zeros(27, np.float32)
    chi = np.float32(0.0)
    for i in range(pixels.shape[0]):
        t = shape[0, i] + dy * shape[3, i] + dx * shape[4, i]
        u = shape[1, i] + dy * shape[5, i] + dx * shape[6, i]
        v = shape[2, i] + dy * shape[7, i] + dx * shape[8, i]
        py = height * shape[3, i] + sy * shape[5, i] + sx * shape[7, i]
        px = height * shape[4, i] + sy * shape[6, i] + sx * shape[8, i]
        mean = b + height * t + sy * u + sx * v
        w = usable[i] / (max(mean, np.float32(0.0)) + floor)
        r = pixels[i] - mean
        chi += w * r * r
        wr = w * r
        wt, wu, wv, wy, wx = w * t, w * u, w * v, w * py, w * px
        h[0] += w
        h[1] += wt
        h[2] += wu
        h[3] += wv
        h[4] += wy
        h[5] += wx
        h[6] += wt * t
        h[7] += wt * u
        h[8] += wt * v
        h[9] += wt * py
        h[10] += wt * px
        h[11] += wu * u
        h[12] += wu * v
        h[13] += wu * py
        h[14] += wu * px
        h[15] += wv * v
        h[16] += wv * py
        h[17] += wv * px
        h[18] += wy * py
        h[19] += wy * px
        h[20] += wx * px
        h[21] += wr
        h[22] += wr * t
        h[23] += wr * u
        h[24] += wr * v
        h[25] += wr * py
        h[26] += wr * px
    k = 0
    for i in range(6):
        for j in range(i, 6):
            H[i, j] = h[k]
            H[j, i] = h[k]
            k += 1
        g[i] = h[21 + i]
    return chi


@numba.njit(cache=True, nogil=True)
def _fit_one(
    frame,
    y0,
    x0,
    good,
    offset_y,
    offset_x,
    table,
    slope_prior,
    model_error,
    max_shift,
    max_iterations,
    tolerance,
    pixels,
    usable,
    out,
):
    H = np.empty((6, 6))
    g = np.empty(6)
    y, x = y0, x0
    row, column = int(np.floor(y + 0.5)), int(np.floor(x + 0.5))
    n = _gather(frame, good, offset_y, offset_x, row, column, pixels, usable)
    flag = 1 if n < len(pixels) else 0
    out[0], out[1], out[2], out[3] = y0, x0, 0.0, 0.0
    out[4], out[5], out[6] = np.inf, 0.0, np.inf
    if n < len(pixels) // 2 or n < 12:
        return flag | 2
    # start: unweighted background and height
    b, height, sy, sx = 0.0, 0.0, 0.0, 0.0
    done = False
    chi = 0.0
    for iteration in range(max_iterations):
        new_row, new_column = int(np.floor(y + 0.5)), int(np.floor(x + 0.5))
        if new_row != row or new_column != column:
            row, column = new_row, new_column
            n = _gather(frame, good, offset_y, offset_x, row, column, pixels, usable)
            if n < len(pixels) // 2:
                return flag | 2
        fy, fx = y - row, x - column
        ky, kx = int(np.floor((fy + 0.5) * N_PHASES + 0.5)), int(np.floor((fx + 0.5) * N_PHASES + 0.5))
        shape = table[ky * (N_PHASES + 1) + kx]
        dy, dx = fy - (ky / N_PHASES - 0.5), fx - (kx / N_PHASES - 0.5)
        if iteration == 0:
            s1, st, stt, sp, spt = 0.0, 0.0, 0.0, 0.0, 0.0
            for i in range(len(pixels)):
                t = shape[0, i]
                s1 += usable[i]
                st += usable[i] * t
                stt += usable[i] * t * t
                sp += pixels[i]
                spt += pixels[i] * t
            det = s1 * stt - st * st
            height = (s1 * spt - st * sp) / det
            b = (stt * sp - st * spt) / det
            if height <= 0.0:
                return flag | 2
            b = max(b, 0.0)
        floor = (model_error * height) ** 2 + 0.02 + 0.005 * height
        chi = _normal_equations(
            pixels,
            usable,
            shape,
            np.float32(dy),
            np.float32(dx),
            np.float32(b),
            np.float32(height),
            np.float32(sy),
            np.float32(sx),
            np.float32(floor),
            H,
            g,
        )
        if done:
            break
        if slope_prior > 0.0:
            prior = 1.0 / (slope_prior * height) ** 2
            H[2, 2] += prior
            H[3, 3] += prior
            g[2] -= prior * sy
            g[3] -= prior * sx
        else:
            H[2, 2] += 1e12
            H[3, 3] += 1e12
        step = np.linalg.solve(H, g)
        length = np.hypot(step[4], step[5])
        scale = 1.0 if length <= 0.5 else 0.5 / length
        b = max(b + scale * step[0], 0.0)
        height += scale * step[1]
        sy += scale * step[2]
        sx += scale * step[3]
        y += scale * step[4]
        x += scale * step[5]
        if height <= 0.0 or not np.isfinite(length) or np.hypot(y - y0, x - x0) > max_shift:
            return flag | 2
        if length < tolerance:
            done = True
    if slope_prior > 0.0:
        prior = 1.0 / (slope_prior * height) ** 2
        H[2, 2] += prior
        H[3, 3] += prior
    else:
        H[2, 2] += 1e12
        H[3, 3] += 1e12
    covariance = np.linalg.inv(H)
    inflate = max(1.0, chi / max(n - 6, 1))
    out[0], out[1], out[2], out[3] = y, x, height, b
    out[4], out[5], out[6] = covariance[4, 4] * inflate, covariance[4, 5] * inflate, covariance[5, 5] * inflate
    return flag

"""Maximum-likelihood positions of Bragg disks: Poisson counts, a local background, and a slope across each disk.

The slope is the rocking curve seen through the aperture.  A fit without it takes a slope for a shift; a fit with a free
slope nearly doubles the variance of disks that have none.  So how strong slopes are is learnt from all disks of the
pattern (empirical Bayes).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from ronchi_crosscorr.disk_model import N_PHASES, DiskModel
from ronchi_crosscorr.fisher import N_PARAMETERS, normal_equations, solve

__all__ = ["EDGE", "NOT_REFINED", "OVERLAP", "DiskFits", "fit_disks"]

Float = NDArray[np.floating[Any]]
Int = NDArray[np.integer[Any]]

EDGE = 1
"""Flag: pixels of the window lie outside the frame or are bad."""
NOT_REFINED = 2
"""Flag: too little signal, no disk of this shape, or the fit went astray; the position is the start's."""
OVERLAP = 4
"""Flag: another disk reaches into the window; the two were fitted in turn."""

MODEL_ERROR = 0.02
"""Error of the disk's shape relative to its height, added to the variance of the counts."""
WEAK_SLOPE = 1.0
"""Spread of relative slopes before the pattern has been looked at: any that leaves the disk positive."""
NO_SLOPE = 1e-3
WORST_SHAPE = 0.5
"""Largest residual, rms over the disk and relative to its height, that still passes for a disk."""
MAX_SHIFT_PX = 1.5
MAX_STEP_PX = 0.7
FIRST_ITERATIONS = 3
"""Steps without slopes; the last one says what slope each disk asks for."""
MAX_ITERATIONS = 16
TOLERANCE = 0.02
"""A step below this share of the standard error ends the fit."""
_COMPILED = (np.uint8, np.uint16, np.float32)
SWEEPS = 2
"""Rounds in which overlapping disks are fitted again, each with the others' latest state taken off."""


class DiskFits(NamedTuple):
    """Results of `fit_disks`, one entry a peak.

    Attributes
    ----------
    y, x : (p,) float64
        Positions in px.
    intensity : (p,) float64
        Counts in the disk above the background; 0 where not refined.
    background : (p,) float64
        Counts a pixel.
    var_yy, var_yx, var_xx : (p,) float64
        Covariance of the position in px^2 from the Fisher information, times the reduced chi^2 where that is above 1;
        infinite where not refined.
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


class _View(NamedTuple):
    """A frame and its disks as they were found."""

    frame: NDArray[Any]
    good: NDArray[np.bool_]
    scale: float
    start: Float
    model: DiskModel


class _State(NamedTuple):
    """What the fit of a frame has found so far.

    ``fits`` rows: background, height, slopes times height, y, x, then the covariance of y and x; ``slopes`` rows:
    relative slopes and their variances.
    """

    fits: Float
    slopes: Float
    flags: NDArray[np.uint8]
    window: Float


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

    The electrons in a window follow a Poisson law with mean ``b + I (T + s . S)``, ``T`` the shape of the disk and
    ``S`` its slopes (`DiskModel`).  Fisher scoring finds background b, height I, slope s and centre.  Each frame is
    fitted by itself, so that results do not depend on how frames are grouped.

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
    # Other types are rare: one compiled kernel for all of them.
    frames = np.ascontiguousarray(frames, dtype=None if frames.dtype in _COMPILED else np.float32)
    good = np.ones(frames.shape[1:], np.bool_) if bad_pixel is None else ~np.asarray(bad_pixel, dtype=np.bool_)
    counts = np.asarray(counts, np.int64)
    gain = np.broadcast_to(np.asarray(counts_per_electron, np.float64), (len(frames),))
    start = np.stack([np.asarray(y, np.float64), np.asarray(x, np.float64)], axis=1)
    fits = np.zeros((len(start), 9))
    flags = np.zeros(len(start), np.uint8)
    spread = -1.0 if slope is None else max(slope, NO_SLOPE)
    _fit_frames(frames, good, (counts, 1.0 / gain), start, model, spread, fits, flags)
    gain = np.repeat(gain, counts)
    background, height = fits[:, 0] * gain, fits[:, 1] * gain
    return DiskFits(
        fits[:, 4], fits[:, 5], height * model.area_px, background, fits[:, 6], fits[:, 7], fits[:, 8], flags
    )


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fit_frames(  # noqa: PLR0917
    frames: NDArray[Any],
    good: NDArray[np.bool_],
    of_frame: tuple[Int, Float],
    start: Float,
    model: DiskModel,
    spread: float,
    fits: Float,
    flags: NDArray[np.uint8],
) -> None:
    counts, scale = of_frame
    window = np.zeros((3, len(model.offset_y)), np.float32)
    end = 0
    for n in range(len(frames)):
        first, end = end, end + counts[n]
        view = _View(frames[n], good, scale[n], start[first:end], model)
        state = _State(fits[first:end], np.zeros((counts[n], 4)), flags[first:end], window)
        _fit_frame(view, state, spread)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fit_frame(view: _View, state: _State, spread: float) -> None:
    n = len(view.start)
    for i in range(n):
        state.fits[i, 4:6] = view.start[i]
        for j in range(n):
            if j != i and _distance(view.start, i, j) < _reach(view.model):
                state.flags[i] |= OVERLAP
    for i in range(n):
        _fit_disk(view, state, i, NO_SLOPE, False)
    if spread < 0.0:
        spread = _slope_spread(state)
    for i in range(n):
        _fit_disk(view, state, i, spread, True)
    for _ in range(SWEEPS):
        for i in range(n):
            if state.flags[i] & OVERLAP:
                _fit_disk(view, state, i, spread, True)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _slope_spread(state: _State) -> float:
    """Maximum-likelihood spread of the relative slopes, whose errors are known."""
    variance = 0.1
    for _ in range(8):
        weights, excess = 0.0, 0.0
        for i in range(len(state.slopes)):
            for axis in range(2):
                error = state.slopes[i, 2 + axis]
                if not state.flags[i] & NOT_REFINED:
                    w = 1.0 / (error + variance) ** 2
                    weights += w
                    excess += w * (state.slopes[i, axis] ** 2 - error)
        variance = max(excess / weights, NO_SLOPE**2) if weights > 0.0 else NO_SLOPE**2
    return min(float(np.sqrt(variance)), WEAK_SLOPE)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fit_disk(view: _View, state: _State, own: int, spread: float, final: bool) -> None:
    """Fisher scoring of one disk from its row of ``fits``; not ``final``: few steps, and note the slope it asks for."""
    if state.flags[own] & NOT_REFINED:
        return
    system, scratch = np.zeros((N_PARAMETERS, N_PARAMETERS + 1)), np.zeros((2, N_PARAMETERS, N_PARAMETERS))
    covariance, step = np.zeros((N_PARAMETERS, N_PARAMETERS)), np.zeros(N_PARAMETERS)
    relative = np.zeros(N_PARAMETERS, np.float32)
    p = state.fits[own, :6].copy()
    row, column, usable = -(10**9), 0, 0
    damping, before_y, before_x = 1.0, 0.0, 0.0
    iterations = MAX_ITERATIONS if final else FIRST_ITERATIONS
    for iteration in range(iterations):
        last = iteration == iterations - 1
        if round(p[4]) != row or round(p[5]) != column:
            row, column = round(p[4]), round(p[5])
            usable = _gather(view, state, own, (row, column), final)
            if usable < max(state.window.shape[1] // 2, 2 * N_PARAMETERS):
                break
        ky, kx = round((p[4] - row + 0.5) * N_PHASES), round((p[5] - column + 0.5) * N_PHASES)
        shape = view.model.table[ky * (N_PHASES + 1) + kx]
        if p[1] <= 0.0:
            p[0], p[1] = _background_and_height(state.window, shape)
            if p[1] <= 0.0:
                break
        relative[:] = p
        relative[4] = p[4] - row + 0.5 - ky / N_PHASES
        relative[5] = p[5] - column + 0.5 - kx / N_PHASES
        # One electron in the window is the least that is known of a dark background.
        floor = (MODEL_ERROR * p[1]) ** 2 + 1.0 / state.window.shape[1]
        chi2 = normal_equations(state.window, shape, relative, floor, system)
        misfit = max(1.0, chi2 / (usable - N_PARAMETERS))
        stiffness = 1.0 / ((WEAK_SLOPE if last and not final else spread) * p[1]) ** 2
        for k in range(2, 4):
            system[k, k] += stiffness
            system[k, 6] -= stiffness * p[k]
        if not solve(system, scratch, covariance, step):
            break
        if last and not final:
            for k in range(2):
                state.slopes[own, k] = (p[2 + k] + step[2 + k]) / p[1]
                state.slopes[own, 2 + k] = covariance[2 + k, 2 + k] * misfit / p[1] ** 2
            state.fits[own, :6] = p
            return
        length = np.hypot(step[4], step[5])
        # The weights follow the parameters: on a steep disk full steps can swing about the maximum for ever.
        swings = step[4] * before_y + step[5] * before_x < 0.0
        damping = 0.5 * damping if swings else min(1.0, 1.5 * damping)
        before_y, before_x = step[4], step[5]
        height = p[1]
        p += step * min(damping, MAX_STEP_PX / (length + 1e-12))
        p[1] = max(p[1], 0.2 * height)
        if not np.hypot(p[4] - view.start[own, 0], p[5] - view.start[own, 1]) < MAX_SHIFT_PX:
            break
        if final and length**2 < (1.0 if last else TOLERANCE**2) * misfit * (covariance[4, 4] + covariance[5, 5]):
            if misfit * MODEL_ERROR**2 * usable > WORST_SHAPE**2 * view.model.area_px:
                break
            state.fits[own, :6] = p
            state.fits[own, 6] = covariance[4, 4] * misfit
            state.fits[own, 7] = covariance[4, 5] * misfit
            state.fits[own, 8] = covariance[5, 5] * misfit
            return
    state.flags[own] |= NOT_REFINED
    state.fits[own, :4] = 0.0
    state.fits[own, 4:6] = view.start[own]
    state.fits[own, 6:] = np.inf, 0.0, np.inf


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _gather(view: _View, state: _State, own: int, centre: tuple[int, int], subtract: bool) -> int:
    """Fill the window around ``centre``; return how many of its pixels are usable.

    Of another disk that reaches into it, the latest state is taken off (``subtract``), or its pixels are left out.
    """
    row, column = centre
    offset_y, offset_x, window = view.model.offset_y, view.model.offset_x, state.window
    n = 0
    for i in range(len(offset_y)):
        r, c = row + offset_y[i], column + offset_x[i]
        inside = 0 <= r < view.frame.shape[0] and 0 <= c < view.frame.shape[1] and view.good[r, c]
        window[0, i] = view.frame[r, c] * view.scale if inside else 0.0
        window[1, i] = 1.0 if inside else 0.0
        window[2, i] = 0.0
        n += inside
    if n < len(offset_y):
        state.flags[own] |= EDGE
    if state.flags[own] & OVERLAP:
        for other in range(len(view.start)):
            if other != own and _distance(view.start, own, other) < _reach(view.model):
                if subtract and not state.flags[other] & NOT_REFINED:
                    _add_disk(view, state, other, centre)
                else:
                    n -= _leave_out(view, state, own, other, centre)
    return n


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add_disk(view: _View, state: _State, other: int, centre: tuple[int, int]) -> None:
    """Add the mean of another disk to the window around ``centre``."""
    model, fit = view.model, state.fits[other]
    row, column = round(fit[4]), round(fit[5])
    ky, kx = round((fit[4] - row + 0.5) * N_PHASES), round((fit[5] - column + 0.5) * N_PHASES)
    shape = model.table[ky * (N_PHASES + 1) + kx]
    side = len(model.lookup)
    for i in range(len(model.offset_y)):
        r = centre[0] + model.offset_y[i] - row + side // 2
        c = centre[1] + model.offset_x[i] - column + side // 2
        if 0 <= r < side and 0 <= c < side and model.lookup[r, c] >= 0:
            k = model.lookup[r, c]
            state.window[2, i] += fit[1] * shape[0, k] + fit[2] * shape[1, k] + fit[3] * shape[2, k]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _leave_out(view: _View, state: _State, own: int, other: int, centre: tuple[int, int]) -> int:
    """Make pixels unusable that lie in another disk and nearer to it; return how many."""
    model, start = view.model, view.start
    n = 0
    for i in range(len(model.offset_y)):
        r, c = centre[0] + model.offset_y[i], centre[1] + model.offset_x[i]
        distance = np.hypot(r - start[other, 0], c - start[other, 1])
        nearer = distance < np.hypot(r - start[own, 0], c - start[own, 1])
        if nearer and distance < model.radius_px + 1.5 and state.window[1, i] > 0.0:
            state.window[1, i] = 0.0
            n += 1
    return n


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _distance(start: Float, i: int, j: int) -> float:
    return float(np.hypot(start[i, 0] - start[j, 0], start[i, 1] - start[j, 1]))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _reach(model: DiskModel) -> float:
    """Distance below which the light of one disk falls into the window of another."""
    return model.radius_px + 0.5 * len(model.lookup) + 1.0


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _background_and_height(window: Float, shape: Float) -> tuple[float, float]:
    """Fit the counts by a constant and the disk, without weights."""
    s1, st, stt, sp, spt = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(window.shape[1]):
        t, usable, pixel = shape[0, i], window[1, i], window[0, i]
        s1 += usable
        st += usable * t
        stt += usable * t * t
        sp += usable * pixel
        spt += usable * pixel * t
    determinant = s1 * stt - st * st
    if determinant <= 0.0:
        return 0.0, 0.0
    return (stt * sp - st * spt) / determinant, (s1 * spt - st * sp) / determinant

"""Maximum-likelihood positions of Bragg disks: Poisson counts, slopes of each disk and of the background under it.

A disk's slope is the rocking curve seen through the aperture, the background's is the halo of diffuse scattering.  A
fit without them takes a slope for a shift: a halo pulls all disks inwards, which is a strain.  A fit with free slopes
nearly doubles the variance of disks that have none.  So how strong slopes are is learnt from all disks of the pattern
(empirical Bayes).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit
from ronchi_disks.disk_model import N_PHASES, DiskModel
from ronchi_disks.fisher import ACROSS, DOWN, N_PARAMETERS, N_ROWS, invert, normal_equations, solve
from ronchi_disks.smooth import is_smooth
from ronchi_disks.window import (
    EDGE,
    NOT_REFINED,
    OVERLAP,
    SMOOTH,
    State,
    View,
    background_and_height,
    gather,
    neighbours,
)

__all__ = ["EDGE", "NOT_REFINED", "OVERLAP", "SMOOTH", "DiskFits", "fit_disks"]

Float = NDArray[np.floating[Any]]
Int = NDArray[np.integer[Any]]

MODEL_ERROR = 0.02
"""Error of the disk's shape relative to its height, added to the variance of the counts."""
WEAK_SLOPE = 1.0
"""Spread of relative slopes before the pattern has been looked at: any that leaves disk and background positive."""
NO_SLOPE = 1e-3
WORST_SHAPE = 0.5
"""Largest residual, rms over the disk and relative to its height, that still passes for a disk."""
MAX_SHIFT_PX, MAX_SHIFT_R = 1.5, 0.3
"""Farthest that a fit may end from its start, px and radii: a slope moves the start of a large disk by more pixels."""
MAX_STEP_PX = 0.7
FIRST_ITERATIONS = 2
"""Steps without slopes; the last one says what slope each disk asks for."""
MAX_ITERATIONS = 16
TOLERANCE = 0.02
"""A step below this share of the standard error ends the fit."""
NEGLIGIBLE = 0.02
"""Share of the counts' variance that the model error may add to them unnoticed."""
_COMPILED = (np.uint8, np.uint16, np.float32)
FIRST, FITTED, JUDGED = range(3)
"""Stages of a disk: a look at its slopes, the fit, and the fit with a verdict whether it is a disk at all."""
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
        Covariance of the position in px^2 from the Fisher information of the counts; infinite where not refined.
    flags : (p,) uint8
        `EDGE`, `NOT_REFINED`, `OVERLAP`, `SMOOTH`.
    slope_y, slope_x : (p,) float64
        Relative slope of the intensity from centre to rim.  It moves the disk's centre of mass, not its position, by
        ``slope * radius / 4``.
    """

    y: NDArray[np.float64]
    x: NDArray[np.float64]
    intensity: NDArray[np.float64]
    background: NDArray[np.float64]
    var_yy: NDArray[np.float64]
    var_yx: NDArray[np.float64]
    var_xx: NDArray[np.float64]
    flags: NDArray[np.uint8]
    slope_y: NDArray[np.float64]
    slope_x: NDArray[np.float64]


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
    background_slope: float | None = None,
) -> DiskFits:
    """Refine the positions of disks that are known to about a pixel.

    The electrons in a window follow a Poisson law with mean ``b (1 + t . r / radius) + I (T + s . S)``, ``T`` the
    shape of the disk and ``S`` its slopes (`DiskModel`).  Fisher scoring finds background b, height I, slopes t and s,
    and the centre.  Each frame is fitted by itself, so that results do not depend on how frames are grouped.

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
    slope, background_slope : float, optional
        Spread of the relative slopes of disks and of the background from centre to rim; found for each pattern if
        absent, and 0 fits none.
    """
    # Other types are rare: one compiled kernel for all of them.
    frames = np.ascontiguousarray(frames, dtype=None if frames.dtype in _COMPILED else np.float32)
    good = np.ones(frames.shape[1:], np.bool_) if bad_pixel is None else ~np.asarray(bad_pixel, dtype=np.bool_)
    counts = np.asarray(counts, np.int64)
    gain = np.broadcast_to(np.asarray(counts_per_electron, np.float64), (len(frames),))
    start = np.stack([np.asarray(y, np.float64), np.asarray(x, np.float64)], axis=1)
    fits = np.zeros((len(start), N_PARAMETERS + 3))
    flags = np.zeros(len(start), np.uint8)
    spread = tuple(-1.0 if given is None else max(float(given), NO_SLOPE) for given in (slope, background_slope))
    _fit_frames(frames, good, (counts, 1.0 / gain), start, model, spread, fits, flags)
    gain = np.repeat(gain, counts)
    slopes = fits[:, 2:4] / np.where(fits[:, 1:2] > 0.0, fits[:, 1:2], 1.0)
    return DiskFits(
        y=fits[:, 4],
        x=fits[:, 5],
        intensity=fits[:, 1] * gain * model.area_px,
        background=fits[:, 0] * gain,
        var_yy=fits[:, N_PARAMETERS],
        var_yx=fits[:, N_PARAMETERS + 1],
        var_xx=fits[:, N_PARAMETERS + 2],
        flags=flags,
        slope_y=slopes[:, 0],
        slope_x=slopes[:, 1],
    )


@njit(nogil=True)
def _fit_frames(
    frames: NDArray[Any],
    good: NDArray[np.bool_],
    of_frame: tuple[Int, Float],
    start: Float,
    model: DiskModel,
    spread: tuple[float, float],
    fits: Float,
    flags: NDArray[np.uint8],
) -> None:
    counts, scale = of_frame
    pixels = model.table.shape[2]
    window, rows = np.zeros((3, pixels), np.float32), np.zeros((N_ROWS, pixels), np.float32)
    rows[DOWN], rows[ACROSS] = model.offset_y / model.radius_px, model.offset_x / model.radius_px
    room = np.zeros((4, N_PARAMETERS, N_PARAMETERS + 1))
    all_good = good.all()
    end = 0
    for n in range(len(frames)):
        first, end = end, end + counts[n]
        near, others = neighbours(start[first:end], model)
        view = View(frames[n], good, all_good, np.float32(scale[n]), start[first:end], near, others, model)
        state = State(fits[first:end], np.zeros((counts[n], 8)), flags[first:end], window, rows, room)
        _fit_frame(view, state, spread)


@njit(nogil=True)
def _fit_frame(view: View, state: State, spread: tuple[float, float]) -> None:
    n = len(view.start)
    for i in range(n):
        state.fits[i, 4:6] = view.start[i]
        if view.first[i + 1] > view.first[i]:
            state.flags[i] |= OVERLAP
    for i in range(n):
        _fit_disk(view, state, i, (NO_SLOPE, NO_SLOPE), FIRST)
    spread = (
        spread[0] if spread[0] >= 0.0 else _slope_spread(state, 0),
        spread[1] if spread[1] >= 0.0 else _slope_spread(state, 2),
    )
    for i in range(n):
        _fit_disk(view, state, i, spread, FITTED if state.flags[i] & OVERLAP else JUDGED)
    for sweep in range(SWEEPS):
        for i in range(n):
            if state.flags[i] & OVERLAP:
                _fit_disk(view, state, i, spread, JUDGED if sweep == SWEEPS - 1 else FITTED)


@njit(nogil=True)
def _slope_spread(state: State, first: int) -> float:
    """Maximum-likelihood spread of the relative slopes in two columns, whose errors are known."""
    variance = 0.1
    for _ in range(8):
        weights, excess = 0.0, 0.0
        for i in range(len(state.slopes)):
            for k in range(first, first + 2):
                error = state.slopes[i, 4 + k]
                if error < np.inf:
                    w = 1.0 / (error + variance) ** 2
                    weights += w
                    excess += w * (state.slopes[i, k] ** 2 - error)
        variance = max(excess / weights, NO_SLOPE**2) if weights > 0.0 else NO_SLOPE**2
    return min(float(np.sqrt(variance)), WEAK_SLOPE)


@njit(nogil=True)
def _fit_disk(view: View, state: State, own: int, spread: tuple[float, float], stage: int) -> None:
    """Fisher scoring of one disk from its row of ``fits``; `FIRST` takes some steps and notes its slopes."""
    final = stage != FIRST
    # Between close neighbours that are not known yet too few pixels may be left: the next round has more.
    state.flags[own] &= ~np.uint8(NOT_REFINED | SMOOTH)
    state.slopes[own, 4:] = np.inf
    system, lower, inverse, covariance = state.room[0], state.room[1], state.room[2], state.room[3]
    step, relative = np.zeros(N_PARAMETERS), np.zeros(N_PARAMETERS, np.float32)
    p = state.fits[own, :N_PARAMETERS].copy()
    row, column, usable = -(10**9), 0, 0
    one_electron = 1.0 / len(view.model.offset_y)
    farthest = max(MAX_SHIFT_PX, MAX_SHIFT_R * view.model.radius_px)
    damping, before_y, before_x = 1.0, 0.0, 0.0
    iterations = MAX_ITERATIONS if final else FIRST_ITERATIONS
    for iteration in range(iterations):
        last = iteration == iterations - 1
        if round(p[4]) != row or round(p[5]) != column:
            row, column = round(p[4]), round(p[5])
            usable = gather(view, state, own, (row, column), final)
            if usable < max(len(view.model.offset_y) // 2, 2 * N_PARAMETERS):
                break
        ky, kx = round((p[4] - row + 0.5) * N_PHASES), round((p[5] - column + 0.5) * N_PHASES)
        shape = view.model.table[ky * (N_PHASES + 1) + kx]
        if p[1] <= 0.0:
            p[0], p[1] = background_and_height(state.window, shape)
            if p[1] <= 0.0:
                break
        relative[:] = p
        relative[4] = p[4] - row + 0.5 - ky / N_PHASES
        relative[5] = p[5] - column + 0.5 - kx / N_PHASES
        # One electron in the window is the least that is known of a dark background.
        floor = (MODEL_ERROR * p[1]) ** 2 + one_electron
        chi2 = normal_equations(state.window, shape, relative, floor, state.rows, system)
        misfit = max(1.0, chi2 / (usable - N_PARAMETERS))
        scale = p[1], max(p[0], one_electron)
        asked = last and not final
        for k in range(4):
            of = 2 + k if k < 2 else 4 + k
            stiffness = 1.0 / ((WEAK_SLOPE if asked else spread[k // 2]) * scale[k // 2]) ** 2
            system[of, of] += stiffness
            system[of, N_PARAMETERS] -= stiffness * p[of]
        if not solve(system, lower, step):
            break
        if asked:
            invert(lower, inverse, covariance)
            for k in range(4):
                of = 2 + k if k < 2 else 4 + k
                state.slopes[own, k] = (p[of] + step[of]) / scale[k // 2]
                state.slopes[own, 4 + k] = covariance[of, of] * misfit / scale[k // 2] ** 2
            state.fits[own, :N_PARAMETERS] = p
            return
        length = np.hypot(step[4], step[5])
        # The weights follow the parameters: on a steep disk full steps can swing about the maximum for ever.
        swings = step[4] * before_y + step[5] * before_x < 0.0
        damping = 0.5 * damping if swings else min(1.0, 1.5 * damping)
        before_y, before_x = step[4], step[5]
        height = p[1]
        p += step * min(damping, MAX_STEP_PX / (length + 1e-12))
        p[1] = max(p[1], 0.2 * height)
        if not np.hypot(p[4] - view.start[own, 0], p[5] - view.start[own, 1]) < farthest:
            break
        variance = 1.0 / lower[4, 4] ** 2 + 1.0 / lower[5, 5] ** 2
        if final and length**2 < (1.0 if last else TOLERANCE**2) * misfit * variance:
            if misfit * MODEL_ERROR**2 * usable > WORST_SHAPE**2 * view.model.area_px:
                break
            if stage == JUDGED and is_smooth(state.window, state.rows, relative, chi2, misfit, usable, state.room[2:]):
                state.flags[own] |= SMOOTH
                break
            if MODEL_ERROR**2 * p[1] > NEGLIGIBLE:
                # What the shape does not explain repeats from pattern to pattern: error bars are those of the counts.
                normal_equations(state.window, shape, relative, one_electron, state.rows, system)
                for k in range(4):
                    of = 2 + k if k < 2 else 4 + k
                    system[of, of] += 1.0 / (spread[k // 2] * scale[k // 2]) ** 2
                if not solve(system, lower, step):
                    break
            invert(lower, inverse, covariance)
            state.fits[own, :N_PARAMETERS] = p
            state.fits[own, N_PARAMETERS:] = covariance[4, 4], covariance[4, 5], covariance[5, 5]
            return
    state.flags[own] |= NOT_REFINED
    state.fits[own, :4] = 0.0
    state.fits[own, 4:6] = view.start[own]
    state.fits[own, 6:N_PARAMETERS] = 0.0
    state.fits[own, N_PARAMETERS:] = np.inf, 0.0, np.inf

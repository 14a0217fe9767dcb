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

from ronchi.compiled import njit, part
from ronchi_disks.disk_model import DiskModel
from ronchi_disks.equations import N_PARAMETERS, make_room
from ronchi_disks.fisher import ACROSS, DOWN, N_ROWS
from ronchi_disks.scoring import WEAK_SLOPE, fit_disk, look_at_disk
from ronchi_disks.window import EDGE, MISFIT, MOVED, NOT_REFINED, OVERLAP, SMOOTH, State, View, neighbours

__all__ = ["EDGE", "NOT_REFINED", "OVERLAP", "SMOOTH", "DiskFits", "fit_disks"]

Float = NDArray[np.floating[Any]]
Int = NDArray[np.integer[Any]]

_COMPILED = (np.uint8, np.uint16, np.float32)
NO_SLOPE = 1e-3
"""Spread of relative slopes below which none are fitted."""
SWEEPS = 10
"""Most rounds in which overlapping disks are fitted again, each with the others' latest state taken off."""
SETTLED = 0.1
"""A disk that moves by less than this share of its error leaves its neighbours where they are."""


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
    read_electrons: float | Float = 0.0,
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
    read_electrons : float or (n,) array
        Standard deviation of the readout noise of a pixel.
    slope, background_slope : float, optional
        Spread of the relative slopes of disks and of the background from centre to rim; found for each pattern if
        absent, and 0 fits none.
    """
    # Other types are rare: one compiled kernel for all of them.
    frames = np.ascontiguousarray(frames, dtype=None if frames.dtype in _COMPILED else np.float32)
    good = ~(np.zeros(frames.shape[1:], np.bool_) if bad_pixel is None else np.asarray(bad_pixel, np.bool_))
    counts = np.asarray(counts, np.int64)
    ends = np.concatenate([[0], np.cumsum(counts)])
    gain, read = (
        np.broadcast_to(np.asarray(a, np.float64), len(frames)) for a in (counts_per_electron, read_electrons)
    )
    # One electron in the window is the least that is known of a pixel without light.
    dark_variance = 1.0 / len(model.offset_y) + read**2
    start = np.stack([y, x, np.repeat(1.0 / gain, counts), np.repeat(dark_variance, counts)], axis=1, dtype=np.float64)
    view = View(frames, good, bool(good.all()), start, *neighbours(start, ends, model), model)
    p, pixels = len(start), model.table.shape[2]
    fits, flags = np.zeros((p, N_PARAMETERS + 3)), np.zeros(p, np.uint8)
    state = State(
        fits,
        np.full((p, MOVED + 1), np.inf),
        np.empty((counts.max(initial=1), N_PARAMETERS + 2, N_PARAMETERS)),
        flags,
        np.zeros((3, pixels), np.float32),
        np.zeros((N_ROWS, pixels), np.float32),
        make_room(),
    )
    state.looks[:, MISFIT], state.looks[:, MOVED] = 0.0, 1.0
    state.rows[DOWN], state.rows[ACROSS] = model.offset_y / model.radius_px, model.offset_x / model.radius_px
    spread = tuple(
        -1.0 if given is None else float(given) if given > NO_SLOPE else 0.0 for given in (slope, background_slope)
    )
    _fit_frames(ends, view, state, spread)
    gain = np.repeat(gain, counts)
    height = np.where(fits[:, 1] > 0.0, fits[:, 1], 1.0)
    return DiskFits(
        y=fits[:, 4],
        x=fits[:, 5],
        intensity=fits[:, 1] * gain * model.area_px,
        background=fits[:, 0] * gain,
        var_yy=fits[:, N_PARAMETERS],
        var_yx=fits[:, N_PARAMETERS + 1],
        var_xx=fits[:, N_PARAMETERS + 2],
        flags=flags,
        slope_y=fits[:, 2] / height,
        slope_x=fits[:, 3] / height,
    )


@njit(allocates=False, nogil=True)
def _fit_frames(ends: Int, view: View, state: State, given: tuple[float, float]) -> None:
    """Fit the disks of each frame, those from ``ends[n]`` to ``ends[n + 1]``."""
    fits, looks, learnt = state.fits, state.looks, state.room.step
    for n in range(len(ends) - 1):
        begin, end = ends[n], ends[n + 1]
        state.room.place[4] = n
        for i in range(begin, end):
            fits[i, 4], fits[i, 5] = view.start[i, 0], view.start[i, 1]
            if view.first[i + 1] > view.first[i]:
                state.flags[i] |= OVERLAP
            look_at_disk(view, state, i)
        for i in range(begin, end):
            if looks[i, MISFIT] > 0.0:
                for k in range(N_PARAMETERS):
                    fits[i, k] = state.equations[i % len(state.equations), N_PARAMETERS + 1, k]
        for k in range(2):
            learnt[k] = given[k] if given[k] >= 0.0 else _slope_spread(state, begin, end, 2 * k)
        spread = learnt[0], learnt[1]
        for i in range(begin, end):
            fit_disk(view, state, i, spread, not state.flags[i] & OVERLAP)
        for _ in range(SWEEPS):
            rest = True
            for i in range(begin, end):
                if state.flags[i] & OVERLAP and _is_pushed(view, state, i):
                    y, x = fits[i, 4], fits[i, 5]
                    fit_disk(view, state, i, spread, False)
                    far = np.hypot(fits[i, 4] - y, fits[i, 5] - x)
                    error = np.sqrt(fits[i, N_PARAMETERS] + fits[i, N_PARAMETERS + 2])
                    looks[i, MOVED] = far > (SETTLED * error if error < np.inf else 0.0)
                    rest &= looks[i, MOVED] == 0.0
            if rest:
                break
        for i in range(begin, end):
            if state.flags[i] & OVERLAP:
                fit_disk(view, state, i, spread, True)


@part(allocates=False)
def _is_pushed(view: View, state: State, own: int) -> bool:
    """Whether a disk or a neighbour of it has moved."""
    pushed = state.looks[own, MOVED]
    for k in range(view.first[own], view.first[own + 1]):
        pushed = max(pushed, state.looks[view.others[k], MOVED])
    return bool(pushed > 0.0)


@part(allocates=False)
def _slope_spread(state: State, begin: int, end: int, first: int) -> float:
    """Maximum-likelihood spread of the relative slopes in two columns, whose errors are known."""
    variance = 0.1
    for _ in range(8):
        weights, excess = 0.0, 0.0
        for i in range(begin, end):
            for k in range(first, first + 2):
                error = state.looks[i, 4 + k]
                if error < np.inf:
                    w = 1.0 / (error + variance) ** 2
                    weights += w
                    excess += w * (state.looks[i, k] ** 2 - error)
        variance = max(excess / weights, 0.0) if weights > 0.0 else 0.0
    return min(float(np.sqrt(variance)), WEAK_SLOPE) if variance > NO_SLOPE**2 else 0.0

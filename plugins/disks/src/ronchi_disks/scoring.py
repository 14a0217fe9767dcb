"""Fisher scoring of one disk: its place, and the verdict whether it is a disk."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.cholesky import invert
from ronchi.compiled import part
from ronchi_disks.disk_model import N_PHASES
from ronchi_disks.equations import N_PARAMETERS, SLOPES, Room, add_spread, solve_step
from ronchi_disks.fisher import normal_equations
from ronchi_disks.smooth import is_smooth
from ronchi_disks.window import MISFIT, NOT_REFINED, OVERLAP, SMOOTH, State, View, background_and_height, gather

__all__ = ["WEAK_SLOPE", "fit_disk", "look_at_disk"]

Float = NDArray[np.floating[Any]]
_NOWHERE = -(10**9)
"""Row that no window has."""

MODEL_ERROR = 0.02
"""Error of the disk's shape relative to its height, added to the variance of the counts."""
WEAK_SLOPE = 1.0
"""Spread of relative slopes before the pattern has been looked at: any that leaves disk and background positive."""
WORST_SHAPE = 0.5
"""Largest residual, rms over the disk and relative to its height, that still passes for a disk."""
MAX_SHIFT_PX, MAX_SHIFT_R = 1.5, 0.3
"""Farthest that a fit may end from its start, px and radii: a slope moves the start of a large disk by more pixels."""
MAX_STEP_PX = 0.7
FEWEST = 2 * N_PARAMETERS
"""Least number of usable pixels."""
MAX_ITERATIONS = 16
TOLERANCE = 0.02
"""A fit ends where the step after the last, of which the last two tell the length, is below this share of the error."""
LAST_STEP = 0.25
"""Largest last step in units of the errors, of all parameters together: a place can rest for a moment while the others
are on their way, and the misfit that a verdict is made on is that of before the step."""
NEGLIGIBLE = 0.02
"""Share of the counts' variance that the model error may add to them unnoticed."""


@part(allocates=False)
def look_at_disk(view: View, state: State, own: int) -> None:
    """Take a step from the start without slopes; then note the slopes that the disk asks for, and its equations."""
    room, looks = state.room, state.looks
    p, step, system, covariance = room.p, room.step, room.system, room.covariance
    _read_row(state.fits, own, p)
    room.place[0] = _NOWHERE
    for look in range(2):
        spread = look * WEAK_SLOPE, look * WEAK_SLOPE
        # Without the pixels of close neighbours there are few left, which are enough to begin with.
        chi2 = _evaluate(view, state, own, spread, FEWEST)
        # What is not a number in one window would spoil the slopes of the whole pattern.
        if not chi2 >= 0.0:
            return
        if look:
            _write_equations(state.equations, own % len(state.equations), room)
        scale, misfit = _scale(view, p), _misfit(chi2, room)
        add_spread(room, spread, scale)
        if not solve_step(room):
            return
        if not look:
            if not _advance(view, own, room, 1.0):
                return
            continue
        invert(system, N_PARAMETERS, covariance)
        for k in range(4):
            of = SLOPES[k]
            looks[own, k] = (p[of] + step[of]) / scale[k // 2]
            looks[own, 4 + k] = covariance[of, of] * misfit / scale[k // 2] ** 2
        looks[own, MISFIT] = misfit


@part(allocates=False)
def fit_disk(view: View, state: State, own: int, spread: tuple[float, float], judged: bool) -> None:
    """Fit a disk from its row of ``fits``, with a verdict whether it is a disk at all if ``judged``."""
    # Between close neighbours that are not known yet too few pixels may be left: the next round has more.
    state.flags[own] &= ~np.uint8(NOT_REFINED | SMOOTH)
    room, fits = state.room, state.fits
    p, step, score, system, covariance = room.p, room.step, room.score, room.system, room.covariance
    _read_row(fits, own, p)
    room.place[0] = _NOWHERE
    # The look at a disk left out its neighbours, which are known by now.
    looked = state.looks[own, MISFIT] > 0.0 and not state.flags[own] & OVERLAP
    fewest = max(len(view.model.offset_y) // 2, FEWEST)
    chi2, misfit = -1.0, 1.0
    damping, before_y, before_x, before = 1.0, 0.0, 0.0, 0.0
    for iteration in range(MAX_ITERATIONS):
        if iteration == 0 and looked:
            _read_equations(state.equations, own % len(state.equations), room)
            misfit = state.looks[own, MISFIT]
        else:
            chi2 = _evaluate(view, state, own, spread, fewest)
            if chi2 < 0.0:
                break
            misfit = _misfit(chi2, room)
        scale = _scale(view, p)
        add_spread(room, spread, scale)
        if not solve_step(room):
            break
        length = np.hypot(step[4], step[5])
        # The weights follow the parameters: on a steep disk full steps can swing about the maximum for ever.
        swings = step[4] * before_y + step[5] * before_x < 0.0
        damping = 0.5 * damping if swings else min(1.0, 1.5 * damping)
        if not _advance(view, own, room, damping):
            break
        error = np.sqrt(misfit * (1.0 / system[4, 4] ** 2 + 1.0 / system[5, 5] ** 2))
        ahead = length * min(1.0, length / before) if before > 0.0 else length
        gained = 0.0
        for k in range(N_PARAMETERS):
            gained += step[k] * score[k]
        ended = ahead < TOLERANCE * error and gained < LAST_STEP**2 * misfit
        before_y, before_x, before = step[4], step[5], length
        if chi2 >= 0.0 and (ended or (iteration == MAX_ITERATIONS - 1 and length < error)):
            if misfit * MODEL_ERROR**2 * room.place[2] > WORST_SHAPE**2 * view.model.area_px:
                break
            invert(system, N_PARAMETERS, covariance)
            chi2 -= gained
            if judged and is_smooth(state.window, state.rows, room, chi2, misfit):
                break
            if MODEL_ERROR**2 * p[1] > NEGLIGIBLE:
                # What the shape does not explain repeats from pattern to pattern: error bars are those of the counts.
                floor = view.start[own, 3]
                normal_equations(state.window, view.model.table, spread, floor, state.rows, room)
                add_spread(room, spread, scale)
                if not solve_step(room):
                    break
                invert(system, N_PARAMETERS, covariance)
            _write_row(fits, own, p)
            fits[own, 8], fits[own, 9], fits[own, 10] = covariance[4, 4], covariance[4, 5], covariance[5, 5]
            return
    if chi2 < 0.0 and looked:
        _read_row(fits, own, p)
        chi2 = _evaluate(view, state, own, spread, fewest)
        misfit = _misfit(chi2, room)
    # Where nothing holds it, as on a ring of diffuse scattering, a fit strays.
    if chi2 >= 0.0 and judged and is_smooth(state.window, state.rows, room, chi2, misfit):
        state.flags[own] |= SMOOTH
    state.flags[own] |= NOT_REFINED
    for k in range(N_PARAMETERS):
        fits[own, k] = 0.0
    fits[own, 4], fits[own, 5] = view.start[own, 0], view.start[own, 1]
    fits[own, 8], fits[own, 9], fits[own, 10] = np.inf, 0.0, np.inf


@part(allocates=False)
def _evaluate(view: View, state: State, own: int, spread: tuple[float, float], fewest: int) -> float:
    """Fill the equations of a disk; chi-square is -1 where pixels are too few or nothing stands out of them."""
    room, table = state.room, view.model.table
    p, relative, place = room.p, room.relative, room.place
    row, column = round(p[4]), round(p[5])
    if row != place[0] or column != place[1]:
        place[0], place[1] = row, column
        place[2] = gather(view, state, own, (row, column))
    ky, kx = round((p[4] - row + 0.5) * N_PHASES), round((p[5] - column + 0.5) * N_PHASES)
    place[3] = ky * (N_PHASES + 1) + kx
    if place[2] < fewest:
        return -1.0
    if p[1] <= 0.0:
        p[0], p[1] = background_and_height(state.window, table, place[3])
        if p[1] <= 0.0:
            return -1.0
    for k in range(N_PARAMETERS):
        relative[k] = p[k]
    relative[4] = p[4] - row + 0.5 - ky / N_PHASES
    relative[5] = p[5] - column + 0.5 - kx / N_PHASES
    floor = (MODEL_ERROR * p[1]) ** 2 + view.start[own, 3]
    return normal_equations(state.window, table, spread, floor, state.rows, room)


@part(allocates=False)
def _scale(view: View, p: Float) -> tuple[float, float]:
    """Of what slopes are relative to: height of the disk, and background."""
    return p[1], max(p[0], 1.0 / len(view.model.offset_y))


@part(allocates=False)
def _misfit(chi2: float, room: Room) -> float:
    """Chi-square over its degrees of freedom, 1 at least."""
    return max(1.0, chi2 / (room.place[2] - N_PARAMETERS))


@part(allocates=False)
def _advance(view: View, own: int, room: Room, damping: float) -> bool:
    """Take a step, a part of it, or the longest that is allowed; False where it ends too far from the start."""
    p, step = room.p, room.step
    height = p[1]
    part = min(damping, MAX_STEP_PX / (np.hypot(step[4], step[5]) + 1e-12))
    for k in range(N_PARAMETERS):
        p[k] += part * step[k]
    p[1] = max(p[1], 0.2 * height)
    farthest = max(MAX_SHIFT_PX, MAX_SHIFT_R * view.model.radius_px)
    return bool(np.hypot(p[4] - view.start[own, 0], p[5] - view.start[own, 1]) < farthest)


@part(allocates=False)
def _read_row(fits: Float, own: int, p: Float) -> None:
    for k in range(N_PARAMETERS):
        p[k] = fits[own, k]


@part(allocates=False)
def _write_row(fits: Float, own: int, p: Float) -> None:
    for k in range(N_PARAMETERS):
        fits[own, k] = p[k]


@part(allocates=False)
def _read_equations(equations: Float, row: int, room: Room) -> None:
    system, score = room.system, room.score
    for i in range(N_PARAMETERS):
        score[i] = equations[row, N_PARAMETERS, i]
        for k in range(N_PARAMETERS):
            system[i, k] = equations[row, i, k]


@part(allocates=False)
def _write_equations(equations: Float, row: int, room: Room) -> None:
    system, score, p = room.system, room.score, room.p
    for i in range(N_PARAMETERS):
        equations[row, N_PARAMETERS, i] = score[i]
        equations[row, N_PARAMETERS + 1, i] = p[i]
        for k in range(N_PARAMETERS):
            equations[row, i, k] = system[i, k]

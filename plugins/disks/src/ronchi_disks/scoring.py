"""Fisher scoring of one disk: its place, and the verdict whether it is a disk."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit
from ronchi_disks.disk_model import N_PHASES
from ronchi_disks.fisher import N_PARAMETERS, invert, normal_equations, solve
from ronchi_disks.smooth import is_smooth
from ronchi_disks.window import NOT_REFINED, SMOOTH, State, View, background_and_height, gather

__all__ = ["FIRST", "FITTED", "JUDGED", "NO_SLOPE", "WEAK_SLOPE", "fit_disk"]

Float = NDArray[np.floating[Any]]

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
FIRST, FITTED, JUDGED = range(3)
"""Stages of a disk: a look at its slopes, the fit, and the fit with a verdict whether it is a disk at all."""


@njit(nogil=True)
def fit_disk(view: View, state: State, own: int, spread: tuple[float, float], stage: int) -> None:
    """Fisher scoring of one disk from its row of ``fits``; `FIRST` takes some steps and notes its slopes."""
    final = stage != FIRST
    # Between close neighbours that are not known yet too few pixels may be left: the next round has more.
    state.flags[own] &= ~np.uint8(NOT_REFINED | SMOOTH)
    state.slopes[own, 4:] = np.inf
    system, lower, inverse, covariance = state.room[0], state.room[1], state.room[2], state.room[3]
    step, relative = np.zeros(N_PARAMETERS), np.zeros(N_PARAMETERS, np.float32)
    p = state.fits[own, :N_PARAMETERS].copy()
    row, column, usable = -(10**9), 0, 0
    # One electron in the window is the least that is known of a dark background.
    one_electron = 1.0 / len(view.model.offset_y)
    dark_variance = one_electron + view.dark_variance
    farthest = max(MAX_SHIFT_PX, MAX_SHIFT_R * view.model.radius_px)
    damping, before_y, before_x = 1.0, 0.0, 0.0
    looked, chi2, misfit = False, 0.0, 1.0
    iterations = MAX_ITERATIONS if final else FIRST_ITERATIONS
    for iteration in range(iterations):
        last = iteration == iterations - 1
        if round(p[4]) != row or round(p[5]) != column:
            row, column = round(p[4]), round(p[5])
            usable = gather(view, state, own, (row, column), final)
            looked = False
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
        floor = (MODEL_ERROR * p[1]) ** 2 + dark_variance
        chi2 = normal_equations(state.window, shape, relative, floor, state.rows, system)
        misfit = max(1.0, chi2 / (usable - N_PARAMETERS))
        looked = True
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
                break
            if MODEL_ERROR**2 * p[1] > NEGLIGIBLE:
                # What the shape does not explain repeats from pattern to pattern: error bars are those of the counts.
                normal_equations(state.window, shape, relative, dark_variance, state.rows, system)
                for k in range(4):
                    of = 2 + k if k < 2 else 4 + k
                    system[of, of] += 1.0 / (spread[k // 2] * scale[k // 2]) ** 2
                if not solve(system, lower, step):
                    break
            invert(lower, inverse, covariance)
            state.fits[own, :N_PARAMETERS] = p
            state.fits[own, N_PARAMETERS:] = covariance[4, 4], covariance[4, 5], covariance[5, 5]
            return
    # Where nothing holds it, as on a ring of diffuse scattering, a fit strays.
    judged = looked and stage == JUDGED
    if judged and is_smooth(state.window, state.rows, relative, chi2, misfit, usable, state.room[2:]):
        state.flags[own] |= SMOOTH
    state.flags[own] |= NOT_REFINED
    state.fits[own, :4] = 0.0
    state.fits[own, 4:6] = view.start[own]
    state.fits[own, 6:N_PARAMETERS] = 0.0
    state.fits[own, N_PARAMETERS:] = np.inf, 0.0, np.inf

"""Tracks: the same atom in many frames, linked frame by frame, one to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ronchi_movies.assignment import pair_off
from ronchi_movies.drift import Motion, motion_between

__all__ = ["Links", "follow_sheet", "link", "majority"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Progress = Callable[[int, int], None]

_LONGEST_WAIT, _WIDEST_TURN = 8, np.deg2rad(10.0)
"""The search grows with the frames that are missing between two, up to these."""


@dataclass(frozen=True)
class Links:
    """How atoms are linked; lengths in the units of the positions.

    Parameters
    ----------
    max_step : float
        Longest step relative to the sheet.
    max_gap : int
        Frames that a track may miss.
    max_exchange : float
        Atoms of different species so close may change places; 0 for species that do not matter.
    """

    max_step: float
    max_gap: int
    max_exchange: float = 0.0


def follow_sheet(
    frames: Sequence[Floats],
    times: Sequence[int],
    spacing: float,
    max_drift: float,
    max_turn: float,
    progress: Progress,
    field: tuple[Floats, Floats],
) -> tuple[list[Motion], Bools]:
    """Motion of the sheet since the first frame, for every frame.

    Parameters
    ----------
    frames : sequence of (n, 2) float
        Positions (y, x), at least one in each.
    times : sequence of int
        Number of each frame, ascending.
    spacing, max_drift : float
        In the units of the positions; ``max_drift`` and ``max_turn`` [rad] from one frame to the next, and as many
        times that where frames are missing between.
    field : pair of (2,) float
        Lowest and highest (y, x) where a frame would show an atom; the sheet turns about its middle.

    Returns
    -------
    motions : list of Motion
        A frame in which no motion explains where the atoms are, or with too few of them, stays as the one before, and
        the next is compared with that.
    known : (frames,) bool
        Whether it was found.
    """
    motions = [Motion(0.0, np.zeros(2), (field[0] + field[1]) / 2)]
    known = np.ones(len(frames), bool)
    last = 0

    def step(before: int, after: int) -> Motion | None:
        longer = min(times[after] - times[before], _LONGEST_WAIT)
        turn = min(longer * max_turn, _WIDEST_TURN)
        return motion_between(frames[before], frames[after], field, spacing, longer * max_drift, max(max_turn, turn))

    for number in range(1, len(frames)):
        moved = step(last, number)
        if moved is None and last < number - 1 and (again := step(number - 1, number)) is not None:
            # What follows fits what did not fit: it was the frame before them that was bad, or much has changed.
            moved = again
            if last == 0:
                # Nothing has ever fitted the first one.
                known[0], known[number - 1] = False, True
        known[number] = moved is not None
        motions.append(motions[-1] if moved is None else motions[-1].then(moved))
        last = last if moved is None else number
        progress(number, len(frames))
    return motions, known


def link(frames: Sequence[Floats], times: Sequence[int], species: Sequence[Ints], links: Links) -> list[Ints]:
    """Number the tracks, from 0 by their first atom.

    Parameters
    ----------
    frames : sequence of (n, 2) float
        Positions (y, x), relative to the sheet.
    times : sequence of int
        Number of each frame, ascending; a number left out is a frame missed.
    species : sequence of (n,) int

    Returns
    -------
    list of (n,) int64
        Track of every atom.
    """
    where, seen, kind = np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros(0, np.int64)
    tracks = []
    for points, time, kinds in zip(frames, times, species, strict=True):
        active = np.flatnonzero(seen >= time - 1 - links.max_gap)
        i, j = _pairs(where[active], points, kind[active], kinds, links)
        number = np.full(len(points), -1, np.int64)
        number[j] = active[i]
        new = number < 0
        number[new] = len(seen) + np.arange(int(new.sum()))
        missing = int(new.sum())
        where = np.concatenate([where, np.zeros((missing, 2))])
        seen, kind = (np.concatenate([held, np.zeros(missing, np.int64)]) for held in (seen, kind))
        where[number], seen[number], kind[number] = points, time, kinds
        tracks.append(number)
    return tracks


def _pairs(before: Floats, after: Floats, kind: Ints, kinds: Ints, links: Links) -> tuple[Ints, Ints]:
    if not links.max_exchange:
        return pair_off(before, after, links.max_step)
    i, j = pair_off(before, after, links.max_step, (kind, kinds))
    left_i, left_j = np.setdiff1d(np.arange(len(before)), i), np.setdiff1d(np.arange(len(after)), j)
    if not len(left_i) or not len(left_j):
        return i, j
    # Who exchanges places leaves one where an atom of another species is found, and comes to where one was.
    given, taken = (
        cKDTree(theirs).query(mine)[0] <= links.max_step
        for mine, theirs in ((before[left_i], after[left_j]), (after[left_j], before[left_i]))
    )
    left_i, left_j = left_i[given], left_j[taken]
    more_i, more_j = pair_off(before[left_i], after[left_j], links.max_exchange, (kind[left_i], kinds[left_j]))
    return np.concatenate([i, left_i[more_i]]), np.concatenate([j, left_j[more_j]])


def majority(track: Ints, species: Ints, weight: Floats) -> Ints:
    """(n,) species that most atoms of each atom's track have, by weight; the smaller number if two have as much."""
    kinds, column = np.unique(species, return_inverse=True)
    votes = np.zeros((int(track.max(initial=-1)) + 1, len(kinds)))
    np.add.at(votes, (track, column), weight)
    voted: Ints = kinds[votes.argmax(1)][track] if len(track) else species
    return voted

"""Compiled sums over patterns: everything that one pass over the data can give.

Sums run along runs of pixels in a row. Integers are summed exactly, in the types that `accumulator_of` names.
Floats are summed in double precision. Within a pattern the order is what the compiler chooses for a processor,
the same however the scan is cut into blocks; over the patterns it is the order in which they come.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.builtin.prefetch import CACHE_LINE_BYTES, prefetch
from ronchi.compiled import njit

__all__ = ["MAX_FRAMES", "RUN_PX", "accumulator_of", "mask_runs", "reduce_frames"]

RUN_PX = 256
"""Longest run of pixels: 65535 * 256 * 255 / 2, the worst first moment within it, still fits in 32 bits."""

MAX_FRAMES = 65536
"""Frames of a call of `reduce_frames`: as many 16-bit counts fit into the 32 bits of a pattern's sum."""


def accumulator_of(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Types in which `reduce_frames` sums data of ``dtype``: within a run of pixels, and over a pattern.

    Floats are summed in double precision, integers exactly as long as the sums fit in 64 bits.
    """
    if dtype.kind == "f":
        return np.dtype(np.float64), np.dtype(np.float64)
    if dtype.itemsize <= 2:
        return np.dtype(np.uint32 if dtype.kind == "u" else np.int32), np.dtype(np.int64)
    return np.dtype(np.int64), np.dtype(np.int64)


def mask_runs(inside: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Runs of True along the rows of masks, cut where a multiple of `RUN_PX` lies within.

    Parameters
    ----------
    inside : (m, qy, qx) bool

    Returns
    -------
    runs : (n, 3) int64
        Mask, first column and the one after the last, ordered by row.
    start : (qy + 1,) int64
        The runs of row y are ``runs[start[y]:start[y + 1]]``.
    """
    is_first, is_last = inside.copy(), inside.copy()
    is_first[..., 1:] &= ~inside[..., :-1]
    is_last[..., :-1] &= ~inside[..., 1:]
    is_first[..., RUN_PX::RUN_PX] |= inside[..., RUN_PX::RUN_PX]
    is_last[..., RUN_PX - 1 :: RUN_PX] |= inside[..., RUN_PX - 1 :: RUN_PX]
    row, mask, first = np.nonzero(np.moveaxis(is_first, 1, 0))
    last = np.nonzero(np.moveaxis(is_last, 1, 0))[2]
    start = np.searchsorted(row, np.arange(inside.shape[1] + 1))
    return np.stack([mask, first, last + 1], 1).astype(np.int64), start.astype(np.int64)


# Without licence to reorder, a sum of floats is one long chain of dependent additions. NaN stays NaN all the same.
@njit(nogil=True, fastmath={"reassoc"})
def reduce_frames(
    frames: NDArray[Any],
    valid: NDArray[np.bool_],
    good: NDArray[np.int64],
    good_start: NDArray[np.int64],
    hard: NDArray[np.int64],
    hard_start: NDArray[np.int64],
    soft: NDArray[np.int64],
    soft_start: NDArray[np.int64],
    weights: NDArray[np.float64],
    pattern: NDArray[Any],
    brightest: NDArray[Any],
    moments: NDArray[Any],
    hard_out: NDArray[Any],
    soft_out: NDArray[np.float64],
) -> None:
    """Add up frames in one pass.

    Parameters
    ----------
    frames : (n, qy, qx)
        At most `MAX_FRAMES`, contiguous, in native byte order, never written to.
    valid : (n,) bool
        Frames to take; the outputs of the others stay as they are.
    good, good_start : runs of the pixels that count for pattern, maximum and moments, see `mask_runs`
    hard, hard_start : runs of the masks of 0 and 1
    soft, soft_start : runs where the weights of the others are not 0
    weights : (m_soft, qy, qx) float64
    pattern : (qy, qx), of the first type of `accumulator_of`
        The sum of the frames is added to it.
    brightest : (qy, qx) of the frames' type, or (0, 0)
        Raised to the maximum of the frames.
    moments : (n, 3), of the second type
        Gets the sums of v, y v and x v, with y and x in px.
    hard_out : (n, m_hard), of the second type
    soft_out : (n, m_soft) float64
        Get the sums under the masks.
    """
    n, rows, columns = frames.shape
    # The types must be named again after each addition: the compiler widens the sum of two small integers.
    narrow, wide = pattern.dtype.type, moments.dtype.type
    # A table in place of the counter is what the compiler turns into vector code.
    offsets = np.arange(RUN_PX).astype(pattern.dtype)
    line = CACHE_LINE_BYTES // frames.itemsize
    for i in range(n):
        if not valid[i]:
            continue
        total, moment_y, moment_x = wide(0), wide(0), wide(0)
        hard_out[i] = 0
        soft_out[i] = 0
        following = (i + 1) * rows * columns
        for y in range(rows):
            # Beside the pattern, the processor does not see by itself that the frames are read in a line.
            for x in range(0, columns, line):
                prefetch(frames, following + y * columns + x)
            row_total = wide(0)
            for k in range(good_start[y], good_start[y + 1]):
                first, stop = good[k, 1], good[k, 2]
                part, into, offset = frames[i, y, first:stop], pattern[y, first:stop], offsets[: stop - first]
                run_total, run_moment = narrow(0), narrow(0)
                for x in range(len(part)):
                    value = narrow(part[x])
                    into[x] += value
                    run_total = narrow(run_total + value)
                    run_moment = narrow(run_moment + narrow(value * offset[x]))
                row_total += wide(run_total)
                moment_x += wide(run_moment) + wide(first) * wide(run_total)
                if len(brightest) > 0:
                    top = brightest[y, first:stop]
                    for x in range(len(part)):
                        top[x] = part[x] if part[x] > top[x] else top[x]
            total += row_total
            moment_y += wide(y) * row_total
            for k in range(hard_start[y], hard_start[y + 1]):
                part = frames[i, y, hard[k, 1] : hard[k, 2]]
                run_total = narrow(0)
                for x in range(len(part)):
                    run_total = narrow(run_total + narrow(part[x]))
                hard_out[i, hard[k, 0]] += wide(run_total)
            for k in range(soft_start[y], soft_start[y + 1]):
                part = frames[i, y, soft[k, 1] : soft[k, 2]]
                weight = weights[soft[k, 0], y, soft[k, 1] : soft[k, 2]]
                weighted = 0.0
                for x in range(len(part)):
                    weighted += np.float64(part[x]) * weight[x]
                soft_out[i, soft[k, 0]] += weighted
        moments[i, 0], moments[i, 1], moments[i, 2] = total, moment_y, moment_x

"""Compiled sums over patterns: everything that one pass over the data can give.

All sums run down the columns: row after row is added to arrays of the length of a row. That needs no
reduction across a vector register, so it is fast without licence to reorder: integers are exact, and floats
come out the same on every machine. The type of the arrays is that of the sums, see `accumulator_of`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit

__all__ = ["BAND_ROWS", "MAX_FRAMES", "accumulator_of", "mask_runs", "reduce_frames"]

BAND_ROWS = 256
"""Rows after which sums move to 64 bits: 65535 * 256 * 257 / 2, the worst first moment, still fits in 32."""

MAX_FRAMES = 65536
"""Frames of a call of `reduce_frames`: as many 16-bit counts fit into the 32 bits of a pattern's sum."""


def accumulator_of(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Types in which `reduce_frames` sums data of ``dtype``: within a band of rows, and over a pattern.

    Floats are summed in double precision, integers exactly as long as the sums fit in 64 bits.
    """
    if dtype.kind == "f":
        return np.dtype(np.float64), np.dtype(np.float64)
    if dtype.itemsize <= 2:
        return np.dtype(np.uint32 if dtype.kind == "u" else np.int32), np.dtype(np.int64)
    return np.dtype(np.int64), np.dtype(np.int64)


def mask_runs(inside: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Runs of True along the rows of masks.

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
    edges = np.diff(np.pad(inside, ((0, 0), (0, 0), (1, 1))).astype(np.int8), axis=-1)
    row, mask, first = np.nonzero(np.moveaxis(edges == 1, 1, 0))
    stop = np.nonzero(np.moveaxis(edges == -1, 1, 0))[2]
    start = np.searchsorted(row, np.arange(inside.shape[1] + 1))
    return np.stack([mask, first, stop], 1).astype(np.int64), start.astype(np.int64)


# Called twice and big, it would not be inlined otherwise: that costs a third of the speed.
@njit(nogil=True, inline="always")
def _add_row(
    row: NDArray[Any],
    y: int,
    hard: NDArray[Any],
    hard_start: NDArray[np.int64],
    hard_sum: NDArray[Any],
    soft: NDArray[Any],
    soft_start: NDArray[np.int64],
    weights: NDArray[np.float64],
    soft_sum: NDArray[np.float64],
    column: NDArray[Any],
    moment: NDArray[Any],
    pattern: NDArray[Any],
    brightest: NDArray[Any],
) -> None:
    total = pattern[y]
    for x in range(len(row)):
        value = row[x]
        total[x] += value
        # Summing the running sums counts a row once for itself and once for each row below it.
        running = column[x] + value
        column[x] = running
        moment[x] += running
    for k in range(hard_start[y], hard_start[y + 1]):
        first = hard[k, 1]
        part = row[first : hard[k, 2]]
        into = hard_sum[hard[k, 0], first:]
        for x in range(len(part)):
            into[x] += part[x]
    for k in range(soft_start[y], soft_start[y + 1]):
        first = soft[k, 1]
        part = row[first : soft[k, 2]]
        weight = weights[soft[k, 0], y, first:]
        smooth = soft_sum[soft[k, 0], first:]
        for x in range(len(part)):
            smooth[x] += part[x] * weight[x]
    if len(brightest) > 0:
        top = brightest[y]
        for x in range(len(row)):
            top[x] = row[x] if row[x] > top[x] else top[x]


@njit(nogil=True)
def reduce_frames(
    frames: NDArray[Any],
    valid: NDArray[np.bool_],
    bad: NDArray[np.bool_],
    hard: NDArray[np.int64],
    hard_start: NDArray[np.int64],
    soft: NDArray[np.int64],
    soft_start: NDArray[np.int64],
    weights: NDArray[np.float64],
    column: NDArray[Any],
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
        At most `MAX_FRAMES`, in native byte order, never written to.
    valid : (n,) bool
        Frames to take; the outputs of the others stay as they are.
    bad : (qy, qx) bool
        Pixels to take as 0, whatever they hold.
    hard, hard_start : runs of the masks of 0 and 1, see `mask_runs`
    soft, soft_start : runs where the weights of the others are not 0
    weights : (m_soft, qy, qx) float64
    column : (qx,) scratch
        Of the first type of `accumulator_of`.
    pattern : (qy, qx), of the same type
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
    dirty = np.zeros(rows, np.bool_)
    for y in range(rows):
        dirty[y] = bad[y].any()
    clean = np.zeros(columns, frames.dtype)
    moment = np.zeros_like(column)
    hard_sum = np.zeros((hard_out.shape[1], columns), column.dtype)
    soft_sum = np.zeros((soft_out.shape[1], columns), np.float64)
    for i in range(n):
        if not valid[i]:
            continue
        moments[i] = 0
        hard_out[i] = 0
        soft_sum[:] = 0
        for band in range(0, rows, BAND_ROWS):
            stop = min(band + BAND_ROWS, rows)
            column[:] = 0
            moment[:] = 0
            hard_sum[:] = 0
            for y in range(band, stop):
                if dirty[y]:
                    for x in range(columns):
                        clean[x] = 0 if bad[y, x] else frames[i, y, x]
                    _add_row(
                        clean, y, hard, hard_start, hard_sum, soft, soft_start, weights, soft_sum,
                        column, moment, pattern, brightest,
                    )  # fmt: skip
                else:
                    _add_row(
                        frames[i, y], y, hard, hard_start, hard_sum, soft, soft_start, weights, soft_sum,
                        column, moment, pattern, brightest,
                    )  # fmt: skip
            for x in range(columns):
                moments[i, 0] += column[x]
                moments[i, 1] += stop * column[x] - moment[x]
                moments[i, 2] += x * column[x]
            for m in range(hard_out.shape[1]):
                for x in range(columns):
                    hard_out[i, m] += hard_sum[m, x]
        for m in range(soft_out.shape[1]):
            soft_out[i, m] = soft_sum[m].sum()

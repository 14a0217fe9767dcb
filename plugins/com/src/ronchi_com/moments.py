"""Sums over patterns in compiled code: total counts and first moments of every frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit

__all__ = ["frame_moments"]

_PIECE_BYTES = 2**22
"""Frames converted at a time, where their type or layout must be converted at all."""


def frame_moments(frames: NDArray[Any], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Total and first moments of every frame.

    Parameters
    ----------
    frames : (n, qy, qx) array
        Any real type, byte order and layout; never written to.
    inside : (qy, qx) bool
        Pixels that count.

    Returns
    -------
    (n, 3) float64
        Sums of v, y v and x v with y and x in px; exact for integers as long as they stay below 2^53.
    """
    runs, first_run = _runs(inside)
    moments = np.empty((len(frames), 3))
    step = max(1, _PIECE_BYTES // max(1, inside.size * frames.dtype.itemsize))
    for start in range(0, len(frames), step):
        piece = slice(start, start + step)
        _sum_frames(_as_compiled(frames[piece]), runs, first_run, moments[piece])
    return moments


def _as_compiled(frames: NDArray[Any]) -> NDArray[Any]:
    """Frames as the compiled code reads them, without a copy where they are so already."""
    dtype = frames.dtype.newbyteorder("=")
    if dtype.kind == "b":
        dtype = np.dtype(np.uint8)
    elif dtype.kind == "f" and dtype.itemsize not in (4, 8):
        dtype = np.dtype(np.float32 if dtype.itemsize < 4 else np.float64)
    # Always contiguous and read-only: every other variant would be compiled on its own.
    ready: NDArray[Any] = np.ascontiguousarray(frames, dtype).view()
    ready.flags.writeable = False
    return ready


def _runs(inside: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Runs of True: (n, 2) first column and the one after the last, and (qy + 1,) the first run of each row."""
    edges = np.diff(np.pad(inside, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, first = np.nonzero(edges == 1)
    stop = np.nonzero(edges == -1)[1]
    return np.stack([first, stop], 1).astype(np.int64), np.searchsorted(rows, np.arange(len(inside) + 1))


# Without licence to reorder, a sum of floats is one long chain of dependent additions. NaN stays NaN all the same.
@njit(nogil=True, fastmath={"reassoc", "contract"})
def _sum_frames(
    frames: NDArray[Any], runs: NDArray[np.int64], first_run: NDArray[np.int64], moments: NDArray[np.float64]
) -> None:
    columns = np.arange(frames.shape[2]).astype(np.float64)
    for i in range(frames.shape[0]):
        total, moment_y, moment_x = 0.0, 0.0, 0.0
        for y in range(frames.shape[1]):
            row_total, row_moment = 0.0, 0.0
            for k in range(first_run[y], first_run[y + 1]):
                # Slices, and a table of x in place of the counter, are what the compiler turns into vector code.
                part, x = frames[i, y, runs[k, 0] : runs[k, 1]], columns[runs[k, 0] : runs[k, 1]]
                for j in range(len(part)):
                    value = np.float64(part[j])
                    row_total += value
                    row_moment += value * x[j]
            total += row_total
            moment_y += row_total * y
            moment_x += row_moment
        moments[i, 0], moments[i, 1], moments[i, 2] = total, moment_y, moment_x

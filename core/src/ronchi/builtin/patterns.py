"""Mean and variance of patterns over all or some of the scan, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.blocks import count_positions, read_block
from ronchi.errors import DataError

__all__ = ["block_length", "float_frames", "mean_and_variance", "sample_runs"]

Array = NDArray[np.float64]
BLOCK_BYTES = 8 * 2**20
RUN = 8


def _ignore_progress(done: int, total: int) -> None:
    return None


def block_length(intensity: xr.DataArray) -> int:
    """Patterns of a block of about 8 MB, in whole scan rows where a row fits."""
    frame_bytes = intensity.sizes["qy"] * intensity.sizes["qx"] * intensity.dtype.itemsize
    count, width = max(1, BLOCK_BYTES // frame_bytes), intensity.sizes["scan_x"]
    return int(count // width * width or count)


def sample_runs(total: int, n: int) -> list[tuple[int, int]]:
    """Spans ``(start, stop)`` of about ``n`` flat positions, evenly spread over ``total`` and the same every time.

    They come in runs of 8, as a file gives neighbours together or not at all; all positions
    in one run if there are no more than ``n``.
    """
    if n >= total:
        return [(0, total)]
    count = -(-n // RUN)
    starts = ((np.arange(count) + 0.5) * total / count).astype(int) - RUN // 2
    return [(max(int(start), 0), min(int(start) + RUN, total)) for start in starts]


def float_frames(frames: NDArray[Any], start: int, width: int) -> NDArray[np.float32]:
    """Frames as float32.

    Parameters
    ----------
    frames : (n, qy, qx) array
    start, width : int
        Flat position of the first one and length of a scan row, for the message.

    Raises
    ------
    DataError
        A pattern holds NaN or infinity.
    """
    real: NDArray[np.float32] = np.asarray(frames, np.float32)
    if frames.dtype.kind == "f":
        finite = np.isfinite(real).all((1, 2))
        if not finite.all():
            y, x = divmod(start + int(np.argmin(finite)), width)
            raise DataError(
                f"the pattern at scan position ({y}, {x}) holds NaN or infinity",
                fix="mark such pixels with the transform `bad-pixels` and fill: true, or crop them away",
            )
    return real


def mean_and_variance(
    intensity: xr.DataArray,
    n_sample: int | None = None,
    progress: Callable[[int, int], None] = _ignore_progress,
) -> tuple[Array, Array]:
    """Mean and variance of each detector pixel.

    Parameters
    ----------
    intensity : (scan_y, scan_x, qy, qx) DataArray
    n_sample : int, optional
        Look at about so many evenly spread patterns only.

    Returns
    -------
    mean, variance : (qy, qx) float64
        The variance is that of the population, 0 for one pattern.

    Raises
    ------
    DataError
        A pattern holds NaN or infinity.
    """
    total, width = count_positions(intensity), intensity.sizes["scan_x"]
    if n_sample is None or n_sample >= total:
        length = block_length(intensity)
        spans = [(start, min(start + length, total)) for start in range(0, total, length)]
    else:
        spans = sample_runs(total, n_sample)
    shape = (intensity.sizes["qy"], intensity.sizes["qx"])
    mean, squares, count = np.zeros(shape), np.zeros(shape), 0
    for number, (start, stop) in enumerate(spans):
        frames = float_frames(read_block(intensity, start, stop), start, width)
        # Merging the blocks' means avoids cancellation: Chan et al. (1983), doi:10.1080/00031305.1983.10483115.
        block = frames.mean(0, dtype=np.float64)
        delta, n = block - mean, stop - start
        squares += np.square(frames - block.astype(np.float32)).sum(0, dtype=np.float64) + delta**2 * (
            count * n / (count + n)
        )
        mean += delta * (n / (count + n))
        count += n
        progress(number + 1, len(spans))
    return mean, squares / count

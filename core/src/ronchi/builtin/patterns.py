"""Mean and variance of patterns over all or some of the scan, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.blocks import count_positions, read_block
from ronchi.builtin.filling import bad_mask, fill_bad
from ronchi.errors import DataError

__all__ = ["Statistics", "block_length", "float_frames", "mean_and_variance", "sample_runs", "valid_positions"]

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


def valid_positions(data: xr.Dataset) -> NDArray[np.bool_]:
    """Flat positions (scan_y * scan_x,) that ``valid`` of ``fourd/1`` data allows; all without it."""
    if "valid" in data:
        return data["valid"].values.astype(bool).ravel()
    return np.ones(count_positions(data["intensity"]), bool)


def float_frames(
    frames: NDArray[Any], positions: NDArray[np.int64], width: int, bad: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Frames as float32, with 0 in bad pixels.

    Parameters
    ----------
    frames : (n, qy, qx) array
        Never written to.
    positions : (n,) int
        Flat position of each, for the message.
    width : int
        Length of a scan row.
    bad : (qy, qx) bool
        Pixels that may hold anything.

    Raises
    ------
    DataError
        A pattern holds NaN, infinity or more than float32 can hold in a good pixel.
    """
    with np.errstate(over="ignore"):  # told below, with its place
        real: NDArray[np.float32] = np.asarray(frames, np.float32)
    if bad.any():
        real = np.where(bad, np.float32(0), real)
    if frames.dtype.kind == "f":
        finite = np.isfinite(real).all((1, 2))
        if not finite.all():
            n = int(np.argmin(finite))
            y, x = divmod(int(positions[n]), width)
            row, column = np.argwhere(~np.isfinite(real[n]))[0]
            found = frames[n, row, column]
            held = f"{found:.3g}, more than single precision holds" if np.isfinite(found) else "NaN or infinity"
            raise DataError(
                f"the pattern at scan position ({y}, {x}) holds {held}, first in pixel ({row}, {column})",
                fix="set `valid` to 0 there, or list the pixel in `bad-pixels: {find: false, known: […], fill: true}`",
            )
    return real


class Statistics(NamedTuple):
    """Mean and variance (qy, qx) of each pixel over ``n`` patterns."""

    mean: Array
    variance: Array
    n: int


def mean_and_variance(
    data: xr.Dataset,
    n_sample: int | None = None,
    progress: Callable[[int, int], None] = _ignore_progress,
) -> Statistics:
    """Mean and variance of each detector pixel over the valid patterns.

    Parameters
    ----------
    data : xarray.Dataset
        ``fourd/1``
    n_sample : int, optional
        Look at about so many evenly spread patterns only.

    Returns
    -------
    Statistics
        In float64, at bad pixels those of the neighbours; the variance is that of the
        population, 0 for one pattern.

    Raises
    ------
    DataError
        A valid pattern holds NaN or infinity in a good pixel, every pixel is bad, or no
        pattern is valid.
    """
    intensity, valid, bad = data["intensity"], valid_positions(data), bad_mask(data)
    if bad.all():
        raise DataError("every pixel is bad", where="bad_pixel", fix="check the mask in the data")
    if not valid.any():
        raise DataError("no pattern is valid", where="valid", fix="check the mask in the data")
    total, width = len(valid), intensity.sizes["scan_x"]
    spans = [] if n_sample is None or n_sample >= total else sample_runs(total, n_sample)
    if not any(valid[start:stop].any() for start, stop in spans):
        length = block_length(intensity)
        spans = [(start, min(start + length, total)) for start in range(0, total, length)]
    mean, squares, count = np.zeros(bad.shape), np.zeros(bad.shape), 0
    for number, (start, stop) in enumerate(spans):
        kept = start + np.flatnonzero(valid[start:stop])
        if len(kept):
            read = read_block(intensity, start, stop)
            frames = float_frames(read if len(kept) == len(read) else read[kept - start], kept, width, bad)
            # Merging the blocks' means avoids cancellation: Chan et al. (1983), doi:10.1080/00031305.1983.10483115.
            block = frames.mean(0, dtype=np.float64)
            delta, n = block - mean, len(kept)
            squares += np.square(frames - block.astype(np.float32)).sum(0, dtype=np.float64) + delta**2 * (
                count * n / (count + n)
            )
            mean += delta * (n / (count + n))
            count += n
        progress(number + 1, len(spans))
    return Statistics(fill_bad(mean, bad), fill_bad(squares / count, bad), count)

"""Where the direct beam is in a pattern: centre of mass, or correlation with the probe."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

__all__ = ["direct_beam", "locate_by_com", "locate_by_correlation", "quadratic_peak", "soft_disk"]

Array = NDArray[np.float64]
Frames = NDArray[np.float32]


def soft_disk(half: int, radius: float, edge: float = 0.7) -> Array:
    """(2 half + 1)^2 disk with a soft edge, centred on the middle pixel."""
    offset = np.arange(-half, half + 1)
    distance = np.hypot(offset[:, None], offset)
    disk: Array = 1 / (1 + np.exp(np.clip((distance - radius) / edge, -50, 50)))
    return disk


def direct_beam(pattern: Array, radius: float) -> tuple[float, float]:
    """Centre (y, x) of the direct beam of a mean pattern, in px.

    Diffracted disks can be brighter than the direct beam, but by Friedel's law it is the
    point about which a pattern is most nearly symmetric: the largest value of the pattern
    convolved with itself lies at twice its position. The root of the counts keeps bright
    pairs from outvoting the rest. The centre of mass within the disk then refines it.

    Parameters
    ----------
    pattern : (qy, qx) float64
    radius : float
        Of the disk, in px.
    """
    root = np.sqrt(pattern.clip(0))
    root = (root - np.median(root)).clip(0)
    size = [scipy.fft.next_fast_len(2 * n, real=True) for n in root.shape]
    twice = scipy.fft.irfft2(scipy.fft.rfft2(root, size) ** 2, size)[: 2 * root.shape[0] - 1, : 2 * root.shape[1] - 1]
    y, x = np.unravel_index(np.argmax(twice), twice.shape)
    start = (float(y) / 2, float(x) / 2)
    refined = locate_by_com(pattern[None].astype(np.float32), start, radius, radius)[0]
    return (float(refined[0]), float(refined[1])) if np.isfinite(refined).all() else start


def locate_by_com(frames: Frames, start: tuple[float, float], radius: float, max_shift: float) -> Array:
    """Centre of mass in a round window that follows the beam.

    The window of 1.3 radii is moved to its own centre of mass until it stays. A weight that
    falls off smoothly over one pixel makes the result continuous in the position.

    Parameters
    ----------
    frames : (n, qy, qx) float32
    start : tuple of float
        Row and column to begin at.
    radius, max_shift : float
        Of the disk, and from the start, in px.

    Returns
    -------
    (n, 2) float64
        NaN where the window is empty or has wandered off.
    """
    rows = np.arange(frames.shape[1], dtype=np.float32)[:, None]
    columns = np.arange(frames.shape[2], dtype=np.float32)
    at = np.repeat(np.asarray(start, float)[None], len(frames), 0)
    # A wide window first, to catch a beam that has moved by more than its radius.
    for window in (radius + max_shift, 1.6 * radius, *[1.3 * radius + 0.5] * 12):
        distance = np.hypot(rows - at[:, 0, None, None].astype("f4"), columns - at[:, 1, None, None].astype("f4"))
        weighted = frames * np.clip(window + 0.5 - distance, 0, 1)
        total = weighted.sum((1, 2), dtype=float)
        with np.errstate(invalid="ignore", divide="ignore"):
            moved = np.stack([(weighted * grid).sum((1, 2), dtype=float) / total for grid in (rows, columns)], 1)
        step = np.abs(moved - at).max(initial=0.0, where=np.isfinite(moved))
        at = moved
        if step < 1e-3 and window < 1.5 * radius:
            break
    lost = ~(np.hypot(*(at - start).T) <= max_shift)
    at[lost] = np.nan
    return at


def locate_by_correlation(
    frames: Frames, template: Array, start: tuple[float, float], radius: float, max_shift: float
) -> Array:
    """Peak of the correlation of square roots of counts with the probe in a trench.

    The root makes Poisson noise even, and weighs the edge more against structure inside the
    disk: where intensity changes across the disk, the error is three quarters of that of
    the centre of mass, not none. The peak is refined by a quadratic on 3 x 3 values.

    Parameters
    ----------
    frames : (n, qy, qx) float32
    template : (m, m) float64
        Probe on an odd square, its centre on the middle pixel.
    start, radius, max_shift
        As in `locate_by_com`.

    Returns
    -------
    (n, 2) float64
        NaN where the frame is empty, or where the best lies beyond ``max_shift`` or at the
        border of the frame: a beam that is outside pulls it there.
    """
    template = np.sqrt(template.clip(0))
    kernel = template / template.sum()
    half = len(template) // 2
    offset = np.hypot(*np.meshgrid(*[np.arange(-half, half + 1)] * 2, indexing="ij"))
    # A trench of equal and opposite weight outside the edge turns the overlap of areas into one of edges.
    trench = np.where(offset <= half, 1.0, 0.0) * (1 - template / template.max()).clip(0)
    kernel = kernel - trench / trench.sum()
    size = [scipy.fft.next_fast_len(n + 2 * half, real=True) for n in frames.shape[1:]]
    spectrum = scipy.fft.rfft2(kernel[::-1, ::-1].astype(np.float32), size)
    product = scipy.fft.irfft2(scipy.fft.rfft2(np.sqrt(frames.clip(0)), size) * spectrum, size)
    score = product[:, half : half + frames.shape[1], half : half + frames.shape[2]]
    rows, columns = np.ogrid[: frames.shape[1], : frames.shape[2]]
    # One pixel more than is asked for: a beam further off has its best there, not on the last pixel allowed.
    searched = np.hypot(rows - start[0], columns - start[1]) <= max_shift + 1
    searched[[0, -1]] = False
    searched[:, [0, -1]] = False
    if not searched.any():
        return np.full((len(frames), 2), np.nan)
    best = np.where(searched, score, -np.inf).reshape(len(frames), -1).argmax(1)
    y, x = np.unravel_index(best, frames.shape[1:])
    n = np.arange(len(frames))
    around = score[n[:, None, None], y[:, None, None] + np.arange(-1, 2)[:, None], x[:, None, None] + np.arange(-1, 2)]
    at = np.stack([y, x], 1) + quadratic_peak(around.astype(float))
    on_border = around.max((1, 2)) > around[:, 1, 1]
    lost = (np.hypot(*(at - start).T) > max_shift) | on_border | (frames.max((1, 2)) <= 0)
    at[lost] = np.nan
    return at


def quadratic_peak(values: Array) -> Array:
    """Offset (n, 2) of the top of the least-squares quadratic through (n, 3, 3) values, at most 1 px."""
    d = np.arange(-1.0, 2.0)
    gy, gx = (values * d[:, None]).sum((1, 2)) / 6, (values * d).sum((1, 2)) / 6
    hyy = (values * (d[:, None] ** 2 - 2 / 3)).sum((1, 2))
    hxx = (values * (d**2 - 2 / 3)).sum((1, 2))
    hyx = (values * d[:, None] * d).sum((1, 2)) / 4
    determinant = hyy * hxx - hyx**2
    with np.errstate(invalid="ignore", divide="ignore"):
        offset = np.stack([hyx * gx - hxx * gy, hyx * gy - hyy * gx], 1) / determinant[:, None]
    return np.where((determinant > 0)[:, None] & (np.abs(offset) <= 1), offset, 0.0)

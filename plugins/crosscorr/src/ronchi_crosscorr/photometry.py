"""Counts of a disk above the background around it, from the pattern itself."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import part

__all__ = ["SECTORS", "Aperture", "aperture", "measure", "significance"]

SECTORS = 16
"""Disk and ring are cut into this many sectors, so that those with a bright neighbour stand out.

Between disks that all but touch, wider sectors would each hold a piece of a neighbour."""
_JOINED = 2
"""Sectors judged together when the light must be even: one of them holds few counts."""
_FEW = 6.0
"""Electrons that what is known of the background elsewhere counts for, beside those in the ring."""
_LEAST_EXPECTED = 0.05
"""Electrons expected in a disk without any background: a lone count is none."""


class Aperture(NamedTuple):
    """Pixels of the disk and of the ring around it: the disk's sectors, then the ring's.

    Parameters
    ----------
    dy, dx : (n,) int64 arrays
        Offsets from the central pixel.
    flat : (n,) int64 array
        The same in a flattened grid.
    start : (2 * SECTORS + 1,) int64 array
        Where each sector begins.
    reach : int
        Largest offset along an axis.
    """

    dy: NDArray[np.int64]
    dx: NDArray[np.int64]
    flat: NDArray[np.int64]
    start: NDArray[np.int64]
    reach: int


def aperture(radius_px: float, edge_px: float, stride: int) -> Aperture:
    """Make the aperture of disks of a radius (px of the grid), for grids of rows of ``stride`` pixels.

    The disk's aperture is wider than the disk by half a pixel and its edge, because it is
    centred on a pixel; the ring stays close, because other disks may be near.
    """
    inner = radius_px + max(0.5, 1.5 * edge_px)
    ring0, ring1 = inner + 0.75, inner + max(2.5, 0.5 * radius_px)
    reach = int(np.ceil(ring1))
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    rho = np.hypot(dy, dx)
    sector = np.floor(np.arctan2(dy, dx) / (2 * np.pi) * SECTORS).astype(np.int64) % SECTORS
    label = np.where(rho <= inner, sector, np.where((rho >= ring0) & (rho <= ring1), SECTORS + sector, 2 * SECTORS))
    order = np.argsort(label, axis=None, kind="stable")
    start = np.searchsorted(label.ravel()[order], np.arange(2 * SECTORS + 1))
    order = order[: start[-1]]
    y, x = dy.ravel()[order].astype(np.int64), dx.ravel()[order].astype(np.int64)
    return Aperture(y, x, y * stride + x, start.astype(np.int64), reach)


@part(allocates=False, fastmath={"reassoc", "contract"})
def _collect(
    image: NDArray[np.float32],
    height: int,
    width: int,
    y: int,
    x: int,
    ap: Aperture,
    pixels: NDArray[np.float32],
    mean: NDArray[np.float32],
    square: NDArray[np.float32],
    number: NDArray[np.int64],
) -> None:
    """Mean value, mean square and number of the pixels of each sector that lie in the frame."""
    inside = ap.reach <= y < height - ap.reach and ap.reach <= x < width - ap.reach
    if inside:
        flat, base = image.reshape(image.size), y * image.shape[1] + x
        for i in range(len(ap.flat)):
            pixels[i] = flat[np.uint64(base + ap.flat[i])]
    stop = 0
    for s in range(2 * SECTORS):
        start = ap.start[s]
        stop = ap.start[s + 1]
        if not inside:
            n = start
            for i in range(start, stop):
                yy, xx = y + ap.dy[i], x + ap.dx[i]
                if 0 <= yy < height and 0 <= xx < width:
                    pixels[n] = image[yy, xx]
                    n += 1
            stop = n
        total, squares = np.float32(0), np.float32(0)
        for i in range(start, stop):
            total += pixels[np.uint64(i)]
            squares += pixels[np.uint64(i)] * pixels[np.uint64(i)]
        n = stop - start
        number[s] = n
        mean[s] = total / np.float32(max(n, 1))
        square[s] = squares / np.float32(max(n, 1))


@part(allocates=False)
def _three_lowest(low0: float, low1: float, low2: float, value: float) -> tuple[float, float, float]:
    """Keep the three lowest values seen, in order, without branches."""
    rest = max(low0, value)
    return min(low0, value), min(low1, rest), min(low2, max(low1, rest))


@part(allocates=False)
def _clean_background(
    mean: NDArray[np.float32], square: NDArray[np.float32], number: NDArray[np.int64], gain: float
) -> tuple[float, float, int]:
    """Mean and variance of a pixel of the ring, and their number, over the sectors without a neighbour.

    A neighbour only adds counts: the third darkest sector is clean, and what lies within its noise is, too.
    The median would do as well, but lies below the mean for few counts.
    """
    level0, level1, level2 = np.inf, np.inf, np.inf
    variance0, variance1, variance2 = np.inf, np.inf, np.inf
    sectors, pixels = 0, 0
    for s in range(SECTORS, 2 * SECTORS):
        if number[s] > 1:
            level0, level1, level2 = _three_lowest(level0, level1, level2, mean[s])
            here = square[s] - mean[s] * mean[s]
            variance0, variance1, variance2 = _three_lowest(variance0, variance1, variance2, here)
            pixels += number[s]
            sectors += 1
    if sectors == 0:
        return 0.0, gain, 1
    per_sector = pixels / sectors
    level, variance, sigmas = (level2, variance2, 4.0) if sectors > 2 else (level0, variance0, 5.0)
    for _ in range(2):
        limit = level + sigmas * np.sqrt(max(gain * level, variance, gain / per_sector) / per_sector)
        total, squares, pixels, used = 0.0, 0.0, 0, 0
        for s in range(SECTORS, 2 * SECTORS):
            n = number[s] if mean[s] <= limit and number[s] > 1 else 0
            total += mean[s] * n
            squares += (square[s] - mean[s] * mean[s]) * n
            pixels += n
            used += 1 if n > 0 else 0
        level, variance, sigmas = total / pixels, squares / (pixels - used), 3.0
    return level, variance, pixels


@part(allocates=False)
def measure(
    image: NDArray[np.float32],
    height: int,
    width: int,
    y: int,
    x: int,
    ap: Aperture,
    gain: float,
    known_background: float,
    scratch: NDArray[np.float32],
    number: NDArray[np.int64],
) -> tuple[float, float, float, float, float, float]:
    """Photometry of a disk centred on a pixel.

    Parameters
    ----------
    image : (my, mx) float32 array
    height, width : int
        Its used part.
    gain : float
        Variance of a pixel over its value.
    known_background : float
        Mean of a pixel of the background elsewhere in the pattern: where few counts are, the ring alone has none.
    scratch : (3, >= 2 * SECTORS and number of pixels) float32 array
    number : (2 * SECTORS,) int64 array
        Scratch.

    Returns
    -------
    intensity : float
        Sum above background.
    pixel_variance : float
        Variance of a pixel of the background.
    snr : float
        Intensity over its standard deviation.
    significance : float
        Standard deviations of the background alone that would make so many counts; see `significance`.
    evenness : float
        Share of the eighths at least 0.4 times as bright as the mean, over what counting leaves of a disk's: about 1
        for a disk, less for a neighbour's sliver.
    background : float
        Mean of a pixel of the ring.
    """
    mean, square = scratch[1], scratch[2]
    _collect(image, height, width, y, x, ap, scratch[0], mean, square, number)
    background, spread, n_used = _clean_background(mean, square, number, gain)
    # Counting is not the only noise: a dark-subtracted background near zero still has the readout's.
    pixel_variance = max(gain * background, spread)
    total_disk, n_disk = 0.0, 0
    for s in range(SECTORS):
        total_disk += mean[s] * number[s]
        n_disk += number[s]
    intensity = total_disk - background * n_disk
    lit, parts, dim = 0, 0, background + 0.4 * intensity / max(n_disk, 1)
    for first in range(0, SECTORS, _JOINED):
        total, n = 0.0, 0
        for s in range(first, first + _JOINED):
            total += mean[s] * number[s]
            n += number[s]
        parts += 1 if n > 0 else 0
        lit += 1 if total > dim * n else 0
    evenness = lit / max(parts, 1)
    variance = gain * max(intensity, 0.0) + pixel_variance * n_disk * (1 + n_disk / max(n_used, 1))
    snr = intensity / np.sqrt(max(variance, 1e-20 + 1e-12 * total_disk * total_disk))
    if not gain > 0:
        return intensity, pixel_variance, snr, snr, evenness, background
    ring = pixel_variance * n_disk / gain**2
    # A ring of few counts says little, but an empty one where many were to be expected says that there are few here:
    # the mean of a Gamma distribution after the ring was seen. Brighter than elsewhere is as bright as it is.
    seen_px = _FEW * gain / max(known_background, 1e-6 * gain)
    both = (_FEW * n_disk + ring * n_used) / (seen_px + n_used)
    expected = max(ring, both, _LEAST_EXPECTED)
    excess = intensity / gain - (expected - ring)
    evenness /= -np.expm1(-max(excess, 1e-6) / (SECTORS / _JOINED))
    sigmas = significance(excess, expected, n_disk / max(n_used, 1))
    return intensity, pixel_variance, snr, sigmas, evenness, background


@part(allocates=False)
def significance(excess: float, expected: float, uncertainty: float) -> float:
    """Root of twice the log-likelihood ratio of counts over those expected of the background.

    For many counts it is the excess over the standard deviation of the background. For few, the Poisson distribution's
    tail counts: 8 electrons where 0.5 are expected stand out by 5.4. Cash, Astrophys. J. 228, 939 (1979),
    doi:10.1086/156922.

    Parameters
    ----------
    excess, expected : float
        In electrons.
    uncertainty : float
        Variance of what is expected over its own: 0 for a known background, as many pixels in the disk as in the ring
        for 1.
    """
    total = excess + expected
    if excess <= 0:
        return excess / np.sqrt(expected)
    # Where the excess is a small part the logarithm's first terms cancel.
    small = excess < 1e-3 * expected
    deviance = excess**2 / expected if small else 2 * (total * np.log(total / expected) - excess)
    return np.sqrt(deviance / (1 + uncertainty * expected / total))

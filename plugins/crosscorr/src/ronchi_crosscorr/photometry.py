"""Counts of a disk above the background around it, from the pattern itself."""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

__all__ = ["SECTORS", "Aperture", "aperture", "measure"]

SECTORS = 8
"""Disk and ring are cut into this many sectors; so that those with a bright neighbour stand out."""


class Aperture(NamedTuple):
    """Pixels of the disk and of the ring around it, sector after sector.

    Parameters
    ----------
    disk_y, disk_x, ring_y, ring_x : int32 arrays
        Offsets from the central pixel.
    disk_start, ring_start : (SECTORS + 1,) int32 arrays
        Where each sector begins.
    reach : int
        Largest offset along an axis.
    """

    disk_y: NDArray[np.int32]
    disk_x: NDArray[np.int32]
    disk_start: NDArray[np.int32]
    ring_y: NDArray[np.int32]
    ring_x: NDArray[np.int32]
    ring_start: NDArray[np.int32]
    reach: int


def aperture(radius_px: float, edge_px: float) -> Aperture:
    """Make the aperture of disks of a radius (px of the grid).

    The disk's aperture is wider than the disk by half a pixel and its edge, because it is
    centred on a pixel; the ring stays close, because other disks may be near.
    """
    inner = radius_px + max(0.5, 1.5 * edge_px)
    ring0, ring1 = inner + 0.75, inner + max(2.5, 0.5 * radius_px)
    reach = int(np.ceil(ring1))
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    rho = np.hypot(dy, dx)
    sector = np.floor((np.arctan2(dy, dx) / (2 * np.pi) % 1) * SECTORS).astype(int) % SECTORS
    parts = []
    for mask in (rho <= inner, (rho >= ring0) & (rho <= ring1)):
        order = np.argsort(sector[mask], kind="stable")
        starts = np.searchsorted(sector[mask][order], np.arange(SECTORS + 1))
        parts += [dy[mask][order].astype(np.int32), dx[mask][order].astype(np.int32), starts.astype(np.int32)]
    return Aperture(*parts, reach)


@nb.njit(cache=True)
def _sort(values: NDArray[np.float32], n: int) -> None:
    """Sort the first ``n`` values in place; by insertion, because they are few."""
    for i in range(1, n):
        value, j = values[i], i - 1
        while j >= 0 and values[j] > value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value


@nb.njit(cache=True)
def _middle(values: NDArray[np.float32], n: int) -> float:
    """Median of ``n`` sorted values, 0 if there are none."""
    return 0.5 * (values[(n - 1) // 2] + values[n // 2]) if n > 0 else 0.0


@nb.njit(cache=True)
def measure(
    image: NDArray[np.float32],
    height: int,
    width: int,
    y: int,
    x: int,
    ap: Aperture,
    gain: float,
    scratch: NDArray[np.float32],
) -> tuple[float, float, float, float]:
    """Photometry of a disk centred on a pixel.

    Parameters
    ----------
    image : (my, mx) float32 array
    height, width : int
        Its used part.
    gain : float
        Variance of a pixel over its value.
    scratch : (2, SECTORS) float32 array

    Returns
    -------
    intensity : float
        Sum above background.
    pixel_variance : float
        Variance of a pixel of the background.
    snr : float
        Intensity over its standard deviation.
    evenness : float
        Median of the sectors' intensity over their mean: 1 for a disk, 0 for a sliver of a neighbour.
    """
    # Sectors that hold a neighbour stand out from the median; the mean of the others is the background, because
    # a median of few counts lies below their mean.
    n_ring, n_sectors = 0, 0
    full = ap.reach <= y < height - ap.reach and ap.reach <= x < width - ap.reach
    for s in range(SECTORS):
        total, squares, n = np.float32(0), np.float32(0), 0
        for i in range(ap.ring_start[s], ap.ring_start[s + 1]):
            yy, xx = y + ap.ring_y[i], x + ap.ring_x[i]
            if full or (0 <= yy < height and 0 <= xx < width):
                value = image[yy, xx]
                total += value
                squares += value * value
                n += 1
        if n > 1:
            mean = total / np.float32(n)
            scratch[0, n_sectors] = mean
            scratch[1, n_sectors] = (squares - total * mean) / np.float32(n - 1)
            n_sectors += 1
            n_ring += n
    _sort(scratch[0], n_sectors)
    _sort(scratch[1], n_sectors)
    background, spread = _middle(scratch[0], n_sectors), _middle(scratch[1], n_sectors)
    per_sector = max(n_ring, 1) / max(n_sectors, 1)
    limit = background + 3 * np.sqrt(max(gain * background, spread, gain / per_sector) / per_sector)
    total_ring, n_used = 0.0, 0
    for s in range(n_sectors):
        if scratch[0, s] <= limit:
            total_ring += scratch[0, s]
            n_used += 1
    background = total_ring / max(n_used, 1)
    # Counting is not the only noise: a dark-subtracted background near zero still has the readout's.
    pixel_variance = max(gain * background, spread)
    total_disk, n_disk, n_sectors = 0.0, 0, 0
    for s in range(SECTORS):
        total, n = np.float32(0), 0
        for i in range(ap.disk_start[s], ap.disk_start[s + 1]):
            yy, xx = y + ap.disk_y[i], x + ap.disk_x[i]
            if full or (0 <= yy < height and 0 <= xx < width):
                total += image[yy, xx]
                n += 1
        if n > 0:
            scratch[0, n_sectors] = total / np.float32(n)
            n_sectors += 1
            total_disk += total
            n_disk += n
    intensity = total_disk - background * n_disk
    _sort(scratch[0], n_sectors)
    even = _middle(scratch[0], n_sectors) - background
    evenness = even * n_disk / intensity if intensity > 0 else 0.0
    variance = gain * max(intensity, 0.0) + pixel_variance * n_disk * (1 + n_disk / max(n_used * per_sector, 1.0))
    snr = intensity / np.sqrt(max(variance, 1e-20 + 1e-12 * total_disk * total_disk))
    return intensity, pixel_variance, snr, evenness

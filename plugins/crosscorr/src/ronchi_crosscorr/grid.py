"""The grid that is searched: the pattern, summed over blocks of pixels where its disks are large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.compiled import njit

__all__ = ["Grid", "bin_kernel", "fast_size", "fill_grid"]

SEARCH_RADIUS_PX = 4.0
"""Larger disks are summed down to about this radius: the search needs no more, and the fit sees all pixels."""


@dataclass(frozen=True)
class Grid:
    """Relation between the pixels of a frame and those of the searched grid.

    Parameters
    ----------
    frame : tuple of int
        ``(qy, qx)`` of a pattern.
    binning : int
        Pixels summed along each axis.
    used : tuple of int
        Rows and columns of the grid that hold data. What fills no block at the frame's end is left out: a block of
        fewer pixels would be darker, and the brim of it a disk.
    padded : tuple of int
        Its size for the Fourier transform; what is beyond ``used`` is zero.
    """

    frame: tuple[int, int]
    binning: int
    used: tuple[int, int]
    padded: tuple[int, int]

    @classmethod
    def make(cls, frame: tuple[int, int], radius_px: float, margin_px: float = 0.0) -> Grid:
        """Choose the grid for disks of a radius, with room for a margin (both in px of the frame).

        The margin keeps the circular correlation from reaching across the frame's edge.
        """
        binning = max(1, int(radius_px / SEARCH_RADIUS_PX))
        used = (frame[0] // binning, frame[1] // binning)
        margin = int(np.ceil(margin_px / binning))
        return cls(frame, binning, used, (fast_size(used[0] + margin), fast_size(used[1] + margin)))

    @property
    def last(self) -> tuple[float, float]:
        """Row and column at the frame's end, were the last blocks whole."""
        return self.frame[0] / self.binning - 1, self.frame[1] / self.binning - 1

    def to_frame(self, index: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixel of the frame, from the index on the grid."""
        return index * self.binning + (self.binning - 1) / 2


def fast_size(n: int) -> int:
    """Smallest even number from ``n`` up with no prime factor above 5: a fast size for the Fourier transform."""
    size = n + n % 2
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 2


def fill_grid(frames: NDArray[Any], grid: Grid, raw: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Put patterns on the grid.

    Parameters
    ----------
    frames : (n, qy, qx) array of any real dtype
    raw : (n, qy, qx) float32 array
        Scratch, used where the grid is binned: compiled code for one type serves all.
    out : (n, *grid.padded) float32 array
        Only its used part is written.
    """
    if grid.binning == 1:
        np.copyto(out[:, : grid.used[0], : grid.used[1]], frames, casting="unsafe")
        return
    np.copyto(raw, frames, casting="unsafe")
    _sum_blocks(raw, grid.binning, out)


def bin_kernel(kernel: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """Sum a template over the grid's blocks, the template's centre kept on a pixel of the padded grid."""
    from scipy import ndimage

    k = grid.binning
    rows, columns = grid.padded
    fine = np.zeros((rows * k, columns * k))
    height, width = min(kernel.shape[0], rows * k), min(kernel.shape[1], columns * k)
    cy, cx = kernel.shape[0] // 2 - height // 2, kernel.shape[1] // 2 - width // 2
    y0, x0 = rows // 2 * k - height // 2, columns // 2 * k - width // 2
    fine[y0 : y0 + height, x0 : x0 + width] = kernel[cy : cy + height, cx : cx + width]
    if k > 1:
        # The centre of a block of k pixels lies (k - 1) / 2 beyond its first one.
        shifted = ndimage.fourier_shift(np.fft.fft2(fine), (k - 1) / 2)
        fine = np.fft.ifft2(shifted).real.reshape(rows, k, columns, k).sum((1, 3))
    return np.asarray(fine)


@njit(fastmath={"reassoc", "contract"})
def _sum_blocks(frames: NDArray[np.float32], binning: int, out: NDArray[np.float32]) -> None:
    n, height, width = frames.shape
    row = np.empty(width, np.float32)
    for i in range(n):
        for block in range(height // binning):
            y0 = block * binning
            for x in range(width):
                row[x] = frames[i, y0, x]
            for y in range(y0 + 1, y0 + binning):
                for x in range(width):
                    row[x] += frames[i, y, x]
            target = out[i, block]
            if binning == 2:
                for x in range(width // 2):
                    target[x] = row[2 * x] + row[2 * x + 1]
                continue
            for column in range(width // binning):
                total = np.float32(0)
                for x in range(column * binning, (column + 1) * binning):
                    total += row[x]
                target[column] = total

"""The disk of a probe that gaps of the detector hide in part: fitted to the pixels that see it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["SeenDisk", "fit_seen", "hides_a_part", "hides_light"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_LITTLE = 0.1
"""Part of a disk up to which its neighbours tell what bad pixels hide."""
_MOST_HIDDEN = 0.9
"""Part of the disk's area from which on the rest does not tell where it is."""
_EXPLAINED = 0.9
"""Least part of the variance around the rim that a round disk explains: 0.99 of one, 0.6 of a speckle of noise."""


class SeenDisk(NamedTuple):
    """A round disk ``background + height / (1 + exp((rho - radius) / edge))``; lengths in px."""

    centre: tuple[float, float]
    radius: float
    edge: float
    height: float
    background: float

    def at(self, rho: Array) -> Array:
        """Intensity at distances from the centre."""
        fall: Array = 1 + np.exp(np.clip((rho - self.radius) / self.edge, -50, 50))
        return self.background + self.height / fall

    def distance(self, shape: tuple[int, ...]) -> Array:
        """(qy, qx) distance of the pixels from the centre."""
        rows, columns = np.ogrid[: shape[0], : shape[1]]
        rho: Array = np.hypot(rows - self.centre[0], columns - self.centre[1])
        return rho

    @property
    def reach(self) -> float:
        """Distance at which nothing of the disk is left."""
        return 1.6 * self.radius + 2


def hides_light(image: Array, filled: Array, bad: Mask, times: float) -> bool:
    """Whether it is ``times`` as bright under a mask as it gets with that filled: recorded where nothing was hidden."""
    # A hot pixel is no light: the median of nine leaves it out.
    lit = ndimage.median_filter(np.where(np.isfinite(image), image, 0), 3, mode="nearest")
    floor = float(np.median(filled))
    return bool(lit[bad].max() - floor > times * (filled.max() - floor))


def hides_a_part(bad: Mask, disk: SeenDisk) -> bool:
    """Whether bad pixels hide more of a disk than their neighbours tell."""
    return bool(bad[disk.distance(bad.shape) < disk.radius + 2 * disk.edge].mean() > _LITTLE)


def fit_seen(image: NDArray[Any], bad: Mask, first: SeenDisk) -> SeenDisk | None:
    """Fit a disk to good pixels.

    Parameters
    ----------
    image : (qy, qx) array
        What it holds in bad pixels does not count.
    bad : (qy, qx) bool
    first : SeenDisk
        Where to begin, from an image with filled gaps: good to a few pixels.

    Returns
    -------
    SeenDisk or None
        None if too little of the disk is seen, or it is not round.
    """
    from scipy.optimize import least_squares

    disk = first
    # A gap through the disk may have cut the first one off: what lies around the better one counts as well.
    for _ in range(2):
        near = ~bad & (disk.distance(bad.shape) < disk.reach)
        rows, columns = np.nonzero(near)
        values = image[near].astype(np.float64) / disk.height
        if len(values) < 12:
            return None

        def misfit(p: Array, y: Any = rows, x: Any = columns, seen: Array = values) -> Array:
            there = SeenDisk((p[0], p[1]), p[2], p[3], p[4], p[5])
            return there.at(np.hypot(y - p[0], x - p[1])) - seen

        y, x = disk.centre
        start = np.array([y, x, disk.radius, disk.edge, 1.0, disk.background / disk.height])
        play = 0.5 * disk.radius + 2
        lowest = [y - play, x - play, 0.5 * disk.radius, 0.05, 0.3, start[5] - 0.5]
        highest = [y + play, x + play, 2 * disk.radius + 1, disk.radius + 0.5, 3.0, start[5] + 0.5]
        found = least_squares(misfit, np.clip(start, lowest, highest), bounds=(lowest, highest))
        unexplained = 2 * found.cost / max(float(((values - values.mean()) ** 2).sum()), 1e-300)
        y, x, radius, edge, height, background = (float(number) for number in found.x)
        disk = SeenDisk((y, x), radius, edge, height * disk.height, background * disk.height)
    within = disk.distance(bad.shape) < disk.radius
    hidden = float(bad[within].mean()) if within.any() else 1.0
    return disk if hidden < _MOST_HIDDEN and unexplained < 1 - _EXPLAINED else None

"""The mean radial gradient across a circle, as a sum over pixels that can be differentiated by the circle's centre.

With the distance ``r`` of a pixel from the centre, ``u = r - R`` and ``E = exp(-u^2 / 2 w^2)``, the gradient of the
angular mean of the intensity, inwards and smoothed over ``w`` across the rim, is the sum of the counts times
``k(r) = -(u + c) E``. The constant ``c`` makes the sum of ``k`` over the plane zero: an even background has none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rim", "Ring", "ascend"]

Array = NDArray[np.float64]

_MOST_SECTORS = 32
"""Parts of the rim, each of which gives a gradient of its own; a disk has one all around."""
_LEAST_PIXELS = 6
"""Of a sector, on average."""
_REACH = 3.5
"""The weights are left out where they are below a thousandth: this many widths from the rim."""
_STEPS = 6
_LONGEST_STEP_PX = 0.5


@dataclass(frozen=True)
class Rim:
    """Weights ``k`` of the pixels around a circle.

    Parameters
    ----------
    radius_px : float
    width_px : float
        Standard deviation ``w`` of the smoothing across the rim.
    """

    radius_px: float
    width_px: float

    @property
    def reach_px(self) -> float:
        """Distance from the centre at which the weights end."""
        return self.radius_px + _REACH * self.width_px

    @cached_property
    def offset_px(self) -> float:
        """The constant ``c``."""
        r = np.linspace(0, self.radius_px + 8 * self.width_px, 4000)
        envelope = np.exp(-0.5 * ((r - self.radius_px) / self.width_px) ** 2) * r
        return float(((self.radius_px - r) * envelope).sum() / envelope.sum())

    def weights(self, r: Array) -> Array:
        """``k`` at distances ``r`` from the centre, in px."""
        u = r - self.radius_px
        return np.asarray(-(u + self.offset_px) * np.exp(-0.5 * (u / self.width_px) ** 2))

    def slopes(self, r: Array) -> tuple[Array, Array]:
        """First and second derivative of ``k`` by the distance."""
        u, c, w2 = r - self.radius_px, self.offset_px, self.width_px**2
        envelope = np.exp(-0.5 * u**2 / w2)
        return envelope * (u * (u + c) / w2 - 1), envelope * ((3 * u + c) / w2 - u**2 * (u + c) / w2**2)


class Ring:
    """The pixels around a circle that is centred on a pixel, sector after sector.

    Attributes
    ----------
    dy, dx : (m,) int64 arrays
        Offsets from the central pixel; a pixel wider on both sides than the weights reach.
    half : int
        Largest offset along an axis.
    """

    def __init__(self, rim: Rim) -> None:
        self.half = math.ceil(rim.reach_px) + 1
        dy, dx = np.mgrid[-self.half : self.half + 1, -self.half : self.half + 1]
        inside = np.abs(np.hypot(dy, dx) - rim.radius_px) <= _REACH * rim.width_px + 1
        n_sectors = min(_MOST_SECTORS, np.count_nonzero(inside) // _LEAST_PIXELS)
        turn = np.arctan2(dy, dx)[inside] / (2 * np.pi) % 1
        sector = np.minimum((turn * n_sectors).astype(np.int64), n_sectors - 1)
        order = np.argsort(sector, kind="stable")
        self.dy, self.dx = dy[inside][order], dx[inside][order]
        _, self._first, sizes = np.unique(sector[order], return_index=True, return_counts=True)
        # Sectors cut the pixels unevenly: each has weights of its own sum zero, so that a background adds no scatter.
        u = np.hypot(self.dy, self.dx) - rim.radius_px
        envelope = np.exp(-0.5 * (u / rim.width_px) ** 2)
        offset = np.add.reduceat(-u * envelope, self._first) / np.add.reduceat(envelope, self._first)
        self._weights = (-(u + np.repeat(offset, sizes)) * envelope).astype(np.float32)

    def significance(self, pixels: NDArray[np.float32]) -> Array:
        """Mean gradient of the sectors over its standard error.

        Parameters
        ----------
        pixels : (peaks, m) float32 array
            Counts of the ring's pixels.

        Returns
        -------
        (peaks,) float64 array
            Without unit, and free of the detector's gain. Light on one side alone gives 1, a rim all around much more.
        """
        sectors = np.add.reduceat(pixels * self._weights, self._first, axis=1).astype(np.float64)
        scatter = sectors.std(axis=1, ddof=1) / math.sqrt(sectors.shape[1])
        tiny = 1e-5 * np.abs(pixels).max(axis=1, initial=0) + np.finfo(np.float64).tiny
        return np.asarray(sectors.mean(axis=1) / np.maximum(scatter, tiny))


def ascend(rim: Rim, ring: Ring, pixels: NDArray[np.float32], start: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Move centres to where the gradient across the rim is greatest, by Newton steps.

    Parameters
    ----------
    pixels : (peaks, m) float32 array
        Counts around the central pixel of each.
    start : (peaks, 2) float64 array
        Centre (y, x) relative to that pixel, in px.

    Returns
    -------
    centre : (peaks, 2) float64 array
        Relative to the central pixel, in px.
    covariance : (peaks, 2, 2) float64 array
        That of counts with the variance of their number, in px^2.
    found : (peaks,) bool array
        Whether there is a maximum within a pixel of the start.
    """
    centre = start.copy()
    for _ in range(_STEPS):
        slope, curvature, _ = _derivatives(rim, ring, pixels, centre)
        inverse, down = _inverse(curvature)
        step = -np.einsum("pij,pj->pi", inverse, slope)
        longest = np.abs(step).max(axis=1, initial=0, keepdims=True)
        centre += np.where(down[:, None], step * np.minimum(1, _LONGEST_STEP_PX / np.maximum(longest, 1e-12)), 0)
    slope, curvature, noise = _derivatives(rim, ring, pixels, centre)
    inverse, down = _inverse(curvature)
    found = down & (np.abs(centre - start).max(axis=1, initial=0) <= 1)
    return centre, inverse @ noise @ inverse, found


def _derivatives(rim: Rim, ring: Ring, pixels: NDArray[np.float32], centre: Array) -> tuple[Array, Array, Array]:
    """Slope and curvature of the gradient by the centre, and the covariance that shot noise gives the slope."""
    dy, dx = ring.dy - centre[:, :1], ring.dx - centre[:, 1:]
    r = np.maximum(np.hypot(dy, dx), 1e-6)
    first, second = rim.slopes(r)
    ny, nx = dy / r, dx / r
    slope = np.stack([-(pixels * first * n).sum(axis=1) for n in (ny, nx)], axis=1)
    radial, around = pixels * second, pixels * first / r
    shot = np.maximum(pixels, 0) * first**2
    pairs = ((ny * ny, 1), (ny * nx, 0), (nx * nx, 1))
    curvature = [(radial * nn + around * (same - nn)).sum(axis=1) for nn, same in pairs]
    return slope, _symmetric(*curvature), _symmetric(*((shot * nn).sum(axis=1) for nn, _ in pairs))


def _symmetric(yy: Array, yx: Array, xx: Array) -> Array:
    return np.stack([np.stack([yy, yx], axis=1), np.stack([yx, xx], axis=1)], axis=1)


def _inverse(curvature: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Inverses of the curvatures (peaks, 2, 2) that are those of a maximum, and which are."""
    trace = curvature[:, 0, 0] + curvature[:, 1, 1]
    determinant = curvature[:, 0, 0] * curvature[:, 1, 1] - curvature[:, 0, 1] ** 2
    down = (trace < 0) & (determinant > 1e-12 * trace**2)
    adjugate = _symmetric(curvature[:, 1, 1], -curvature[:, 0, 1], curvature[:, 0, 0])
    return adjugate / np.where(down, determinant, np.inf)[:, None, None], down

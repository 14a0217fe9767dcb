"""Shapes on the detector: disk, ring, point and rectangle as masks, with sharp or smooth edges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.errors import DataError

__all__ = ["annulus_mask", "disk_mask", "point_mask", "rectangle_mask"]

Axis = NDArray[np.float64]
Mask = NDArray[Any]
Pair = tuple[float, float]


def disk_mask(qy: Axis, qx: Axis, center: Pair, radius: float, *, antialias: bool = False) -> Mask:
    """Disk over a detector.

    Parameters
    ----------
    qy, qx : (ny,), (nx,) float
        Coordinates of rows and columns, evenly spaced; ``center`` and ``radius`` are in their units.
    antialias : bool
        Pixels on the edge count in part: a ramp one pixel wide along the radius.

    Returns
    -------
    (ny, nx) bool, or float64 if ``antialias``
        Without, the pixels with their centre at less than the radius.
    """
    y, x = qy[:, None] - center[0], qx[None, :] - center[1]
    distance = np.hypot(y, x)
    if not antialias:
        inside: Mask = distance < radius
        return inside
    # Width of a pixel along the radius; it depends on the direction where the steps differ.
    with np.errstate(invalid="ignore"):
        width = np.hypot(_step(qy) * y, _step(qx) * x) / distance
    width = np.where(distance > 0, width, math.sqrt(_step(qy) * _step(qx)))
    cover: Mask = np.clip((radius - distance) / width + 0.5, 0.0, 1.0)
    return cover


def annulus_mask(
    qy: Axis, qx: Axis, center: Pair, inner: float, outer: float = math.inf, *, antialias: bool = False
) -> Mask:
    """Ring from ``inner`` (included) to ``outer`` (not included); else as `disk_mask`."""
    hole = disk_mask(qy, qx, center, inner, antialias=antialias)
    whole = disk_mask(qy, qx, center, outer, antialias=antialias) if math.isfinite(outer) else np.ones_like(hole)
    ring: Mask = whole - hole if antialias else whole & ~hole
    return ring


def point_mask(qy: Axis, qx: Axis, center: Pair) -> Mask:
    """Mark the pixel nearest to ``center``.

    Raises
    ------
    DataError
        It lies more than half a pixel outside the detector.
    """
    mask = np.zeros((len(qy), len(qx)), bool)
    at: list[int] = []
    for axis, value, name in ((qy, center[0], "y"), (qx, center[1], "x")):
        nearest = int(np.argmin(np.abs(axis - value)))
        if abs(axis[nearest] - value) > 0.5001 * _step(axis):
            raise DataError(f"the point lies outside the detector along {name}", where=f"center {center}")
        at.append(nearest)
    mask[at[0], at[1]] = True
    return mask


def rectangle_mask(qy: Axis, qx: Axis, center: Pair, size: Pair, *, antialias: bool = False) -> Mask:
    """Rectangle of height and width ``size``; lower edges included, else as `disk_mask`."""
    sides: list[Mask] = []
    for axis, middle, length in zip((qy, qx), center, size, strict=True):
        low, high = middle - length / 2, middle + length / 2
        if antialias:
            half = _step(axis) / 2
            overlap = np.minimum(axis + half, high) - np.maximum(axis - half, low)
            sides.append(np.clip(overlap / (2 * half), 0.0, 1.0))
        else:
            sides.append((axis >= low) & (axis < high))
    mask: Mask = sides[0][:, None] * sides[1][None, :]
    return mask


def _step(axis: Axis) -> float:
    return float(axis[-1] - axis[0]) / (len(axis) - 1) if len(axis) > 1 else 1.0

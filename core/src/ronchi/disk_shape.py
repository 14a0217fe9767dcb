"""Radius, edge and place of the brightest disk of an image, or of its bullseye."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ronchi.api import DataError

__all__ = ["ProbeShape", "centroid", "offsets_px", "shape_of"]

Array = NDArray[np.float64]

_SECTORS = 72
_LEAST_PX = 7.0
"""Two rings of 1.2 px need a radius of so much."""
_LARGER = 1.2
"""A bullseye is at least so much larger than that part of it which is taken for a disk."""
_BRIGHT = (0.25, 0.85)
"""Part of a bullseye's area that is bright: about half."""
_RINGS = 0.6
"""Least part of the variance within a bullseye that rings explain: some 0.85 beside spokes, 0.4 in a field of disks."""


@dataclass(frozen=True)
class ProbeShape:
    """Size and place of the probe's disk.

    Parameters
    ----------
    radius_px : float
        Where the intensity falls to half of the plateau, as the radius of the circle of that area; of a bullseye, into
        whose aperture rings and spokes are put, its outer rim.
    edge_px : float
        Scale ``a`` of the edge, ``1 / (1 + exp((rho - radius) / a))``.
    centre_px : tuple of float
        ``(y, x)`` of the disk's centroid.
    """

    radius_px: float
    edge_px: float
    centre_px: tuple[float, float]


def shape_of(image: Array) -> ProbeShape:
    """Shape of the brightest disk of an image (qy, qx), all of whose pixels are believed.

    Raises
    ------
    DataError
        There is no disk: the image is constant or not finite, or the disk covers half of it.
    """
    if not np.isfinite(image).all():
        raise DataError(
            "the probe or the mean pattern holds NaN or infinity",
            fix="mark the pixels in `bad_pixel`, or record the probe again",
        )
    brightest = np.abs(image).max()
    image = image - np.median(image)
    # The median of nine leaves a disk of two pixels, and no hot pixel.
    smooth = ndimage.median_filter(image, 3, mode="nearest")
    top = smooth.max()
    if top <= 1e-9 * max(brightest, 1e-300):
        raise DataError(
            "no disk stands out of the probe or the mean pattern: it is constant, or the disk fills half of it",
            fix="give a probe over vacuum without `probe_radius_px`, or `probe_radius_px` without a probe",
        )
    level, centre, radius = top, (0.0, 0.0), 1.0
    peak = np.unravel_index(int(smooth.argmax()), image.shape)
    for _ in range(4):
        labels, _count = ndimage.label(image > 0.5 * level)
        if not labels[peak]:
            labels[peak] = labels.max() + 1
        disk = ndimage.binary_fill_holes(labels == labels[peak])
        radius = float(np.sqrt(disk.sum() / np.pi))
        # Centroid over the disk and its soft rim: a mask at half height alone would snap to pixels.
        near = ndimage.binary_dilation(disk, iterations=max(2, round(0.3 * radius)))
        weights = np.where(near, np.clip(image, 0, None), 0)
        centre = centroid(weights)
        rho = np.hypot(*offsets_px(image.shape, centre))
        core = rho < max(0.6 * radius, 1.0)
        level = float(np.median(image[core])) if core.any() else top
    # No pixel is much brighter than nine together but a hot one.
    bullseye = _bullseye(np.minimum(image, 2 * top), top, radius)
    if bullseye is not None:
        return bullseye
    radius, edge = _edge(image, rho, level, radius)
    return ProbeShape(radius, edge, centre)


def centroid(weights: Array) -> tuple[float, float]:
    """``(y, x)`` in px of the centre of mass of weights (qy, qx)."""
    total = weights.sum()
    y = float((weights.sum(1) * np.arange(weights.shape[0])).sum() / total)
    return y, float((weights.sum(0) * np.arange(weights.shape[1])).sum() / total)


def offsets_px(shape: tuple[int, ...], centre: tuple[float, float]) -> tuple[Array, Array]:
    """Rows (qy, 1) and columns (1, qx) relative to a centre."""
    return np.arange(shape[0], dtype=float)[:, None] - centre[0], np.arange(shape[1], dtype=float)[None, :] - centre[1]


def _edge(image: Array, rho: Array, level: float, radius: float) -> tuple[float, float]:
    """Fit the logistic edge to the pixels around it."""
    from scipy.optimize import curve_fit

    near = rho < 1.6 * radius + 2

    def edge(r: Array, r0: float, a: float, height: float) -> Array:
        return height / (1 + np.exp(np.clip((r - r0) / a, -50, 50)))

    try:
        found, _ = curve_fit(
            edge,
            rho[near],
            image[near],
            (radius, min(0.4, radius), max(level, 0.0)),
            bounds=([0.5, 0.05, 0], [2 * radius + 1, radius, np.inf]),
        )
    except RuntimeError:
        return radius, 0.4
    return float(found[0]), float(found[1])


def _bullseye(image: Array, top: float, radius_px: float) -> ProbeShape | None:
    """Shape of a bullseye, of which a part with the given radius was taken for a disk; None if it is none."""
    bright = image > 0.5 * np.median(image[image > 0.5 * top])
    centre = centroid(bright.astype(float))
    for _ in range(3):
        y, x = offsets_px(image.shape, centre)
        rho = np.hypot(y, x)
        reach = _reach(rho[bright], np.arctan2(y, x)[bright])
        if reach < max(_LEAST_PX, _LARGER * radius_px):
            return None
        # With the soft rim: a mask at half height alone would snap to pixels.
        centre = centroid(np.where(rho < reach + 2, np.clip(image, 0, None), 0))
    if not _has_rings(image[rho < reach], rho[rho < reach], bright[rho < reach]):
        return None
    radius, edge = _outer_edge(image, rho, reach)
    return ProbeShape(radius, edge, centre)


def _reach(rho: Array, angle: Array) -> float:
    """Distance of the farthest pixel of a sector: the median, for some sectors are spokes and some hold a hot pixel."""
    farthest = np.zeros(_SECTORS)
    np.maximum.at(farthest, ((angle / (2 * np.pi) % 1) * _SECTORS).astype(int) % _SECTORS, rho)
    return float(np.median(farthest))


def _has_rings(values: Array, rho: Array, bright: NDArray[np.bool_]) -> bool:
    """True if half of the pixels are bright, and as rings."""
    if not _BRIGHT[0] < bright.mean() < _BRIGHT[1]:
        return False
    # Half a pixel: rings are narrow.
    ring = np.rint(2 * rho).astype(int)
    mean = np.bincount(ring, values) / np.maximum(np.bincount(ring), 1)
    return bool(((values - mean[ring]) ** 2).sum() < (1 - _RINGS) * ((values - values.mean()) ** 2).sum())


def _outer_edge(image: Array, rho: Array, reach: float) -> tuple[float, float]:
    """Fit the logistic edge to the outside of the outermost ring, of which spokes are outliers."""
    from scipy.optimize import least_squares

    near = (rho > reach - 0.5) & (rho < reach + 3)
    r, values = rho[near], image[near] / np.quantile(image[rho < reach], 0.9)

    def misfit(edge: Array) -> Array:
        expected: Array = 1 / (1 + np.exp(np.clip((r - edge[0]) / edge[1], -50, 50)))
        return expected - values

    bounds = ([reach - 2, 0.05], [reach + 2, 2])
    found = least_squares(misfit, (reach, 0.3), bounds=bounds, loss="soft_l1", f_scale=0.1).x
    return float(found[0]), float(found[1])

"""The disk of the probe: its radius, edge and place, measured or from the calibration; for authors of detectors."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ronchi.api import DataError, Geometry

__all__ = ["ProbeShape", "centred_probe", "measure_disk", "offsets_px", "probe_shape"]

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
_STATED_EDGE_PX = 0.35
"""Scale of the edge of a disk that is known by its radius alone: the blur of a pixel and a little more."""
_AGREES = 0.15
"""Radii that differ by less are of one disk."""
_SMALL_PX = 3.0
"""Below this radius the rim is most of a disk, and its shape decides where the disk is."""
_SILENT = logging.getLogger("ronchi.silent")


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


def measure_disk(pattern: NDArray[Any]) -> ProbeShape:
    """Radius, edge and centroid of the brightest disk of a pattern.

    The probe of a bullseye (Zeltmann et al. 2020, doi:10.1016/j.ultramic.2019.112890) is known by its rings, which must
    be 1.2 px wide or more.

    Parameters
    ----------
    pattern : (qy, qx) array
        Probe over vacuum, or a mean pattern.

    Raises
    ------
    DataError
        There is no disk: the pattern is constant or not finite, or the disk covers half of it.
    """
    image = np.asarray(pattern, np.float64)
    if not np.isfinite(image).all():
        raise DataError(
            "the probe or the mean pattern holds NaN or infinity",
            fix="mark the pixels in `bad_pixel`, or record the probe again",
        )
    image = image - np.median(image)
    # The median of nine leaves a disk of two pixels, and no hot pixel.
    smooth = ndimage.median_filter(image, 3, mode="nearest")
    top = smooth.max()
    if top <= 1e-9 * max(np.abs(np.asarray(pattern, np.float64)).max(), 1e-300):
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
        centre = _centroid(weights)
        rho = np.hypot(*offsets_px(image.shape, centre))
        core = rho < max(0.6 * radius, 1.0)
        level = float(np.median(image[core])) if core.any() else top
    # No pixel is much brighter than nine together but a hot one.
    bullseye = _bullseye(np.minimum(image, 2 * top), top, radius)
    if bullseye is not None:
        return bullseye
    radius, edge = _edge(image, rho, level, radius)
    return ProbeShape(radius, edge, centre)


def _centroid(weights: Array) -> tuple[float, float]:
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
            (radius, 0.4, level),
            bounds=([0.5, 0.05, 0], [2 * radius + 1, radius, np.inf]),
        )
    except RuntimeError:
        return radius, 0.4
    return float(found[0]), float(found[1])


def _bullseye(image: Array, top: float, radius_px: float) -> ProbeShape | None:
    """Shape of a bullseye, of which a part with the given radius was taken for a disk; None if it is none."""
    bright = image > 0.5 * np.median(image[image > 0.5 * top])
    centre = _centroid(bright.astype(float))
    for _ in range(3):
        y, x = offsets_px(image.shape, centre)
        rho = np.hypot(y, x)
        reach = _reach(rho[bright], np.arctan2(y, x)[bright])
        if reach < max(_LEAST_PX, _LARGER * radius_px):
            return None
        # With the soft rim: a mask at half height alone would snap to pixels.
        centre = _centroid(np.where(rho < reach + 2, np.clip(image, 0, None), 0))
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


def probe_shape(
    geometry: Geometry, probe: NDArray[Any] | None, radius_px: float | None, log: logging.Logger | None = None
) -> ProbeShape:
    """Shape of the disks from the best source there is.

    The probe comes first, then the calibration (energy, semiangle, pixel size), then the central disk of the mean
    pattern; ``radius_px`` overrides the radius of all of them. The calibration knows no edge, and pixels change the
    radius of small disks: where the mean pattern shows a sharp disk of about that radius, it is that one.

    Parameters
    ----------
    log : logging.Logger, optional
        Is told the shape and its source, and warned of one that may spoil the positions.

    Raises
    ------
    DataError
        None of them is there, or the mean pattern has a bright spot that is no disk.
    """
    log = log or _SILENT
    calibrated = geometry.probe_radius_px
    if probe is not None:
        shape, source = measure_disk(probe), "the probe"
    elif radius_px is not None or calibrated is not None:
        source = "the calibration" if radius_px is None else "`probe_radius_px`"
        shape = _seen_or_stated(geometry, float(radius_px or calibrated or 0), source, log)
    elif geometry.mean_pattern is not None:
        shape, source = measure_disk(geometry.mean_pattern), "the mean pattern"
        if shape.edge_px > shape.radius_px:
            raise DataError(
                "the size of the disks is unknown: the brightest spot of the mean pattern is a halo and no disk",
                fix="give a probe, `probe_radius_px`, or beam energy and semiangle",
            )
    else:
        raise DataError(
            "the size of the disks is unknown", fix="give a probe, `probe_radius_px`, or beam energy and semiangle"
        )
    if radius_px is not None:
        shape, source = ProbeShape(float(radius_px), shape.edge_px, shape.centre_px), "`probe_radius_px`"
    log.info("disks of radius %.2f px with an edge of %.2f px, from %s", shape.radius_px, shape.edge_px, source)
    if probe is None and shape.radius_px < _SMALL_PX:
        log.warning(
            "disks of %.1f px without a probe: their shape is a guess, positions lean towards pixels and strain comes "
            "out too small, by a tenth or more; measure the probe with a step {transform: probe}",
            shape.radius_px,
        )
    return shape


def _seen_or_stated(geometry: Geometry, radius_px: float, source: str, log: logging.Logger) -> ProbeShape:
    """The disk of the mean pattern if it is a sharp one of about the stated radius, else one that is stated."""
    stated = ProbeShape(radius_px, _STATED_EDGE_PX, geometry.centre_px)
    if geometry.mean_pattern is None:
        return stated
    try:
        seen = measure_disk(geometry.mean_pattern)
    except DataError:
        return stated
    # A beam that wanders over the scan leaves a soft disk, which no pattern has.
    if seen.edge_px > _STATED_EDGE_PX:
        return stated
    if abs(seen.radius_px / radius_px - 1) > _AGREES:
        log.warning(
            "the brightest disk of the mean pattern has a radius of %.1f px, where %s says %.1f px: check it",
            seen.radius_px,
            source,
            radius_px,
        )
        return stated
    return ProbeShape(seen.radius_px, seen.edge_px, geometry.centre_px)


def centred_probe(probe: Array, shape: ProbeShape, frame: tuple[int, int]) -> Array:
    """Probe without background, cut out softly, its centroid moved to the middle pixel of a frame.

    Parameters
    ----------
    probe : (qy, qx) array
        Of any size, the disk anywhere in it.
    shape : ProbeShape
        As `measure_disk` found it.
    frame : tuple of int
        Rows and columns of the result.

    Returns
    -------
    (rows, columns) float64 array
        Of sum 1, centred at N // 2.
    """
    rho = np.hypot(*offsets_px(probe.shape, shape.centre_px))
    reach = shape.radius_px + max(6 * shape.edge_px, 1.5)
    outside = (rho > reach) & (rho < reach + max(shape.radius_px, 3))
    background = float(np.median(probe[outside])) if outside.any() else 0.0
    taper = np.clip((reach + 1 - rho), 0, 1)
    cut = (probe - background) * taper
    # The cut changes the centroid a little; what counts is the centroid of the template itself.
    centre = _centroid(np.clip(cut, 0, None))
    rows, columns = frame
    window = int(np.ceil(reach)) + 3
    y0, x0 = round(centre[0]), round(centre[1])
    patch = np.zeros((2 * window + 1, 2 * window + 1))
    ys, xs = np.arange(y0 - window, y0 + window + 1), np.arange(x0 - window, x0 + window + 1)
    oky, okx = (ys >= 0) & (ys < probe.shape[0]), (xs >= 0) & (xs < probe.shape[1])
    patch[np.ix_(oky, okx)] = cut[np.ix_(ys[oky], xs[okx])]
    patch = ndimage.fourier_shift(np.fft.fft2(patch), (y0 - centre[0], x0 - centre[1]))
    patch = np.fft.ifft2(patch).real
    kernel = np.zeros(frame)
    ty, tx = rows // 2 + np.arange(-window, window + 1), columns // 2 + np.arange(-window, window + 1)
    iny, inx = (ty >= 0) & (ty < rows), (tx >= 0) & (tx < columns)
    kernel[np.ix_(ty[iny], tx[inx])] = patch[np.ix_(iny, inx)]
    return np.asarray(kernel / kernel.sum())

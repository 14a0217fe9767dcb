"""The disk of the probe: its radius, edge and place, measured or from the calibration; for authors of detectors."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ronchi.api import DataError, Geometry
from ronchi.bad_pixels import BadPixelFill
from ronchi.disk_shape import ProbeShape, centroid, offsets_px, shape_of
from ronchi.seen_disk import SeenDisk, fit_seen, hides_a_part, hides_light

__all__ = ["ProbeShape", "centred_probe", "measure_disk", "offsets_px", "probe_shape", "without_bad_pixels"]

Array = NDArray[np.float64]

_STATED_EDGE_PX = 0.35
"""Scale of the edge of a disk that is known by its radius alone: the blur of a pixel and a little more."""
_AGREES = 0.15
"""Radii that differ by less are of one disk."""
_BLURRED, _HEAP = (0.77, 1.3), 3.0
"""Ratios of radii, seen to stated, that pass where the beam wanders, for blurred disks are smaller; and that from which
on disks have merged."""
_SOFT = 0.3
"""Share of its radius up to which an edge is that of a disk, and no halo."""
_SMALL_PX = 3.0
"""Below this radius the rim is most of a disk, and its shape decides where the disk is."""
_UNEVEN = 1.1
"""Ratio of a pixel's sides from which on a disk is no round one."""
_FILLED_PX = 2.5
"""Bad pixels of a single image that are farther from all good ones are left: neighbours do not tell their value."""
_SILENT = logging.getLogger("ronchi.silent")


def measure_disk(pattern: NDArray[Any], bad: NDArray[np.bool_] | None = None) -> ProbeShape:
    """Radius, edge and centroid of the brightest disk of a pattern.

    The probe of a bullseye (Zeltmann et al. 2020, doi:10.1016/j.ultramic.2019.112890) is known by its rings, which must
    be 1.2 px wide or more.

    Parameters
    ----------
    pattern : (qy, qx) array
        Probe over vacuum, or a mean pattern.
    bad : (qy, qx) bool array, optional
        Pixels that are not to be trusted. Where they make gaps in the disk, a round one is fitted to the good pixels.
        Ignored if of another shape, or if the disk shines under it: a probe recorded without the beam stop.

    Raises
    ------
    DataError
        There is no disk: the pattern is constant or not finite, or the disk covers half of it.
    """
    image = np.asarray(pattern, np.float64)
    if bad is not None and bad.shape == image.shape and bad.any() and not bad.all():
        filled = BadPixelFill(bad)(image[None])[0].astype(np.float64)
        shape, seen = _beside(image, filled, bad)
        if seen is not None:
            return ProbeShape(seen.radius, seen.edge, seen.centre)
        if shape is not None:
            return shape
        # What shines under a mask was recorded where nothing was hidden; NaN says nothing even so.
        image = np.where(np.isfinite(image) | ~bad, image, filled)
    return shape_of(image)


def without_bad_pixels(image: NDArray[Any], bad: NDArray[np.bool_] | None) -> NDArray[Any]:
    """Probe or mean pattern with its bad pixels filled, if the mask (qy, qx) is its own.

    Lone ones and narrow gaps hold what is around them, wide gaps in a round disk what of it the good pixels tell. A
    beam stop is left as it is: a probe that was recorded without it holds a whole disk there.
    """
    if bad is None or image.shape != bad.shape or not bad.any() or bad.all():
        return image
    near = bad & (ndimage.distance_transform_edt(bad) <= _FILLED_PX)
    filled = np.where(near, BadPixelFill(bad)(image[None])[0], image)
    disk = _behind_gaps(image, bad)
    if disk is None:
        return filled
    rho = disk.distance(bad.shape)
    return np.where(bad & (rho < disk.reach), disk.at(rho), filled).astype(filled.dtype)


def _behind_gaps(image: NDArray[Any], bad: NDArray[np.bool_]) -> SeenDisk | None:
    """Disk fitted to the good pixels (qy, qx) of a probe or mean pattern, if gaps hide a part of it; else None."""
    return _beside(image, BadPixelFill(bad)(image[None])[0].astype(np.float64), bad)[1]


def _beside(image: NDArray[Any], filled: Array, bad: NDArray[np.bool_]) -> tuple[ProbeShape | None, SeenDisk | None]:
    """The disk of the filled image, and that of the good pixels, if gaps hide a part; None if neither."""
    if hides_light(image, filled, bad, 2.0):
        return None, None
    try:
        shape = shape_of(filled)
    except DataError:
        return None, None
    background = float(np.median(filled))
    first = SeenDisk(shape.centre_px, shape.radius_px, shape.edge_px, float(filled.max()) - background, background)
    if not hides_a_part(bad, first):
        return shape, None
    # A gap that shines half as bright as the rest is none; the fit to the rest is as good, if it is possible.
    return None if hides_light(image, filled, bad, 0.5) else shape, fit_seen(filled, bad, first)


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
        shape, source = measure_disk(probe, geometry.bad_pixel), "the probe"
        if radius_px is None:
            _seen(geometry, shape.radius_px, source, log)
    elif radius_px is not None or calibrated is not None:
        source = "the calibration" if radius_px is None else "`probe_radius_px`"
        shape = _seen_or_stated(geometry, float(radius_px or calibrated or 0), source, log)
    elif geometry.mean_pattern is not None:
        shape, source = measure_disk(geometry.mean_pattern, geometry.bad_pixel), "the mean pattern"
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
    uneven = max(geometry.q_step) / min(geometry.q_step)
    if probe is None and uneven > _UNEVEN:
        log.warning(
            "pixels are %.3g times as long along one axis, which makes disks ellipses, and without a probe round ones "
            "are sought: measure the probe with a step {transform: probe}, or bin to square pixels",
            uneven,
        )
    if probe is None and shape.radius_px < _SMALL_PX:
        log.warning(
            "disks of %.1f px without a probe: their shape is a guess, positions lean towards pixels and strain comes "
            "out too small, by a tenth or more; measure the probe with a step {transform: probe}",
            shape.radius_px,
        )
    return shape


def _seen_or_stated(geometry: Geometry, radius_px: float, source: str, log: logging.Logger) -> ProbeShape:
    """The disk of the mean pattern if it is a sharp one of about the stated radius, else one that is stated."""
    seen = _seen(geometry, radius_px, source, log, may_be_larger=False)
    # A beam that wanders over the scan leaves a soft disk, which no pattern has.
    if seen is None or seen.edge_px > _STATED_EDGE_PX or abs(seen.radius_px / radius_px - 1) > _AGREES:
        return ProbeShape(radius_px, _STATED_EDGE_PX, geometry.centre_px)
    return ProbeShape(seen.radius_px, seen.edge_px, geometry.centre_px)


def _seen(
    geometry: Geometry, radius_px: float, source: str, log: logging.Logger, *, may_be_larger: bool = True
) -> ProbeShape | None:
    """The disk of the mean pattern, if it has one; a warning if that is not about as large as ``source`` says.

    What is seen of a bullseye may be a part of it: with ``may_be_larger`` smaller disks pass.
    """
    if geometry.mean_pattern is None:
        return None
    try:
        seen = measure_disk(geometry.mean_pattern, geometry.bad_pixel)
    except DataError:
        return None
    ratio = seen.radius_px / radius_px
    is_sharp = seen.edge_px <= _STATED_EDGE_PX
    low, high = (1 - _AGREES, 1 + _AGREES) if is_sharp else _BLURRED
    is_disk = is_sharp or (seen.edge_px < _SOFT * seen.radius_px and ratio < _HEAP)
    if is_disk and (ratio > high or (ratio < low and not may_be_larger)):
        log.warning(
            "the brightest disk of the mean pattern has a radius of %.1f px, where %s says %.1f px: check it",
            seen.radius_px,
            source,
            radius_px,
        )
    return seen


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
    centre = centroid(np.clip(cut, 0, None))
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

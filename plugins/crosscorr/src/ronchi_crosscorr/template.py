"""The template: what a disk looks like, measured on the probe or computed from its radius."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ronchi.api import DataError, Geometry

__all__ = ["ProbeShape", "Template", "measure_disk", "probe_shape"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ProbeShape:
    """Size and place of the probe's disk.

    Parameters
    ----------
    radius_px : float
        Where the intensity falls to half of the plateau, as the radius of the circle of that area.
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
        rho = np.hypot(*_offsets(image.shape, centre))
        core = rho < max(0.6 * radius, 1.0)
        level = float(np.median(image[core])) if core.any() else top
    radius, edge = _edge(image, rho, level, radius)
    return ProbeShape(radius, edge, centre)


def _centroid(weights: Array) -> tuple[float, float]:
    total = weights.sum()
    y = float((weights.sum(1) * np.arange(weights.shape[0])).sum() / total)
    return y, float((weights.sum(0) * np.arange(weights.shape[1])).sum() / total)


def _offsets(shape: tuple[int, ...], centre: tuple[float, float]) -> tuple[Array, Array]:
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


def probe_shape(geometry: Geometry, probe: NDArray[Any] | None, radius_px: float | None) -> ProbeShape:
    """Shape of the disks from the best source there is.

    The probe comes first, then the calibration (energy, semiangle, pixel size), then the
    central disk of the mean pattern; ``radius_px`` overrides the radius of all of them.

    Raises
    ------
    DataError
        None of them is there.
    """
    if probe is not None:
        shape = measure_disk(probe)
    elif radius_px is not None or geometry.probe_radius_px is not None:
        shape = ProbeShape(float(radius_px or geometry.probe_radius_px or 0), 0.35, geometry.centre_px)
    elif geometry.mean_pattern is not None:
        shape = measure_disk(geometry.mean_pattern)
    else:
        raise DataError(
            "the size of the disks is unknown", fix="give a probe, `probe_radius_px`, or beam energy and semiangle"
        )
    return shape if radius_px is None else ProbeShape(float(radius_px), shape.edge_px, shape.centre_px)


@dataclass(frozen=True)
class Template:
    """What the patterns are correlated with.

    Parameters
    ----------
    kind : {"measured", "disk", "edge", "radial-gradient"}
    shape : ProbeShape
    probe : (qy, qx) array or None
        Needed for ``measured``.
    ellipse : tuple of float
        Long over short axis of a computed template, and direction of the long axis in degrees from x towards y.
    """

    kind: str
    shape: ProbeShape
    probe: NDArray[Any] | None = None
    ellipse: tuple[float, float] = (1.0, 0.0)

    def kernel(self, frame: tuple[int, int]) -> Array:
        """Template on a frame, its centre at pixel ``(N // 2, N // 2)``.

        Returns
        -------
        kernel : (rows, columns) float64 array
            Sum 1 for ``measured`` and ``disk``; sum 0 for the others.

        Raises
        ------
        DataError
            ``measured`` without a probe.
        """
        if self.kind == "measured":
            if self.probe is None:
                raise DataError("the template 'measured' needs a probe", fix="give one, or use template: disk")
            return _measured(np.asarray(self.probe, np.float64), self.shape, frame)
        rho = _elliptical_radius(frame, (frame[0] // 2, frame[1] // 2), *self.ellipse)
        radius, edge = self.shape.radius_px, self.shape.edge_px
        disk = 1 / (1 + np.exp(np.clip((rho - radius) / edge, -50, 50)))
        if self.kind == "disk":
            return np.asarray(disk / disk.sum())
        positive = disk if self.kind == "edge" else disk * (rho / radius)
        width = max(0.5 * radius, 1.5)
        trench = np.where((rho > radius) & (rho < radius + width), np.sin(np.pi * (rho - radius) / width) ** 2, 0)
        return np.asarray(positive / positive.sum() - trench / trench.sum())


def _elliptical_radius(frame: tuple[int, int], centre: tuple[int, int], ratio: float, angle_deg: float) -> Array:
    dy, dx = _offsets(frame, (float(centre[0]), float(centre[1])))
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    along, across = dx * cos + dy * sin, dy * cos - dx * sin
    return np.asarray(np.hypot(along / np.sqrt(ratio), across * np.sqrt(ratio)))


def _measured(probe: Array, shape: ProbeShape, frame: tuple[int, int]) -> Array:
    """Probe without background, cut out softly, its centroid moved to a pixel's centre."""
    rho = np.hypot(*_offsets(probe.shape, shape.centre_px))
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

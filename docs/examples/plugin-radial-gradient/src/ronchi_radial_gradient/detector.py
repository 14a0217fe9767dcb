"""The detector: the gradient at every pixel, its maxima, those that hold all around, their exact centres."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from ronchi.api import Context, DataError, Geometry, PeakBatch
from ronchi.bad_pixels import BadPixelFill
from ronchi.disk import probe_shape, without_bad_pixels
from ronchi_radial_gradient.params import RadialGradientParams
from ronchi_radial_gradient.rim import Rim, Ring, ascend

__all__ = ["RadialGradient"]

Array = NDArray[np.float64]
EDGE, OVERLAP, MASKED, NOT_REFINED = 1, 4, 8, 16
_LEAST_WIDTH_PX = 0.8
"""Narrower weights would feel the pixels' own size."""
_STD_OF_LOGISTIC = math.pi / math.sqrt(3)
"""Standard deviation of the slope of the edge 1 / (1 + exp((r - R) / a)), in units of a."""


class Peaks(NamedTuple):
    """Peaks of one pattern: centre (y, x) in px, covariance in px^2, intensity, score and flags."""

    centre: Array
    covariance: Array
    intensity: NDArray[np.float32]
    score: Array
    flags: NDArray[np.uint16]


class RadialGradient:
    """Radial gradient maximisation; see `RadialGradientParams` for what can be chosen."""

    def __init__(self, params: RadialGradientParams) -> None:
        self.params = params

    def prepare(self, geometry: Geometry, probe: NDArray[Any] | None, ctx: Context) -> None:
        """Measure the disk, and make the weights.

        Raises
        ------
        DataError
            The size of the disks cannot be known, or they do not fit into a pattern.
        """
        p, bad = self.params, geometry.bad_pixel
        if probe is not None:
            probe = without_bad_pixels(probe, bad)
        shape = probe_shape(geometry, probe, p.probe_radius_px)
        if 2 * shape.radius_px >= min(geometry.shape):
            raise DataError(
                f"a disk of radius {shape.radius_px:.1f} px does not fit into a pattern of {geometry.shape}",
                fix="give the probe of this data set, or `probe_radius_px`",
            )
        width = p.width_px or max(_LEAST_WIDTH_PX, _STD_OF_LOGISTIC * shape.edge_px)
        self._rim = Rim(shape.radius_px, min(width, shape.radius_px / 2))
        self._ring = Ring(self._rim)
        self._frame = geometry.shape
        self._pad = self._ring.half + 1
        self._bad = None if bad is None or not bad.any() else np.pad(bad, self._pad)
        self._fill = None if self._bad is None else BadPixelFill(bad)
        self._size = [fft.next_fast_len(n + 2 * self._pad, real=True) for n in geometry.shape]
        y, x = (np.minimum(np.arange(n), n - np.arange(n))[:, None] for n in self._size)
        kernel = self._rim.weights(np.hypot(y, x.T)).astype(np.float32)
        self._transfer = fft.rfft2(kernel)
        self._discs = _disc_and_surroundings(self._rim)

    def detect(self, frames: NDArray[Any]) -> PeakBatch:
        """Find the disks of ``frames`` (n, qy, qx), any real dtype.

        Raises
        ------
        DataError
            A pattern holds NaN or infinity, or has another shape than was prepared for.
        """
        frames = np.asarray(frames)
        if frames.ndim != 3 or frames.shape[1:] != self._frame:
            raise DataError(f"patterns of shape {frames.shape[1:]}, prepared for {self._frame}", where="detect")
        counts = np.asarray(frames, np.float32) if self._fill is None else self._fill(frames)
        if not np.isfinite(counts).all():
            raise DataError("a pattern holds NaN or infinity", where="detect", fix="mark its pixels in `bad_pixel`")
        found = [self._detect_one(pattern) for pattern in counts]
        centre, covariance, intensity, score, flags = (
            np.concatenate(column) if found else empty
            for column, empty in zip(zip(*found, strict=True) if found else [()] * 5, _nothing(), strict=True)
        )
        covariance = (covariance * self.params.counts_per_electron).astype(np.float32)
        return PeakBatch(
            counts=np.array([len(peaks.score) for peaks in found], np.int32),
            qy_px=centre[:, 0].copy(),
            qx_px=centre[:, 1].copy(),
            intensity=intensity,
            score=score.astype(np.float32),
            var_yy=covariance[:, 0, 0].copy(),
            var_yx=covariance[:, 0, 1].copy(),
            var_xx=covariance[:, 1, 1].copy(),
            flags=flags,
        )

    def _detect_one(self, counts: NDArray[np.float32]) -> Peaks:
        # Beyond the frame it goes on as at its edge: a border is no rim.
        padded = np.pad(counts, self._pad, mode="edge")
        gradient = self._gradient(padded)
        at, strength = self._maxima(gradient, counts)
        pixels = padded[at[:, :1] + self._ring.dy, at[:, 1:] + self._ring.dx]
        score = self._ring.significance(pixels)
        keep = np.flatnonzero(score >= self.params.min_score)
        keep = keep[np.argsort(-strength[keep], kind="stable")]
        keep = keep[_apart(at[keep], self.params.min_distance * self._rim.radius_px)][: self.params.max_peaks]
        at, pixels, score = at[keep], pixels[keep], score[keep]
        start = _parabola(gradient, at)
        shift, covariance, refined = ascend(self._rim, self._ring, pixels, start)
        centre = at + np.where(refined[:, None], shift, start)
        unknown = np.eye(2) * self._rim.width_px**2
        covariance = np.where(refined[:, None, None], covariance, unknown)
        flags = np.where(refined, 0, NOT_REFINED) | self._flags(at, centre)
        return Peaks(centre - self._pad, covariance, self._intensity(padded, at), score, flags.astype(np.uint16))

    def _gradient(self, padded: NDArray[np.float32]) -> NDArray[np.float32]:
        """Gradient across the rim of a circle around every pixel of a padded pattern."""
        rows, columns = padded.shape
        spectrum = fft.rfft2(padded, s=self._size) * self._transfer
        return np.asarray(fft.irfft2(spectrum, s=self._size)[:rows, :columns])

    def _maxima(self, gradient: NDArray[np.float32], counts: NDArray[np.float32]) -> tuple[Any, NDArray[np.float32]]:
        """Pixels (peaks, 2) of the padded pattern where the gradient is greatest around, and its values."""
        half = max(1, int(self.params.min_distance * self._rim.radius_px / 2))
        greatest = ndimage.maximum_filter(gradient, 2 * half + 1, mode="nearest")
        margin = self._pad + math.ceil(self.params.edge * self._rim.radius_px)
        inside = np.zeros(gradient.shape, bool)
        inside[margin : gradient.shape[0] - margin, margin : gradient.shape[1] - margin] = True
        # What the transforms leave of an even pattern is no gradient.
        floor = 1e-5 * np.abs(counts).max(initial=0) * len(self._ring.dy)
        at = np.argwhere((gradient == greatest) & (gradient > floor) & inside)
        return at, gradient[at[:, 0], at[:, 1]]

    def _flags(self, at: NDArray[np.int64], centre: Array) -> NDArray[np.int64]:
        reach = self._rim.reach_px
        low, high = self._pad + reach, self._pad + np.array(self._frame) - 1 - reach
        flags = np.where(((centre < low) | (centre > high)).any(axis=1), EDGE, 0)
        if len(centre) > 1:
            distance = np.hypot(*(centre[:, None] - centre[None]).transpose(2, 0, 1))
            np.fill_diagonal(distance, np.inf)
            flags |= np.where(distance.min(axis=1) < 2 * self._rim.radius_px, OVERLAP, 0)
        if self._bad is not None:
            masked = self._bad[at[:, :1] + self._ring.dy, at[:, 1:] + self._ring.dx].any(axis=1)
            flags |= np.where(masked, MASKED, 0)
        return flags

    def _intensity(self, padded: NDArray[np.float32], at: NDArray[np.int64]) -> NDArray[np.float32]:
        """Counts of the disks above the mean of their surroundings."""
        (disc, around) = (padded[at[:, :1] + dy, at[:, 1:] + dx] for dy, dx in self._discs)
        return (disc.sum(axis=1) - disc.shape[1] * around.mean(axis=1)).astype(np.float32)


def _nothing() -> Peaks:
    """What a pattern without disks has."""
    whole, single = np.empty((0, 2)), np.empty(0, np.float32)
    return Peaks(whole, np.empty((0, 2, 2)), single, np.empty(0), np.empty(0, np.uint16))


def _disc_and_surroundings(rim: Rim) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Offsets (y, x) of the pixels of a disc with its rim, and of those of a ring around it."""
    half = math.ceil(rim.reach_px) + 1
    dy, dx = np.mgrid[-half : half + 1, -half : half + 1]
    r = np.hypot(dy, dx)
    inner = rim.radius_px + 2.5 * rim.width_px
    disc, around = r <= inner, (r > inner) & (r <= rim.reach_px + 1)
    return (dy[disc], dx[disc]), (dy[around], dx[around])


def _apart(at: NDArray[np.int64], least_px: float) -> NDArray[np.intp]:
    """Indices of the points, strongest first, that keep a distance from all stronger ones that are kept."""
    kept: list[int] = []
    for i, point in enumerate(at):
        if not kept or np.hypot(*(at[kept] - point).T).min() >= least_px:
            kept.append(i)
    return np.array(kept, np.intp)


def _parabola(values: NDArray[np.float32], at: NDArray[np.int64]) -> Array:
    """Offsets (peaks, 2) of the maximum of a parabola through three pixels along each axis."""
    y, x = at.T
    middle = values[y, x].astype(np.float64)
    offsets = []
    for before, after in ((values[y - 1, x], values[y + 1, x]), (values[y, x - 1], values[y, x + 1])):
        bend = before.astype(np.float64) - 2 * middle + after
        offsets.append(np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, 1), 0))
    return np.clip(np.stack(offsets, axis=1), -0.5, 0.5)

"""The shape of a diffraction disk at any sub-pixel position, tabulated once a run.

A probe over vacuum shows one disk at one sub-pixel position, with an edge of about a pixel: too sharp to be shifted by
interpolation (it rings).  So a round disk with a soft edge is fitted to the probe, and evaluated where it is needed;
only a probe that no such disk describes (a bullseye aperture, a vortex) is interpolated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ronchi.api import DataError

__all__ = ["N_PHASES", "DiskModel", "model_of_probe", "model_of_radius"]

Array = NDArray[np.float64]
Shape = Callable[[float, float, Array], Array]
"""Intensity of a disk centred at (y, x) on the square of pixels ``offsets`` x ``offsets``; the plateau is 1."""

Edge = Callable[[Array, float, float], Array]
"""Intensity at a distance from the centre, for a radius and a width."""

N_PHASES = 8
"""Tabulated centres a pixel and axis; the fit extends the tables between them to first order."""

RING_PX = 3.0
"""Width of the ring around the disk that tells the background."""

_ROUND = 0.08
"""A round disk that misses the probe by less than this, rms over the disk and smoothed, stands for it."""


class DiskModel(NamedTuple):
    """Tables of a disk on the pixels of a round window.

    Attributes
    ----------
    radius_px : float
        Where the intensity falls to half of the plateau.
    offset_y, offset_x : (pixel,) int32
        Pixels of the window, relative to the pixel nearest to the disk's centre.
    table : ((N_PHASES + 1)**2, 9, pixel) float32
        Shape ``T``, slopes ``S_y = T dy / radius`` and ``S_x``, and their derivatives with the centre, in the order
        ``T, S_y, S_x, dT/dy, dT/dx, dS_y/dy, dS_y/dx, dS_x/dy, dS_x/dx``.  A row is a centre, ``(k / N_PHASES - 1/2)``
        px off the pixel along y and x.
    lookup : (side, side) int32
        Row of ``offset_y`` and ``offset_x`` for a pixel of the square around the window, -1 outside the window.
    area_px : float
        Sum of ``T``: a disk's counts for a plateau of one count.
    """

    radius_px: float
    offset_y: NDArray[np.int32]
    offset_x: NDArray[np.int32]
    table: NDArray[np.float32]
    lookup: NDArray[np.int32]
    area_px: float


def model_of_radius(radius_px: float, edge_px: float = 0.35) -> DiskModel:
    """Tabulate a round disk with the edge ``1 / (1 + exp((rho - radius_px) / edge_px))``."""
    return _tabulate(_round_shape(_logistic, radius_px, edge_px), radius_px)


def model_of_probe(probe: NDArray[Any], radius_px: float, centre_px: tuple[float, float]) -> DiskModel:
    """Tabulate the disk of a probe over vacuum.

    Parameters
    ----------
    probe : (qy, qx) array
        Intensity, any scale.
    radius_px, centre_px : float, (y, x)
        First estimates, good to about a pixel.

    Raises
    ------
    DataError
        The probe holds no disk there.
    """
    half = int(np.ceil(1.6 * radius_px)) + 5
    top, left = (max(round(c) - half, 0) for c in centre_px)
    probe = np.asarray(probe, dtype=np.float64)[top : top + 2 * half + 1, left : left + 2 * half + 1]
    centre_px = centre_px[0] - top, centre_px[1] - left
    rho = _distance(probe, *centre_px)
    around = (rho > radius_px + 1.5) & (rho < 1.6 * radius_px + 3.0)
    core = rho < max(0.6 * radius_px, 1.0)
    background = float(np.median(probe[around])) if around.any() else 0.0
    height = float(np.median(probe[core])) - background if core.any() else 0.0
    if not height > 0.0:
        raise DataError(
            f"the probe is not brighter at {centre_px[0]:.1f}, {centre_px[1]:.1f} than around it",
            where="probe",
            fix="give the probe recorded over vacuum, or `probe_radius_px`",
        )
    image = np.where(rho < 1.6 * radius_px + 3.0, (probe - background) / height, 0.0)
    round_disk, radius = _fit_round(image, radius_px, centre_px)
    if round_disk is None:
        return _tabulate(_interpolated_shape(image, centre_px, radius_px), radius_px)
    return _tabulate(round_disk, radius)


def _distance(image: Array, y: float, x: float) -> Array:
    return np.asarray(np.hypot(np.arange(image.shape[0])[:, None] - y, np.arange(image.shape[1])[None, :] - x))


def _fit_round(image: Array, radius_px: float, centre_px: tuple[float, float]) -> tuple[Shape | None, float]:
    """Round disk that describes an image of plateau 1, and its radius; None if no disk does."""
    from scipy.ndimage import uniform_filter
    from scipy.optimize import least_squares

    near = _distance(image, *centre_px) < 1.6 * radius_px + 3.0
    lowest = [centre_px[0] - 2.0, centre_px[1] - 2.0, max(radius_px - 2.0, 0.5), 0.05, 0.5, -0.5]
    highest = [centre_px[0] + 2.0, centre_px[1] + 2.0, radius_px + 2.0, 0.5 * radius_px + 1.0, 1.5, 0.5]
    best, shape, radius = np.inf, None, radius_px
    for edge in (_cosine, _logistic):

        def residual(p: Array, edge: Edge = edge) -> Array:
            return np.asarray(p[4] * edge(_distance(image, p[0], p[1]), p[2], p[3]) + p[5] - image)

        found = least_squares(
            lambda p, f=residual: f(p)[near], [*centre_px, radius_px, 0.4, 1.0, 0.0], bounds=(lowest, highest)
        )
        if found.cost < best:
            best, radius = found.cost, float(found.x[2])
            # Structure is coarser than a pixel, the noise of the probe is not.
            structure = uniform_filter(np.where(near, residual(found.x), 0.0), 3)
            misfit = np.sqrt((structure**2).sum() / (np.pi * radius**2))
            shape = _round_shape(edge, radius, float(found.x[3])) if misfit < _ROUND else None
    return shape, radius


def _logistic(rho: Array, radius: float, width: float) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(np.clip((rho - radius) / width, -40.0, 40.0))))


def _cosine(rho: Array, radius: float, width: float) -> Array:
    """Edge without tails: ``sin^2`` over ``7.5 width`` has the 10-90 % rise of the logistic edge of that width."""
    return np.asarray(np.sin(0.5 * np.pi * np.clip((radius - rho) / (7.5 * width) + 0.5, 0.0, 1.0)) ** 2)


def _round_shape(edge: Edge, radius: float, width: float) -> Shape:
    def shape(y: float, x: float, offsets: Array) -> Array:
        return edge(np.hypot(offsets[:, None] - y, offsets[None, :] - x), radius, width)

    return shape


def _interpolated_shape(image: Array, centre_px: tuple[float, float], radius: float) -> Shape:
    """Trigonometric interpolation of the probe's amplitude: squared, it cannot ring below zero."""
    half = int(np.ceil(1.6 * radius)) + 5
    y0, x0 = (round(c) for c in centre_px)
    cut = np.pad(image, half)[y0 : y0 + 2 * half, x0 : x0 + 2 * half]
    spectrum = np.fft.fft2(np.sqrt(np.clip(cut, 0.0, None))) / cut.size
    frequency = 2.0 * np.pi * np.fft.fftfreq(2 * half)

    def shape(y: float, x: float, offsets: Array) -> Array:
        along_y = np.exp(1j * np.outer(offsets - y + centre_px[0] - y0 + half, frequency))
        along_x = np.exp(1j * np.outer(offsets - x + centre_px[1] - x0 + half, frequency))
        return np.asarray((along_y @ spectrum @ along_x.T).real ** 2)

    return shape


def _tabulate(shape: Shape, radius: float, step: float = 1e-3) -> DiskModel:
    reach = int(np.floor(radius + RING_PX))
    offsets = np.arange(-reach, reach + 1, dtype=float)
    offset_y, offset_x = np.meshgrid(offsets, offsets, indexing="ij")
    window = np.hypot(offset_y, offset_x) <= radius + RING_PX

    lookup = np.full(window.shape, -1, np.int32)
    lookup[window] = np.arange(window.sum())

    def with_slopes(y: float, x: float) -> Array:
        t = shape(y, x, offsets)[window]
        return np.stack([t, t * (offset_y[window] - y) / radius, t * (offset_x[window] - x) / radius])

    phases = np.arange(N_PHASES + 1) / N_PHASES - 0.5
    table = np.empty((len(phases), len(phases), 9, int(window.sum())))
    for i, y in enumerate(phases):
        for j, x in enumerate(phases):
            table[i, j, :3] = with_slopes(y, x)
            by_y = (with_slopes(y + step, x) - with_slopes(y - step, x)) / (2.0 * step)
            by_x = (with_slopes(y, x + step) - with_slopes(y, x - step)) / (2.0 * step)
            table[i, j, 3::2], table[i, j, 4::2] = by_y, by_x
    return DiskModel(
        radius_px=radius,
        offset_y=offset_y[window].astype(np.int32),
        offset_x=offset_x[window].astype(np.int32),
        table=table.reshape(len(phases) ** 2, 9, -1).astype(np.float32),
        lookup=lookup,
        area_px=float(table[:, :, 0].sum(-1).mean()),
    )

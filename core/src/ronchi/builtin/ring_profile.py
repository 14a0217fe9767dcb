"""A ring of a pattern as a Gaussian on a background: whether it is there, and its radius in every direction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ronchi.errors import CalibrationError

__all__ = ["Peak", "ring_peak", "sector_radii"]

Array = NDArray[np.float64]
MIN_ERRORS = 6.0
"""Standard errors by which a ring must stand out. Of hundreds of places in pure noise, none does."""
SECTOR_ERRORS = 2.5
"""Such errors a direction. They include the price of a curved background, half of them, which a sector does not pay."""
MIN_SECTORS = 8
MIN_CONTRAST = 0.01
"""Height over background; below it, a background that is no exponential looks like a ring."""


@dataclass(frozen=True)
class Peak:
    """A ring in the mean over all directions.

    Parameters
    ----------
    radius, sigma : float
        Of the Gaussian, in the units of q.
    errors : float
        Height in standard errors that the noise of pixels makes.
    decay : float
        The background falls about as exp(-decay q).
    """

    radius: float
    sigma: float
    errors: float
    decay: float


def ring_peak(points: Array, values: Array, ring: tuple[float, float], pixel: float, round_ring: bool) -> Peak:
    """Fit a Gaussian on a falling background to the mean over all directions.

    Parameters
    ----------
    points : (n, 2) float64
        (y, x) from the centre, of pixels between the two radii.
    values : (n,) float64
    ring : tuple of float
    pixel : float
        In the units of q.
    round_ring : bool
        The ring ought to be round and centred by now: what no Gaussian explains is an error of
        its height too. Before, it may be smeared out.

    Raises
    ------
    CalibrationError
        Nothing stands out, or too few pixels are good.
    """
    low, high = ring
    at, profile, error = _profile(points, values, ring, pixel)
    decay = _decay(at, profile)
    smooth, target = _background(at, ring, decay), profile / error
    # A Gaussian needs background on both sides, or it is nothing but curvature.
    margin = min(2 * pixel, (high - low) / 4)
    narrow, wide = 0.7 * pixel, max(0.7 * pixel, (high - low) / 4)
    radii, sigmas = np.arange(low + margin, high - margin, (high - low) / 120), np.geomspace(narrow, wide, 9)
    for _ in range(2):
        r, s = (grid.ravel()[:, None] for grid in np.meshgrid(radii, sigmas, indexing="ij"))
        bell = np.exp(-((at - r) ** 2) / (2 * s**2))
        design = np.concatenate([np.broadcast_to(smooth, (len(r), *smooth.shape)), bell[..., None]], -1)
        # The last column of Q is the bell less what the background explains: its product with the data is
        # the height in standard errors.
        q, triangle = np.linalg.qr(design / error[:, None])
        projected = np.einsum("mnk,n->mk", q, target)
        chi = (target**2).sum() - (projected**2).sum(1)
        height = projected[:, 3] / triangle[:, 3, 3]
        best = int(np.where((height > 0) & np.isfinite(height), chi, np.inf).argmin())
        radius, sigma = float(r[best, 0]), float(s[best, 0])
        # A second, finer grid around the best of the first.
        radii = radius + np.linspace(-1, 1, 9) * (radii[1] - radii[0])
        sigmas = np.clip(sigma * np.geomspace(0.8, 1.25, 9), narrow, wide)
    spread = math.sqrt(max(1.0, float(chi[best]) / max(len(at) - 6, 1)))
    errors = float(abs(projected[best, 3]))
    judged = errors / spread if round_ring else errors
    contrast = float(height[best]) / max(abs(float(np.interp(radius, at, profile)) - float(height[best])), 1e-300)
    if not (height[best] > 0 and contrast > MIN_CONTRAST and judged > MIN_ERRORS):
        raise CalibrationError(
            f"no ring stands out between {low:g} and {high:g}: in the mean over all directions, the highest rise is "
            f"{judged:.1f} standard errors and {contrast:.2g} of the background; {MIN_ERRORS:g} and {MIN_CONTRAST:g} "
            f"are needed",
            where="ring",
            fix="look at the mean pattern and choose radii that enclose one bright ring and some background",
        )
    return Peak(radius, sigma, errors, decay)


def _profile(points: Array, values: Array, ring: tuple[float, float], pixel: float) -> tuple[Array, Array, Array]:
    """Radius, mean value and standard error of shells that hold pixels."""
    low, high = ring
    n_shells = int(np.clip(round(1.5 * (high - low) / pixel), 8, 120))
    radius = np.hypot(points[:, 0], points[:, 1])
    shell = np.minimum(((radius - low) / (high - low) * n_shells).astype(int), n_shells - 1)
    count = np.bincount(shell, minlength=n_shells)
    full = count > 2
    if full.sum() < 8:
        raise CalibrationError(
            f"only {full.sum()} of {n_shells} steps between {low:g} and {high:g} hold good pixels",
            where="ring", fix="choose radii inside the pattern, and look at its bad pixels",
        )  # fmt: skip

    def mean(numbers: Array) -> Array:
        return np.bincount(shell, numbers, n_shells)[full] / count[full]

    # A ring off the centre changes along a shell, and is no noise: compare neighbours.
    order = np.lexsort([np.arctan2(points[:, 0], points[:, 1]), shell])
    step = np.zeros(len(values))
    step[1:] = np.where(np.diff(shell[order]) == 0, np.diff(values[order]), 0) ** 2
    variance = mean(step[np.argsort(order)]) / 2
    # A shell whose few pixels happen to agree is not known exactly.
    variance = variance + variance.mean() + 1e-12 * mean(values**2).mean() + 1e-300
    return mean(radius), mean(values), np.sqrt(variance / 2 / count[full])


def sector_radii(
    points: Array, values: Array, ring: tuple[float, float], pixel: float, n_sectors: int, *, round_ring: bool
) -> tuple[Array, Array, Array]:
    """Radius of a ring in up to ``n_sectors`` directions.

    There are fewer where a sector were narrower than two pixels, or the ring too faint to be
    seen in each. The Gaussian of the mean over all directions is fitted to the pixels of a
    sector with a height, a shift, and an exponential background of its own; a centroid would
    follow a background that falls.

    Parameters
    ----------
    points : (n, 2) float64
        (y, x) from the centre.
    values : (n,) float64
    n_sectors : int
    ring, pixel, round_ring
        As in `ring_peak`.

    Returns
    -------
    radius, variance, angle : (sectors,) float64
        Variance of the radius that the noise of pixels makes; infinite where no ring shows.

    Raises
    ------
    CalibrationError
        There is no ring at all.
    """
    radius = np.hypot(points[:, 0], points[:, 1])
    inside = (radius >= ring[0]) & (radius < ring[1])
    peak = ring_peak(points[inside], values[inside], ring, pixel, round_ring)
    widest = math.pi * peak.radius / pixel
    number = int(max(MIN_SECTORS, min(n_sectors, widest, (peak.errors / SECTOR_ERRORS) ** 2)))
    # Further off, the background may do what it likes.
    near = inside & (np.abs(radius - peak.radius) < max(4 * peak.sigma, 4 * pixel))
    r, v = radius[near], values[near]
    turn = np.arctan2(points[near, 0], points[near, 1]) / (2 * np.pi) % 1
    sector = (turn * number).astype(int) % number
    offset = (r - peak.radius) / peak.sigma
    bell = np.exp(-(offset**2) / 2)
    # What curvature is left under the ring is even about it, and shifts nothing.
    smooth = _background(r, ring, peak.decay)[:, :2]
    design = np.concatenate([smooth, bell[:, None], (offset * bell)[:, None]], 1)
    order = np.argsort(sector, kind="stable")
    parts = np.split(order, np.searchsorted(sector[order], np.arange(1, number)))
    radii, variances = np.zeros(number), np.full(number, math.inf)
    for n, part in enumerate(parts):
        if len(part) < 8:
            continue
        solution, residual, rank, _ = np.linalg.lstsq(design[part], v[part], rcond=1e-6)
        if rank < 4:
            continue
        inverse = np.linalg.inv(design[part].T @ design[part])
        noise = np.sqrt(inverse.diagonal()[2:] * residual[0] / (len(part) - 4))
        height, shift = solution[2], solution[3] / solution[2] if solution[2] else math.inf
        if height > 2 * noise[0] and abs(shift) < 2:
            radii[n] = peak.radius + shift * peak.sigma
            variances[n] = (peak.sigma * max(noise[1] / height, 1e-6)) ** 2
    return radii, variances, (np.arange(number) + 0.5) * 2 * np.pi / number


def _decay(at: Array, profile: Array) -> float:
    """Rate at which the logarithm falls from the first to the last sixth; 0 where there is none."""
    edge = max(1, len(at) // 6)
    inner, outer = profile[:edge].mean(), profile[-edge:].mean()
    if min(inner, outer) <= 0:
        return 0.0
    return float(np.log(inner / outer) / (at[-edge:].mean() - at[:edge].mean()))


def _background(radius: Array, ring: tuple[float, float], decay: float) -> Array:
    """(n, 3) an exponential times 1, t, and t^2, with t from -1 to 1 between the two radii."""
    middle, half = sum(ring) / 2, (ring[1] - ring[0]) / 2
    t = (radius - middle) / half
    smooth: Array = np.exp(-decay * (radius - middle))[:, None] * np.stack([np.ones_like(t), t, t * t], -1)
    return smooth

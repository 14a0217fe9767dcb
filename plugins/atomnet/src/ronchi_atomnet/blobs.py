"""Blobs: maxima of the Laplacian of Gaussian that stand out of the noise and are as strong as the frame's atoms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_laplace, maximum_filter

from ronchi_atomnet.spacing import noise_level

__all__ = ["centre_of_mass", "find_blobs", "parabola"]

Array = NDArray[np.float64]

_WEAK_MAXIMA = 0.047
"""Maxima of noise between one and two standard deviations, in a squared width of the filter: counted in images of noise
alone, as the formula for high ones does not hold for them."""


def find_blobs(
    image: Array, sigma_px: float, threshold: float, max_false: float, good: NDArray[np.bool_] | None = None
) -> tuple[Array, Array]:
    """Find bright blobs.

    Parameters
    ----------
    image : (rows, columns) float64
    sigma_px : float
    threshold : float
        Least response over that of a typical blob, the median of those that stand out of the noise.
    max_false : float
        Largest part of the blobs that noise alone would give.
    good : (rows, columns) bool, optional
        Pixels that were measured, all by default; the others hold no blob.

    Returns
    -------
    points : (n, 2) float64
        Row and column, by a parabola through the maximum.
    snr : (n,) float64
    """
    # The filter is cut off, so that a constant leaves a ten-thousandth of itself: more than atoms on a high one do.
    response = -(sigma_px**2) * gaussian_laplace(image - image.mean(), sigma_px, mode="reflect")
    measured = np.ones(image.shape, bool) if good is None else good
    maxima = (response == maximum_filter(response, 3, mode="nearest")) & (response > 0) & measured
    rows, columns = np.nonzero(maxima)
    # White noise of variance s^2 leaves s^2 / (2 pi sigma^2) behind the filter.
    noise = noise_level(image, good) / (np.sqrt(2 * np.pi) * sigma_px)
    heights = response[rows, columns]
    snr = heights / max(noise, 1e-9 * float(np.ptp(image)))
    strong = snr >= _least_snr(snr, np.count_nonzero(measured) / sigma_px**2, max_false)
    if not strong.any():
        return np.empty((0, 2)), np.empty(0)
    chosen = strong & (heights >= threshold * np.median(heights[strong]))
    return parabola(response, rows[chosen], columns[chosen]), snr[chosen]


def _least_snr(snr: Array, area: float, max_false: float) -> float:
    """Least signal-to-noise ratio of maxima, of which at most a part is of noise.

    White noise behind the filter has A (3 / 2) (2 pi)^(-3/2) u exp(-u^2 / 2) maxima above u standard deviations in an
    area of A squared widths of the filter: Adler, The Geometry of Random Fields (1981), with its spectral moment.
    Atoms take the place of noise: the maxima that are too weak for atoms tell how much of the image is left to it
    (Storey 2002, J. R. Stat. Soc. B 64, 479, doi:10.1111/1467-9868.00346).
    """
    ranked = np.sort(snr)[::-1]
    weak = 1 + np.count_nonzero((snr > 1) & (snr < 2))
    left = min(1.0, weak / (_WEAK_MAXIMA * area))
    by_noise = left * area * 1.5 * (2 * np.pi) ** -1.5 * ranked * np.exp(-0.5 * ranked**2)
    good = (by_noise <= max_false * np.arange(1, len(ranked) + 1)) & (ranked > 1)
    return float(ranked[np.flatnonzero(good)[-1]]) if good.any() else np.inf


def parabola(image: Array, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Array:
    """Maxima (n, 2) of parabolas along both axes through pixels that are maxima."""
    made = []
    for axis, (where, size) in enumerate(((rows, image.shape[0]), (columns, image.shape[1]))):
        inner = np.clip(where, 1, size - 2)
        at = (inner, columns) if axis == 0 else (rows, inner)
        step = (1, 0) if axis == 0 else (0, 1)
        here = image[at]
        before = image[at[0] - step[0], at[1] - step[1]]
        after = image[at[0] + step[0], at[1] + step[1]]
        bend = before - 2 * here + after
        shift = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, -1.0), 0.0)
        made.append(inner + np.clip(shift, -0.5, 0.5))
        made[-1] = np.where(inner == where, made[-1], where)
    return np.stack(made, 1)


def centre_of_mass(image: Array, points: Array, sigma_px: float) -> Array:
    """Centres (n, 2) of mass of what is brighter than the border of a small window about each point."""
    smooth = gaussian_filter(image, 0.5 * sigma_px, mode="reflect")
    reach = max(1, round(1.2 * sigma_px))
    offset = np.arange(-reach, reach + 1)
    whole = np.rint(points).astype(np.intp)
    rows = np.clip(whole[:, :1] + offset, 0, image.shape[0] - 1)
    columns = np.clip(whole[:, 1:] + offset, 0, image.shape[1] - 1)
    values = smooth[rows[:, :, None], columns[:, None, :]]
    values = values - values.min((1, 2), keepdims=True)
    mass = values.sum((1, 2))
    shift = np.stack([(values.sum(2) * offset).sum(1), (values.sum(1) * offset).sum(1)], 1)
    moved = whole + shift / np.where(mass > 0, mass, 1)[:, None]
    near = (np.abs(moved - points) <= sigma_px).all(1, keepdims=True)
    return np.where(near, moved, points)

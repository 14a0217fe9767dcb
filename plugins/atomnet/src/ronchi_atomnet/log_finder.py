"""The atom finder ``log``."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ronchi.api import Context
from ronchi_atomnet.blobs import centre_of_mass, find_blobs
from ronchi_atomnet.frames import Found, collect
from ronchi_atomnet.gaussians import fit_gaussians
from ronchi_atomnet.params import LogParams
from ronchi_atomnet.spacing import blob_sigma

__all__ = ["LogFinder", "find_in_frame", "without_doubles"]

Array = NDArray[np.float64]

_SAME = 0.7
"""Atoms closer than this many standard deviations are one that was fitted twice."""


class LogFinder:
    """Atom finder ``log``: blobs, centre of mass, Gaussian fit."""

    def __init__(self, params: LogParams) -> None:
        self.params = params

    def find(self, images: xr.Dataset, ctx: Context) -> xr.Dataset:
        """From ``images/1`` to ``atoms/1``; ``score`` is the signal-to-noise ratio of the filter's response."""
        return collect(images, lambda frame, good: find_in_frame(frame, good, self.params), ctx)


def find_in_frame(frame: Array, good: NDArray[np.bool_], p: LogParams) -> Found:
    """Atoms of a frame (rows, columns), all of it finite, of which the ``good`` pixels were measured."""
    image = -frame if p.dark else frame
    sigma_px = p.sigma_px if p.sigma_px is not None else blob_sigma(image)
    points, snr = find_blobs(image, sigma_px, p.threshold, p.max_false, good)
    points = centre_of_mass(image, points, sigma_px)
    if p.refine:
        fit = fit_gaussians(image, points, sigma_px, good=good)
        found = Found(fit.points, np.sqrt(fit.variance), fit.height, snr, np.zeros(len(points), np.int64))
        found = without_doubles(found.select(fit.height > 0), _SAME * fit.sigma_px)
    else:
        whole = np.rint(points).astype(np.intp).clip(0, np.array(image.shape) - 1)
        height = image[whole[:, 0], whole[:, 1]] - np.median(image)
        found = Found(points, np.full(points.shape, np.nan), height, snr, np.zeros(len(points), np.int64))
    return _with_species(found, p.species_above)


def without_doubles(found: Found, closest_px: float) -> Found:
    """Atoms without those that lie on a brighter one."""
    if len(found.points) < 2:
        return found
    pairs = cKDTree(found.points).query_pairs(closest_px, output_type="ndarray")
    dimmer = np.where(found.intensity[pairs[:, 0]] < found.intensity[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
    kept = np.ones(len(found.points), bool)
    kept[dimmer] = False
    return found.select(kept)


def _with_species(found: Found, above: tuple[float, ...]) -> Found:
    if not above or not len(found.points):
        return found
    species = np.searchsorted(above, found.intensity / np.median(found.intensity), side="right").astype(np.int64)
    return Found(found.points, found.sigma, found.intensity, found.score, species)

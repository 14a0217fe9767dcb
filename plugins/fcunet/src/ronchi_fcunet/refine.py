"""Positions of the disks that a network has found, by the likelihood of the counts around them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.api import Geometry, PeakBatch
from ronchi.bad_pixels import without_bad_pixels
from ronchi.disk import probe_shape
from ronchi_disks.disk_model import model_of_probe, model_of_radius
from ronchi_disks.likelihood import EDGE, NOT_REFINED, OVERLAP, fit_disks
from ronchi_disks.noise import measure_gain

__all__ = ["Refiner"]

_MOST_SIGMAS = 4.0
"""A fit that ends farther than this from where the network saw the disk, by its own error bar, has found another."""
_FLAG_NOT_REFINED = 16
"""Of `peaks/1`; flags of edge and overlap are the same in the fit."""


class Refiner:
    """Fits the disks of patterns.

    Parameters
    ----------
    geometry : Geometry
    probe : (qy, qx) array or None
        Without one, or with a radius of one's own, disks are round with a soft edge.
    radius_px : float, optional
    """

    def __init__(self, geometry: Geometry, probe: NDArray[Any] | None, radius_px: float | None) -> None:
        self._bad = geometry.bad_pixel
        if probe is not None:
            probe = without_bad_pixels(probe, self._bad)
        shape = probe_shape(geometry, probe, radius_px)
        if probe is not None and radius_px is None:
            self._model = model_of_probe(probe, shape.radius_px, shape.centre_px)
        else:
            self._model = model_of_radius(shape.radius_px, shape.edge_px)

    def __call__(self, patterns: NDArray[np.float32], peaks: PeakBatch) -> PeakBatch:
        """Peaks with the positions of the fits, and their covariances, where these hold.

        Parameters
        ----------
        patterns : (n, qy, qx) float32 array
        peaks : PeakBatch
            Of these patterns. What is too faint to be fitted, is no disk of the probe's shape, or lies elsewhere than
            the network says keeps its position, and is flagged ``not_refined``.
        """
        gains = np.array([measure_gain(pattern, *pattern.shape) for pattern in patterns])
        fits = fit_disks(
            patterns,
            peaks.counts,
            peaks.qy_px,
            peaks.qx_px,
            self._model,
            bad_pixel=self._bad,
            counts_per_electron=np.where(gains > 0, gains, 1.0),
        )
        moved = np.square(fits.y - peaks.qy_px) + np.square(fits.x - peaks.qx_px)
        expected = peaks.var_yy.astype(float) + peaks.var_xx
        held = ((fits.flags & NOT_REFINED) == 0) & (moved < 0.5 * _MOST_SIGMAS**2 * expected)

        def chosen(fitted: NDArray[Any], said: NDArray[Any]) -> NDArray[Any]:
            return np.where(held, fitted, said).astype(said.dtype)

        flags = peaks.flags | (fits.flags & (EDGE | OVERLAP)) | np.where(held, 0, _FLAG_NOT_REFINED).astype(np.uint16)
        return replace(
            peaks,
            qy_px=chosen(fits.y, peaks.qy_px),
            qx_px=chosen(fits.x, peaks.qx_px),
            var_yy=chosen(fits.var_yy, peaks.var_yy),
            var_yx=chosen(fits.var_yx, peaks.var_yx),
            var_xx=chosen(fits.var_xx, peaks.var_xx),
            flags=flags.astype(np.uint16),
        )

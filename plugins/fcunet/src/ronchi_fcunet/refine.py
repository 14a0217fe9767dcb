"""Positions of the disks that a network has found, by the likelihood of the counts around them."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.api import PeakBatch
from ronchi.disk import ProbeShape, without_bad_pixels
from ronchi_disks.disk_model import model_of_probe, model_of_radius
from ronchi_disks.likelihood import EDGE, NOT_REFINED, OVERLAP, fit_disks
from ronchi_disks.noise import measure_noise, warn_of_camera

__all__ = ["Refiner"]

_MOST_SIGMAS = 4.0
"""A fit that ends farther than this from where the network saw the disk, by its own error bar, has found another."""
_FLAG_NOT_REFINED = 16
"""Of `peaks/1`; flags of edge and overlap are the same in the fit."""


class Refiner:
    """Fits the disks of patterns.

    Parameters
    ----------
    shape : ProbeShape
        Of the disks.
    probe : (qy, qx) array or None
        Probe over vacuum with a disk of that shape; without one disks are round with a soft edge.
    bad_pixel : (qy, qx) bool array or None
        Where the detector is not to be believed.
    log : logging.Logger, optional
        Told once of patterns whose noise does not tell the gain of the camera.
    counts_per_electron : float or None
        That gain, where it is known.

    Raises
    ------
    DataError
        There is no disk in the probe.
    """

    def __init__(
        self,
        shape: ProbeShape,
        probe: NDArray[Any] | None = None,
        bad_pixel: NDArray[np.bool_] | None = None,
        log: logging.Logger | None = None,
        counts_per_electron: float | None = None,
    ) -> None:
        self._bad, self._gain = bad_pixel, counts_per_electron
        self._log = log if counts_per_electron is None else None
        if probe is None:
            self._model = model_of_radius(shape.radius_px, shape.edge_px)
        else:
            self._model = model_of_probe(without_bad_pixels(probe, bad_pixel), shape.radius_px, shape.centre_px)

    def __call__(self, patterns: NDArray[np.float32], peaks: PeakBatch) -> PeakBatch:
        """Peaks with the positions of the fits, and their covariances, where these hold.

        Parameters
        ----------
        patterns : (n, qy, qx) float32 array
        peaks : PeakBatch
            Of these patterns. What is too faint to be fitted, is no disk of the probe's shape, or lies elsewhere than
            the network says keeps its position, and is flagged ``not_refined``.
        """
        if self._log is not None and len(patterns):
            warn_of_camera(patterns[0], self._bad, self._log)
            self._log = None
        # Pixels that were filled in have no noise.
        noise = measure_noise(patterns, self._bad, self._gain)
        fits = fit_disks(
            patterns,
            peaks.counts,
            peaks.qy_px,
            peaks.qx_px,
            self._model,
            bad_pixel=self._bad,
            counts_per_electron=np.where(noise.gain > 0, noise.gain, 1.0),
            read_electrons=noise.read_electrons,
        )
        dy, dx = fits.y - peaks.qy_px, fits.x - peaks.qx_px
        yy, yx, xx = (getattr(peaks, name).astype(float) for name in ("var_yy", "var_yx", "var_xx"))
        # Mahalanobis' distance times the determinant, which may be 0.
        near = xx * dy**2 - 2 * yx * dy * dx + yy * dx**2 <= _MOST_SIGMAS**2 * (yy * xx - yx**2)
        held = ((fits.flags & NOT_REFINED) == 0) & near

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
            disk_counts=_counts_of(fits.intensity, held & (fits.intensity > 0), peaks.counts),
        )


def _counts_of(fitted: NDArray[np.float64], held: NDArray[np.bool_], counts: NDArray[np.int32]) -> NDArray[np.float32]:
    """(p,) counts in the disks: what is not fitted is as faint as the faintest of its pattern; NaN if none is."""
    pattern = np.repeat(np.arange(len(counts)), counts)
    faintest = np.full(len(counts), np.inf)
    np.minimum.at(faintest, pattern[held], fitted[held])
    told = np.where(held, fitted, faintest[pattern])
    return np.where(np.isfinite(told), told, np.nan).astype(np.float32)

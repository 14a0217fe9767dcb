"""Search of whole patterns: correlate, look for maxima, judge them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ronchi.api import DataError
from ronchi.bad_pixels import BadPixelFill
from ronchi_crosscorr.correlate import Correlator
from ronchi_crosscorr.grid import Grid, bin_kernel
from ronchi_crosscorr.mask import bad_share
from ronchi_crosscorr.params import CrossCorrParams
from ronchi_crosscorr.photometry import aperture
from ronchi_crosscorr.search import COLUMNS, Rules, search
from ronchi_crosscorr.template import Template
from ronchi_crosscorr.uncertainty import position_covariance
from ronchi_disks.noise import Noise, measure_noise, quiet_level

__all__ = ["BlindSearch", "Candidates"]

_FILLED_PX = 2.5
"""Bad pixels that are farther from all good ones are not told by them."""


class Candidates(NamedTuple):
    """Candidates of a block, pattern after pattern.

    Parameters
    ----------
    table : (candidate, len(COLUMNS)) float64 array
        See `ronchi_crosscorr.search.COLUMNS`; lengths in px of the frame.
    counts : (n,) int32 array
        Candidates of each pattern.
    noise : Noise
        Of each pattern.
    """

    table: NDArray[np.float64]
    counts: NDArray[np.int32]
    noise: Noise


class BlindSearch:
    """Finds disks anywhere in a pattern.

    Parameters
    ----------
    params : CrossCorrParams
    template : Template
    frame : tuple of int
        ``(qy, qx)`` of the patterns.
    bad_pixel : (qy, qx) bool array or None
    device : str
    edge_px : float, optional
        Least distance of a disk from the edge, instead of the parameters'.
    """

    def __init__(
        self,
        params: CrossCorrParams,
        template: Template,
        frame: tuple[int, int],
        bad_pixel: NDArray[np.bool_] | None,
        device: str,
        edge_px: float | None = None,
    ) -> None:
        from scipy.ndimage import distance_transform_edt

        radius = template.shape.radius_px
        edge_px = params.edge * radius if edge_px is None else edge_px
        self.grid = Grid.make(frame, radius, margin_px=max(0.0, radius - edge_px))
        k = self.grid.binning
        kernel = bin_kernel(template.kernel(frame), self.grid)
        power = {"cross": 1.0, "phase": 0.0, "hybrid": params.power}[params.mode]
        scale = radius / k
        self.correlator = Correlator(
            self.grid, kernel, params.low_pass * scale, params.high_pass * scale, power, device
        )
        cov_shot, cov_background = position_covariance(self.correlator, kernel)
        self.rules = Rules(
            height=self.grid.used[0],
            width=self.grid.used[1],
            last_y=self.grid.last[0],
            last_x=self.grid.last[1],
            edge=edge_px / k,
            min_distance=params.min_distance * scale,
            radius=scale,
            min_snr=params.min_snr,
            min_relative=params.min_relative,
            max_peaks=params.max_peaks,
            linear=power == 1,
            interpolate=params.refine == "correlation",
            cov_shot=cov_shot,
            cov_background=cov_background,
        )
        self._aperture = aperture(scale, template.shape.edge_px / k, self.grid.padded[1])
        masked = bad_pixel is not None and bool(np.any(bad_pixel))
        self.bad_pixel = np.asarray(bad_pixel, bool) if masked else None
        self._fill = None if self.bad_pixel is None else BadPixelFill(self.bad_pixel)
        self._deep = None if self.bad_pixel is None else distance_transform_edt(self.bad_pixel) > _FILLED_PX
        self.bad_share = bad_share(self.bad_pixel, self.grid, self._aperture)[None]
        self._gain = params.counts_per_electron
        # Local maxima are at most one in four pixels.
        self._capacity = self.grid.used[0] * self.grid.used[1] // 4 + 1
        self._table = np.empty((self.correlator.batch * self._capacity, len(COLUMNS)))

    def filled(self, frames: NDArray[Any]) -> NDArray[Any]:
        """``frames`` (n, qy, qx) with values for the bad pixels, float32 if there are any.

        Those at the rim of a mask continue what is beside them, so that it has no edge. Those farther inside hold the
        level of the background: a disk half under a beam stop would grow into a bar, and its maximum leave it.
        """
        if self._fill is None or self._deep is None:
            return frames
        filled = self._fill(frames)
        if self._deep.any():
            for frame in filled:
                frame[self._deep] = quiet_level(frame, *frame.shape)
        return filled

    def noise(self, frames: NDArray[Any]) -> Noise:
        """Noise of each of ``frames`` (n, qy, qx), from all their pixels as they were recorded.

        What fills bad pixels has no noise, and blocks of pixels leave no quiet place between disks.
        """
        return measure_noise(frames, self.bad_pixel, self._gain)

    def candidates(self, frames: NDArray[Any], *, explain: bool = False, noise: Noise | None = None) -> Candidates:
        """Candidates of ``frames`` (n, qy, qx): the accepted ones, or all of them; ``noise`` if it is known.

        Raises
        ------
        DataError
            A pattern holds NaN or infinity.
        """
        counts = np.zeros(len(frames), np.int32)
        noise = self.noise(frames) if noise is None else noise
        parts = []
        step = self.correlator.batch
        for start in range(0, len(frames), step):
            batch = slice(start, start + step)
            filled = self.filled(frames[batch])
            correlation = self.correlator(filled)
            if not np.isfinite(correlation.total).all():
                raise not_finite(start + int(np.argmin(np.isfinite(correlation.total))))
            rows = search(
                correlation.counts,
                correlation.values,
                self.bad_share if len(self.bad_share) == 1 else self.bad_share[batch],
                self.rules,
                self._aperture,
                explain,
                self._table[: len(filled) * self._capacity],
                counts[batch],
                noise.gain[batch],
            )
            parts.append(self._table[:rows].copy())
        table = np.concatenate(parts) if parts else np.empty((0, len(COLUMNS)))
        k = self.grid.binning
        if k > 1:
            table[:, :2] = self.grid.to_frame(table[:, :2])
            first = COLUMNS.index("var_yy")
            table[:, first : first + 3] *= k * k
        return Candidates(table, counts, noise)


def not_finite(frame: int) -> DataError:
    """Make the error that names a pattern with NaN or infinity."""
    return DataError(
        "a pattern holds NaN or infinity",
        where=f"frame {frame} of the block",
        fix="mark the pixels in `bad_pixel`, or replace them before the detection",
    )

"""The detector: probe and geometry in, peaks out."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ronchi.api import Context, DataError, Geometry, PeakBatch
from ronchi_crosscorr.correlate import Correlator
from ronchi_crosscorr.grid import Grid
from ronchi_crosscorr.mask import BadPixelFill
from ronchi_crosscorr.params import CrossCorrParams
from ronchi_crosscorr.photometry import SECTORS, Aperture, aperture
from ronchi_crosscorr.search import COLUMNS, REASONS, Rules, search
from ronchi_crosscorr.template import ProbeShape, probe_shape, template_kernel
from ronchi_crosscorr.uncertainty import position_covariance

__all__ = ["CrossCorr"]

_CAPACITY = 4096
"""Most candidates of a pattern."""


class CrossCorr:
    """Bragg disks by template correlation; see `CrossCorrParams` for what can be chosen."""

    reason_names = REASONS

    def __init__(self, params: CrossCorrParams) -> None:
        self.params = params

    def prepare(self, geometry: Geometry, probe: NDArray[Any] | None, ctx: Context) -> None:
        """Make the template and the buffers.

        Parameters
        ----------
        probe : (qy, qx) array or None
            Probe over vacuum, anywhere in its frame.

        Raises
        ------
        DataError
            The size of the disks cannot be known, or they do not fit into a pattern.
        """
        p = self.params
        if p.template == "measured" and probe is None:
            raise DataError("the template 'measured' needs a probe", fix="give the data a probe, or use template: disk")
        shape = probe_shape(geometry, probe, p.probe_radius_px)
        radius = shape.radius_px
        if 2 * radius >= min(geometry.shape):
            raise DataError(
                f"a disk of radius {radius:.1f} px does not fit into a pattern of {geometry.shape}",
                fix="give the probe of this data set, or `probe_radius_px`",
            )
        grid = Grid.make(geometry.shape, radius, margin_px=max(0.0, 1 - p.edge) * radius)
        scale = radius / grid.binning
        kernel = _on_grid(self._template(shape, probe, geometry.shape), grid)
        power = {"cross": 1.0, "phase": 0.0, "hybrid": p.power}[p.mode]
        self.shape, self.grid = shape, grid
        self._correlator = Correlator(grid, kernel, p.low_pass * scale, p.high_pass * scale, power, ctx.device)
        cov_shot, cov_background = position_covariance(self._correlator, kernel)
        self._rules = Rules(
            height=grid.used[0],
            width=grid.used[1],
            edge=p.edge * scale,
            min_distance=p.min_distance * scale,
            radius=scale,
            min_snr=p.min_snr,
            min_relative=p.min_relative,
            max_peaks=p.max_peaks,
            gain=p.counts_per_electron or 0.0,
            linear=power == 1,
            interpolate=p.refine == "correlation",
            cov_shot=cov_shot,
            cov_background=cov_background,
        )
        self._aperture = aperture(scale, shape.edge_px / grid.binning, grid.padded[1])
        bad = geometry.bad_pixel
        self._fill = BadPixelFill(np.asarray(bad, bool)) if bad is not None and np.any(bad) else None
        self._bad_share = _bad_share(bad, grid, self._aperture)
        self._table = np.empty((self._correlator.batch * _CAPACITY, len(COLUMNS)))

    def _template(self, shape: ProbeShape, probe: NDArray[Any] | None, frame: tuple[int, int]) -> NDArray[np.float64]:
        p = self.params
        kind = p.template if p.template != "auto" else "disk" if probe is None or p.probe_radius_px else "measured"
        return template_kernel(kind, shape, probe, frame, (p.ellipse_ratio, p.ellipse_angle_deg))

    def detect(self, frames: NDArray[Any]) -> PeakBatch:
        """Find the disks of ``frames`` (n, qy, qx), any real dtype.

        Raises
        ------
        DataError
            A pattern holds NaN or infinity, or has another shape than was prepared for.
        """
        table, counts, gains = self._candidates(frames, explain=False)
        column = dict(zip(COLUMNS, table.T, strict=True))
        area = self.grid.binning**2
        return PeakBatch(
            counts=counts,
            qy_px=self.grid.to_frame(column["y"]),
            qx_px=self.grid.to_frame(column["x"]),
            intensity=column["intensity"].astype(np.float32),
            score=column["snr"].astype(np.float32),
            var_yy=(column["var_yy"] * area).astype(np.float32),
            var_yx=(column["var_yx"] * area).astype(np.float32),
            var_xx=(column["var_xx"] * area).astype(np.float32),
            flags=column["flags"].astype(np.uint16),
        )

    def explain(self, frames: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Every candidate of ``frames`` with the verdict on it.

        Returns
        -------
        candidates : dict of arrays
            ``counts`` (n,) candidates of each pattern, and flat ``qy_px``, ``qx_px``, ``intensity``,
            ``score`` (0 where it was not measured) and ``reason``, an index into `reason_names`.
        """
        table, counts, gains = self._candidates(frames, explain=True)
        column = dict(zip(COLUMNS, table.T, strict=True))
        return {
            "counts": counts,
            "qy_px": self.grid.to_frame(column["y"]),
            "qx_px": self.grid.to_frame(column["x"]),
            "intensity": column["intensity"].astype(np.float32),
            "score": column["snr"].astype(np.float32),
            "reason": column["reason"].astype(np.uint8),
        }

    def _candidates(
        self, frames: NDArray[Any], *, explain: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float64]]:
        frames = np.asarray(frames)
        if frames.ndim != 3 or frames.shape[1:] != self.grid.frame:
            raise DataError(f"patterns of shape {frames.shape[1:]}, prepared for {self.grid.frame}", where="detect")
        counts, gains = np.zeros(len(frames), np.int32), np.zeros(len(frames))
        parts = []
        for start in range(0, len(frames), self._correlator.batch):
            batch = frames[start : start + self._correlator.batch]
            correlation = self._correlator(batch if self._fill is None else self._fill(batch))
            _check_finite(correlation.total, start)
            rows = search(
                correlation.counts,
                correlation.values,
                self._bad_share,
                self._rules,
                self._aperture,
                explain,
                self._table[: len(batch) * _CAPACITY],
                counts[start : start + len(batch)],
                gains[start : start + len(batch)],
            )
            parts.append(self._table[:rows].copy())
        table = np.concatenate(parts) if parts else np.empty((0, len(COLUMNS)))
        return table, counts, gains


def _check_finite(total: NDArray[np.float32], start: int) -> None:
    broken = np.flatnonzero(~np.isfinite(total))
    if len(broken):
        raise DataError(
            "a pattern holds NaN or infinity",
            where=f"frame {start + int(broken[0])} of the block",
            fix="mark the pixels in `bad_pixel`, or replace them before the detection",
        )


def _on_grid(kernel: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """Sum a template over the grid's blocks, the template's centre kept on a pixel of the grid."""
    from scipy import ndimage

    k = grid.binning
    rows, columns = grid.padded
    fine = np.zeros((rows * k, columns * k))
    height, width = min(kernel.shape[0], rows * k), min(kernel.shape[1], columns * k)
    centre = (kernel.shape[0] // 2, kernel.shape[1] // 2)
    y0, x0 = rows // 2 * k - height // 2, columns // 2 * k - width // 2
    fine[y0 : y0 + height, x0 : x0 + width] = kernel[
        centre[0] - height // 2 : centre[0] - height // 2 + height,
        centre[1] - width // 2 : centre[1] - width // 2 + width,
    ]
    if k > 1:
        # The centre of a block of k pixels lies (k - 1) / 2 beyond its first one.
        shifted = ndimage.fourier_shift(np.fft.fft2(fine), (k - 1) / 2)
        fine = np.fft.ifft2(shifted).real.reshape(rows, k, columns, k).sum((1, 3))
    return fine


def _bad_share(bad: NDArray[np.bool_] | None, grid: Grid, ap: Aperture) -> NDArray[np.float32]:
    """Share of bad pixels in a disk centred on each pixel of the grid."""
    from scipy import ndimage

    share = np.zeros(grid.used, np.float32)
    if bad is None or not np.any(bad):
        return share
    k = grid.binning
    padded = np.zeros((grid.used[0] * k, grid.used[1] * k))
    padded[: bad.shape[0], : bad.shape[1]] = bad
    blocks = padded.reshape(grid.used[0], k, grid.used[1], k).mean((1, 3))
    disk = np.zeros((2 * ap.reach + 1, 2 * ap.reach + 1))
    n = ap.start[SECTORS]
    disk[ap.dy[:n] + ap.reach, ap.dx[:n] + ap.reach] = 1
    return cast("NDArray[np.float32]", ndimage.convolve(blocks, disk / disk.sum(), mode="constant").astype(np.float32))

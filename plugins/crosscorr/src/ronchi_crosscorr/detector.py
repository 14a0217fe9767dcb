"""The detector: probe and geometry in, peaks out."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.api import Context, DataError, Geometry, PeakBatch
from ronchi.disk import probe_shape, without_bad_pixels
from ronchi_crosscorr.blind import BlindSearch, Candidates
from ronchi_crosscorr.correlate import limited_threads
from ronchi_crosscorr.params import CrossCorrParams
from ronchi_crosscorr.search import COLUMNS, FLAG_NOT_REFINED, REASONS
from ronchi_crosscorr.seeded import Lattice, SeededSearch, find_lattice
from ronchi_crosscorr.template import Template
from ronchi_disks.disk_model import model_of_probe, model_of_radius
from ronchi_disks.likelihood import EDGE, NOT_REFINED, OVERLAP, SMOOTH, DiskFits, fit_disks
from ronchi_disks.noise import Noise, warn_of_camera

__all__ = ["CrossCorr"]

_FIT_BATCH = 16
"""Patterns converted at a time for the fit."""
_UNREFINED_PX, _UNREFINED_R = 1.0, 0.1
"""Standard error added where the fit found no disk of the probe's shape, px and radii, whichever is larger: the
correlation's own error bar assumes one."""

_MANY, _MOST_SMOOTH = 10, 0.3
"""Disks of a block, and the share of them that is dropped as smooth, from which on a warning tells."""


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
            Probe over vacuum, anywhere in its frame; of the patterns' size, it has their bad pixels.

        Raises
        ------
        DataError
            The size of the disks cannot be known, they do not fit into a pattern, the mask has another shape than
            the patterns, or a seeded search has no lattice.
        """
        self._gain = self.params.counts_per_electron or geometry.counts_per_electron
        p = self.params.model_copy(update={"counts_per_electron": self._gain})
        self._n_threads, self._log = ctx.n_threads, ctx.log
        self._told_cap = self._told_camera = self._told_smooth = False
        if p.template == "measured" and probe is None:
            raise DataError("the template 'measured' needs a probe", fix="give the data a probe, or use template: disk")
        self._bad = geometry.bad_pixel
        if self._bad is not None and self._bad.shape != geometry.shape:
            raise DataError(
                f"the mask has shape {self._bad.shape}, the patterns {geometry.shape}",
                where="bad_pixel",
                fix="give a mask of the patterns' shape",
            )
        if probe is not None:
            probe = without_bad_pixels(probe, self._bad)
        if geometry.mean_pattern is not None:
            geometry = replace(geometry, mean_pattern=without_bad_pixels(geometry.mean_pattern, self._bad))
        shape = probe_shape(geometry, probe, p.probe_radius_px, ctx.log)
        if 2 * shape.radius_px >= min(geometry.shape):
            raise DataError(
                f"a disk of radius {shape.radius_px:.1f} px does not fit into a pattern of {geometry.shape}",
                fix="give the probe of this data set, or `probe_radius_px`",
            )
        measured = probe is not None and p.probe_radius_px is None
        kind = p.template if p.template != "auto" else "measured" if measured else "disk"
        template = Template(kind, shape, probe, (p.ellipse_ratio, p.ellipse_angle_deg))
        self.shape, self._frame = shape, geometry.shape
        self._search: BlindSearch | SeededSearch = BlindSearch(p, template, geometry.shape, self._bad, ctx.device)
        if p.search == "seeded":
            lattice = self._lattice(geometry)
            self._search = SeededSearch(p, template, geometry.shape, self._bad, ctx.device, lattice)
        if probe is not None and measured:
            self._model = model_of_probe(probe, shape.radius_px, shape.centre_px)
        else:
            self._model = model_of_radius(shape.radius_px, shape.edge_px)

    def _lattice(self, geometry: Geometry) -> Lattice:
        p = self.params
        if p.origin and p.g1 and p.g2:
            return np.array([p.origin, p.g1, p.g2], np.float64)
        if geometry.mean_pattern is None:
            raise DataError("a seeded search needs a lattice or a mean pattern", fix="give `origin`, `g1` and `g2`")
        with limited_threads(self._n_threads):
            table = self._search.candidates(np.asarray(geometry.mean_pattern, np.float32)[None]).table
        return find_lattice(table[:, 0], table[:, 1], geometry.centre_px)

    def detect(self, frames: NDArray[Any]) -> PeakBatch:
        """Find the disks of ``frames`` (n, qy, qx), any real dtype.

        Raises
        ------
        DataError
            A pattern holds NaN or infinity, or has another shape than was prepared for.
        """
        found = self._candidates(frames, explain=False)
        self._warn_of_cap(found.counts)
        self._warn_of_camera(np.asarray(frames))
        column = dict(zip(COLUMNS, found.table.T, strict=True))
        single = {name: column[name].astype(np.float32) for name in ("intensity", "var_yy", "var_yx", "var_xx")}
        peaks = PeakBatch(
            counts=found.counts,
            qy_px=column["y"].copy(),
            qx_px=column["x"].copy(),
            score=column["snr"].astype(np.float32),
            flags=column["flags"].astype(np.uint16),
            **single,
        )
        if self.params.refine != "likelihood" or not len(peaks.qy_px):
            return peaks
        fits = self._fits(np.asarray(frames), found.counts, peaks.qy_px, peaks.qx_px, found.noise)
        smooth = (fits.flags & SMOOTH) > 0
        self._warn_of_smooth(smooth)
        return _without(self._refined(peaks, fits), smooth)

    def _warn_of_cap(self, counts: NDArray[np.int32]) -> None:
        most = self.params.max_peaks
        if not self._told_cap and counts.max(initial=0) >= most:
            self._log.warning("patterns hold max_peaks = %d disks or more: the faintest are left out", most)
            self._told_cap = True

    def _warn_of_smooth(self, smooth: NDArray[np.bool_]) -> None:
        if not self._told_smooth and len(smooth) >= _MANY and smooth.mean() > _MOST_SMOOTH:
            self._log.warning(
                "%d of %d disks are dropped, for a bend of the background explains them better than disks of %.1f px "
                "do: they are rings of an amorphous film, or disks of another size; give a probe, or check its radius",
                smooth.sum(),
                len(smooth),
                self.shape.radius_px,
            )
            self._told_smooth = True

    def _warn_of_camera(self, frames: NDArray[Any]) -> None:
        if not self._told_camera and len(frames) and self._gain is None:
            warn_of_camera(np.ascontiguousarray(frames[0], np.float32), self._bad, self._log)
            self._told_camera = True

    def _fits(
        self,
        frames: NDArray[Any],
        counts: NDArray[np.int32],
        y: NDArray[np.float64],
        x: NDArray[np.float64],
        noise: Noise,
    ) -> DiskFits:
        """Fits of the disks whose places are known from the correlation."""
        gain = np.where(noise.gain > 0, noise.gain, 1.0)
        first = np.concatenate([[0], np.cumsum(counts)])
        parts = []
        for start in range(0, len(frames), _FIT_BATCH):
            batch = slice(start, start + _FIT_BATCH)
            own = slice(first[start], first[min(start + _FIT_BATCH, len(frames))])
            # One type: code compiled for another would cost the first user of each type some seconds.
            part = fit_disks(
                frames[batch].astype(np.float32),
                counts[batch],
                y[own],
                x[own],
                self._model,
                bad_pixel=self._bad,
                counts_per_electron=gain[batch],
                read_electrons=noise.read_electrons[batch],
            )
            parts.append(part)
        return DiskFits(*map(np.concatenate, zip(*parts, strict=True)))

    def _refined(self, peaks: PeakBatch, fits: DiskFits) -> PeakBatch:
        """Peaks with the positions of the likelihood in place of the correlation's, where the fit holds."""
        failed = (fits.flags & NOT_REFINED) > 0
        # The two modules agree on the bits of edge and overlap.
        flags = np.where(failed, FLAG_NOT_REFINED, fits.flags & (EDGE | OVERLAP)).astype(np.uint16)

        unrefined = max(_UNREFINED_PX, _UNREFINED_R * self.shape.radius_px)
        blind = np.where(failed, unrefined**2, 0.0).astype(np.float32)

        def chosen(fitted: NDArray[np.float64], correlated: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.where(failed, correlated, fitted).astype(np.float32)

        return replace(
            peaks,
            qy_px=np.where(failed, peaks.qy_px, fits.y),
            qx_px=np.where(failed, peaks.qx_px, fits.x),
            intensity=chosen(fits.intensity, peaks.intensity),
            var_yy=chosen(fits.var_yy, peaks.var_yy) + blind,
            var_yx=chosen(fits.var_yx, peaks.var_yx),
            var_xx=chosen(fits.var_xx, peaks.var_xx) + blind,
            flags=peaks.flags | flags,
        )

    def explain(self, frames: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Every candidate of ``frames`` with the verdict on it.

        Returns
        -------
        candidates : dict of arrays
            ``counts`` (n,) candidates of each pattern, and flat ``qy_px``, ``qx_px``, ``intensity``,
            ``score`` (0 where it was not measured) and ``reason``, an index into `reason_names`.
            The positions are those of the correlation.
        """
        found = self._candidates(frames, explain=True)
        column = dict(zip(COLUMNS, found.table.T, strict=True))
        accepted = column["reason"] == 0
        if self.params.refine == "likelihood" and accepted.any():
            pattern = np.repeat(np.arange(len(found.counts)), found.counts)[accepted]
            counts = np.bincount(pattern, minlength=len(found.counts)).astype(np.int32)
            fits = self._fits(np.asarray(frames), counts, column["y"][accepted], column["x"][accepted], found.noise)
            column["reason"][np.flatnonzero(accepted)[(fits.flags & SMOOTH) > 0]] = REASONS.index("smooth")
        return {
            "counts": found.counts,
            "qy_px": column["y"].copy(),
            "qx_px": column["x"].copy(),
            "intensity": column["intensity"].astype(np.float32),
            "score": column["snr"].astype(np.float32),
            "reason": column["reason"].astype(np.uint8),
            "reasons": self.reason_names,
        }

    def _candidates(self, frames: NDArray[Any], *, explain: bool) -> Candidates:
        frames = np.asarray(frames)
        if frames.ndim != 3 or frames.shape[1:] != self._frame:
            raise DataError(f"patterns of shape {frames.shape[1:]}, prepared for {self._frame}", where="detect")
        with limited_threads(self._n_threads):
            return self._search.candidates(frames, explain=explain)


def _without(peaks: PeakBatch, dropped: NDArray[np.bool_]) -> PeakBatch:
    pattern = np.repeat(np.arange(len(peaks.counts)), peaks.counts)[~dropped]
    columns = {f.name: getattr(peaks, f.name)[~dropped] for f in fields(peaks) if f.name != "counts"}
    return PeakBatch(counts=np.bincount(pattern, minlength=len(peaks.counts)).astype(np.int32), **columns)

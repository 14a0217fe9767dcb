"""The detector: probe and patterns in, peaks out, by whichever network the weights belong to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ronchi.api import Context, DataError, Geometry, PeakBatch
from ronchi.bad_pixels import BadPixelFill, without_bad_pixels
from ronchi.disk import centred_probe, offsets_px, probe_shape
from ronchi_fcunet.compact import CompactDetector
from ronchi_fcunet.decode import peaks_of_image, peaks_of_maps
from ronchi_fcunet.params import FcunetParams
from ronchi_fcunet.weights import load_weights

__all__ = ["Fcunet"]

_MAPS_PER_CHANNEL = 4
"""Copies of the widest maps that a pass holds at a time: input, two intermediates, output."""

_NO_PEAKS = PeakBatch(
    counts=np.zeros(0, np.int32),
    qy_px=np.zeros(0),
    qx_px=np.zeros(0),
    flags=np.zeros(0, np.uint16),
    **dict.fromkeys(("intensity", "score", "var_yy", "var_yx", "var_xx"), np.zeros(0, np.float32)),
)


class Fcunet:
    """Bragg disks by a trained network; see `FcunetParams` for what can be chosen."""

    def __init__(self, params: FcunetParams) -> None:
        self.params = params

    def prepare(self, geometry: Geometry, probe: NDArray[Any] | None, ctx: Context) -> None:
        """Load the weights and centre the probe.

        Parameters
        ----------
        probe : (qy, qx) array or None
            Probe over vacuum, anywhere in its frame; without one a soft disk of the calibrated radius.

        Raises
        ------
        DataError
            The weights are absent, damaged or of another version; the size of the disks cannot be known; or a single
            pattern needs more memory than `memory_mb`.
        """
        p = self.params
        self._loaded = load_weights(p.weights)
        self._device, self._n_threads = torch.device(ctx.device), ctx.n_threads
        self._network = self._loaded.network.to(self._device).eval()
        self._entropy = int(ctx.rng.integers(2**63))
        bad = geometry.bad_pixel
        self._fill = BadPixelFill(bad) if bad is not None and bad.any() else None
        if probe is not None:
            probe = without_bad_pixels(probe, bad)
        shape = probe_shape(geometry, probe, p.probe_radius_px)
        if 2 * shape.radius_px >= min(geometry.shape):
            raise DataError(
                f"a disk of radius {shape.radius_px:.1f} px does not fit into a pattern of {geometry.shape}",
                where="probe",
                fix="give the probe of this data set, or `probe_radius_px`",
            )
        if probe is None:
            rho = np.hypot(*offsets_px(geometry.shape, (geometry.shape[0] // 2, geometry.shape[1] // 2)))
            template = 1 / (1 + np.exp(np.clip((rho - shape.radius_px) / shape.edge_px, -50, 50)))
        else:
            template = centred_probe(np.asarray(probe, np.float64), shape, geometry.shape)
        self._frame = geometry.shape
        self._probe = torch.from_numpy(template.astype(np.float32))[None].to(self._device)
        self._radius = torch.tensor([shape.radius_px], dtype=torch.float32, device=self._device)
        self._batch = p.batch or self._affordable()

    def _affordable(self) -> int:
        pixels = self._frame[0] * self._frame[1]
        each_mb = _MAPS_PER_CHANNEL * self._loaded.widest_planes * pixels * 4 / 1e6
        n = int(self.params.memory_mb / each_mb)
        if n < 1:
            raise DataError(
                f"a pattern of {self._frame} needs {each_mb:.0f} MB in this network, `memory_mb` is "
                f"{self.params.memory_mb:g}",
                where="memory_mb",
                fix="raise it, bin the patterns, or use weights: compact",
            )
        return min(n, 64)

    def detect(self, frames: NDArray[Any]) -> PeakBatch:
        """Find the disks of ``frames`` (n, qy, qx), any real dtype.

        Raises
        ------
        DataError
            The patterns have another shape than was prepared for.
        """
        frames = np.asarray(frames)
        if frames.ndim != 3 or frames.shape[1:] != self._frame:
            raise DataError(f"patterns of shape {frames.shape[1:]}, prepared for {self._frame}", where="detect")
        if not len(frames):
            return _NO_PEAKS
        starts = range(0, len(frames), self._batch)
        with torch.inference_mode(), self._threads():
            return _joined([self._peaks(frames[start : start + self._batch]) for start in starts])

    @contextmanager
    def _threads(self) -> Iterator[None]:
        before = torch.get_num_threads()
        torch.set_num_threads(self._n_threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def _peaks(self, frames: NDArray[Any]) -> PeakBatch:
        p = self.params
        filled = frames.astype(np.float32) if self._fill is None else self._fill(frames)
        patterns = torch.from_numpy(filled).to(self._device)
        half = p.precision == "bfloat16"
        with torch.autocast(self._device.type, torch.bfloat16, enabled=half):
            if isinstance(self._network, CompactDetector):
                maps = self._network(patterns, self._probe, self._radius)
                return peaks_of_maps(maps, self._frame, p.threshold, p.max_peaks)
            images = self._images(patterns)
        return peaks_of_image(images.float(), p.threshold, p.max_peaks, self._loaded.sigma_px)

    def _images(self, patterns: Tensor) -> Tensor:
        if self.params.passes == 1:
            return self._network(patterns, self._probe)
        dropouts = [layer for layer in self._network.modules() if isinstance(layer, torch.nn.Dropout)]
        total = torch.zeros_like(patterns)
        with torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else []):
            torch.manual_seed(self._entropy)
            for layer in dropouts:
                layer.train()
            for _ in range(self.params.passes):
                total += self._network(patterns, self._probe)
            for layer in dropouts:
                layer.eval()
        return total / self.params.passes


def _joined(parts: list[PeakBatch]) -> PeakBatch:
    if len(parts) == 1:
        return parts[0]
    return PeakBatch(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(PeakBatch)})

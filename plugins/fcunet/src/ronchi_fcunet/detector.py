"""The detector: probe and patterns in, peaks out, by whichever network the weights belong to."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ronchi.api import Context, DataError, Geometry, PeakBatch
from ronchi.bad_pixels import BadPixelFill
from ronchi_fcunet.binning import binned, binned_template, unbinned
from ronchi_fcunet.compact import CompactDetector
from ronchi_fcunet.decode import peaks_of_image, peaks_of_maps
from ronchi_fcunet.params import FcunetParams
from ronchi_fcunet.refine import Refiner
from ronchi_fcunet.symmetry import mean_maps
from ronchi_fcunet.template import probe_template
from ronchi_fcunet.verdicts import REASONS, verdicts
from ronchi_fcunet.views import probe_radius_px
from ronchi_fcunet.weights import load_weights
from ronchi_torch.threads import thread_limit
from ronchi_torch.world import found_device

__all__ = ["Fcunet"]

_MOST_AT_A_TIME = 64
_LOOK, _MOST_PEAKS = 0.1, 4096
"""How far below the threshold, and at how many, those look who ask why a disk is missed."""
_NO_CONTRAST = 1e-3
"""Of the mean: a counted pattern has more than that between its pixels."""
_BEYOND = 1.5
"""Disks this many times smaller than those of the training are still found. Larger ones are binned: those of the
training are hardly ever as large as the largest."""

_NO_PEAKS = PeakBatch(
    counts=np.zeros(0, np.int32),
    qy_px=np.zeros(0),
    qx_px=np.zeros(0),
    flags=np.zeros(0, np.uint16),
    **dict.fromkeys(("intensity", "score", "var_yy", "var_yx", "var_xx"), np.zeros(0, np.float32)),
)


class Fcunet:
    """Bragg disks by a trained network; see `FcunetParams` for what can be chosen."""

    reason_names = REASONS

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
            There is no GPU, and it is asked for; the weights are absent, damaged or of another version; the size of
            the disks cannot be known, or is not one that they have learned from; or a single pattern needs more memory
            than `memory_mb`.
        """
        p = self.params
        self._loaded = load_weights(p.weights)
        self._device, self._n_threads = found_device(ctx.device), ctx.n_threads
        self._network = self._loaded.network.to(self._device).eval()
        self._entropy = int(ctx.rng.integers(2**63))
        bad = geometry.bad_pixel
        self._fill = BadPixelFill(bad) if bad is not None and bad.any() else None
        template, shape = probe_template(geometry, probe, p.probe_radius_px, ctx.log)
        radius_px = shape.radius_px
        self._binned = self._binning(radius_px, float(probe_radius_px(torch.from_numpy(template)[None])))
        self._frame = geometry.shape
        if self._binned > 1:
            template = binned_template(template, self._binned)
        self._probe = torch.from_numpy(template)[None].to(self._device)
        self._radius = torch.tensor([radius_px / self._binned], device=self._device)
        centre = [(place - (self._binned - 1) / 2) / self._binned for place in geometry.centre_px]
        self._centre = torch.tensor([centre], dtype=torch.float32, device=self._device)
        measured = probe if p.probe_radius_px is None else None
        gain = p.counts_per_electron or geometry.counts_per_electron
        self._refiner = Refiner(shape, measured, bad, ctx.log, gain) if p.refine == "likelihood" else None
        self._threshold = p.threshold if p.threshold is not None else self._loaded.threshold
        self._rule = self._threshold, p.max_peaks
        self._batch = self._affordable()

    def _binning(self, radius_px: float, seen_px: float) -> int:
        """Pixels to be summed along an axis, so that the disks are as small as those of the training, and no smaller.

        A disk without an edge has another radius for its second moment, by which those of the training were measured.
        """
        known = self._loaded.card.get("radii_px")
        if not known:
            return 1
        least = known[0] / _BEYOND
        if seen_px < least:
            raise DataError(
                f"the disks have a radius of {seen_px:.1f} px, these weights have learned from {known[0]:.1f} px up",
                where="probe",
                fix="train on disks like these",
            )
        return max(1, min(math.ceil(radius_px / known[1]), math.floor(seen_px / least)))

    def _affordable(self) -> int:
        """Patterns at a time: those asked for, else as many as the memory holds."""
        each_mb = self._loaded.planes * self._probe[0].numel() * 4 / 1e6
        n, least = int(self.params.memory_mb / each_mb), self.params.batch or 1
        if n < least:
            raise DataError(
                f"{least} patterns of {self._frame} at a time need {each_mb * least:.0f} MB in this network, "
                f"`memory_mb` is {self.params.memory_mb:g}",
                where="memory_mb",
                fix="raise it, lower `batch`, bin the patterns, or use a smaller network",
            )
        return self.params.batch or (1 if self._device.type == "cpu" else min(n, _MOST_AT_A_TIME))

    def detect(self, frames: NDArray[Any]) -> PeakBatch:
        """Find the disks of ``frames`` (n, qy, qx), any real dtype.

        Raises
        ------
        DataError
            The patterns have another shape than was prepared for.
        """
        return self._in_batches(frames, self._peaks)

    def explain(self, frames: NDArray[Any]) -> dict[str, Any]:
        """What the network takes for a disk with a tenth of the threshold and more, with the verdict on it.

        Returns
        -------
        candidates : dict of arrays
            ``counts`` (n,) candidates of each of ``frames`` (n, qy, qx), and flat ``qy_px``, ``qx_px``, ``intensity``,
            ``score`` and ``reason``, an index into ``reasons``. The positions are those of the network.
        """
        looks = (_LOOK * self._threshold, _MOST_PEAKS), (self._threshold, _MOST_PEAKS), self._rule
        told = verdicts(
            *(self._in_batches(frames, lambda part, rule=rule: self._seen(part, *rule)[1]) for rule in looks)
        )
        if not isinstance(self._network, CompactDetector):
            # Theirs are over the threshold.
            told["score"] = told["score"] * np.float32(_LOOK)
        return told

    def _in_batches(self, frames: NDArray[Any], look: Callable[[NDArray[Any]], PeakBatch]) -> PeakBatch:
        frames = np.asarray(frames)
        if frames.ndim != 3 or frames.shape[1:] != self._frame:
            raise DataError(f"patterns of shape {frames.shape[1:]}, prepared for {self._frame}", where="detect")
        if not len(frames):
            return _NO_PEAKS
        starts = range(0, len(frames), self._batch)
        with torch.inference_mode(), thread_limit(self._n_threads):
            return _joined([look(frames[start : start + self._batch]) for start in starts])

    def _peaks(self, frames: NDArray[Any]) -> PeakBatch:
        filled, found = self._seen(frames, *self._rule)
        return found if self._refiner is None else self._refiner(filled, found)

    def _seen(self, frames: NDArray[Any], threshold: float, most: int) -> tuple[NDArray[np.float32], PeakBatch]:
        """Patterns without bad pixels, and what the network finds in them."""
        filled = frames.astype(np.float32) if self._fill is None else self._fill(frames)
        # Of a pattern that is the same everywhere the views would show rounding errors.
        filled[np.ptp(filled, axis=(1, 2)) <= _NO_CONTRAST * np.abs(filled).mean((1, 2))] = 0
        if self._binned > 1:
            return filled, unbinned(self._found(binned(filled, self._binned), threshold, most), self._binned)
        return filled, self._found(filled, threshold, most)

    def _found(self, filled: NDArray[np.float32], threshold: float, most: int) -> PeakBatch:
        p = self.params
        patterns = torch.from_numpy(np.ascontiguousarray(filled)).to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=p.precision == "bfloat16"):
            if isinstance(self._network, CompactDetector):
                maps = mean_maps(self._network, patterns, self._probe, p.passes)
                return peaks_of_maps(maps, filled.shape[1:], threshold, most, dark=p.dark, min_relative=p.min_relative)
            images = self._network(patterns, self._probe) if p.passes == 1 else self._mean_of_passes(patterns)
        return peaks_of_image(images.float(), self._centre, self._radius, threshold, most, self._loaded.sigma_px)

    def _mean_of_passes(self, patterns: Tensor) -> Tensor:
        """Mean over passes with dropout, one pattern at a time, so that all are judged by the same networks."""
        dropouts = [layer for layer in self._network.modules() if isinstance(layer, torch.nn.Dropout)]
        made = []
        with torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else []):
            try:
                for layer in dropouts:
                    layer.train()
                for pattern in patterns:
                    torch.manual_seed(self._entropy)
                    passes = [self._network(pattern[None], self._probe) for _ in range(self.params.passes)]
                    made.append(torch.stack(passes).mean(0))
            finally:
                for layer in dropouts:
                    layer.eval()
        return torch.cat(made)


def _joined(parts: list[PeakBatch]) -> PeakBatch:
    if len(parts) == 1:
        return parts[0]
    return PeakBatch(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(PeakBatch)})

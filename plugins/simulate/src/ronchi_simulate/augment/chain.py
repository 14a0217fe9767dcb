"""The whole chain on a batch: geometry, background, point spread, detector, dose.

The order is that of the instrument. The projector's distortion comes first, and the background follows it, drawn in the
same distorted coordinates, so that it reaches to the border of a shifted pattern. All is expectation until the Poisson
noise, which is drawn last of all: gaps, the beam stop and dead pixels are expectations of 0, and hot pixels
expectations of their own, so that what they count is as independent of the pattern as if it replaced counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ronchi.api import DataError
from ronchi_simulate.augment.background import amorphous_rings, plasmon_halo
from ronchi_simulate.augment.detector import bad_pixels, blur, count, shadows
from ronchi_simulate.augment.draws import Draws, draw, draw_jitter, draw_pixels
from ronchi_simulate.augment.geometry import interpolate, move_points, source_coordinates, warp
from ronchi_simulate.params.augment import AugmentParams

__all__ = ["Defects", "Instrument", "as_images", "augment_batch", "check_means", "in_parts"]

Array = NDArray[np.float64]


def augment_batch(batch: Mapping[str, Any], seeds: Sequence[int], p: AugmentParams) -> dict[str, Any]:
    """Augment samples: pattern, probe, label and peaks of each by one draw.

    Parameters
    ----------
    batch : mapping of str to Tensor or array
        ``pattern`` (n, rows, columns), not negative; optionally ``probe`` and ``label`` of the same shape, the probe
        over vacuum and centred on N // 2, and ``peaks`` (n, m, k >= 2) with row and column in px first, NaN in
        padding. All are left as they are; other entries are handed on.
    seeds : sequence of n non-negative int
        A sample's draw depends on its seed alone.
    p : AugmentParams

    Returns
    -------
    dict
        The same entries, images as float32 Tensors on the device of the pattern, and ``bad_pixel``
        (n, rows, columns) bool: gaps, beam stop, hot and dead pixels; ``dose_e`` (n,): electrons given to the
        pattern, NaN without noise.

    Raises
    ------
    DataError
        Shapes do not agree, patterns have negative or missing values, or there is no probe to make the plasmon
        background from.
    """
    pattern = as_images(batch["pattern"])
    if pattern.ndim != 3 or len(pattern) != len(seeds):
        what = f"patterns of shape {tuple(pattern.shape)} with {len(seeds)} seeds"
        raise DataError(what, where="augment", fix="give (n, rows, columns) and n seeds")
    if "dose" in p.effects:
        check_means(pattern)
    images = {name: as_images(batch[name]).to(pattern.device) for name in ("probe", "label") if name in batch}
    for name, image in images.items():
        if image.shape != pattern.shape:
            what = f"{name!r} has the shape {tuple(image.shape)}, the pattern {tuple(pattern.shape)}"
            raise DataError(what, where="augment")
    peaks = batch.get("peaks")
    if peaks is not None:
        images["peaks"] = (peaks if isinstance(peaks, Tensor) else torch.tensor(np.asarray(peaks))).to(pattern.device)
    parts = [
        _augment(pattern[at], {name: image[at] for name, image in images.items()}, seeds[at], p)
        for at in in_parts(pattern)
    ]
    return {**batch, **{name: torch.cat([part[name] for part in parts]) for name in parts[0]}}


def _augment(
    pattern: Tensor, others: Mapping[str, Tensor], seeds: Sequence[int], p: AugmentParams
) -> dict[str, Tensor]:
    draws, jitter = draw(p, seeds), draw_jitter(p, seeds)
    instrument = Instrument(p, draws, (p.q_step_inv_angstrom,) * 2, (pattern.shape[1], pattern.shape[2]))
    dose = torch.from_numpy(draws.dose_e).to(pattern.device)
    gain = torch.where(dose.isnan(), 1.0, dose / pattern.double().sum((1, 2)).clamp(min=1e-30)).float()
    defects = instrument.defects(seeds, pattern.device)
    expected = instrument.expect(pattern * gain[:, None, None], others.get("probe"), jitter)
    made = {"pattern": instrument.count(defects.on(expected), seeds), "bad_pixel": defects.bad, "dose_e": dose}
    matrix, shift = instrument.map_of(jitter, pattern.device)
    if "probe" in others:
        made["probe"] = instrument.probe_seen(others["probe"])
    if "label" in others:
        made["label"] = warp(others["label"], matrix, shift, bounded=False)
    if "peaks" in others:
        made["peaks"] = move_points(others["peaks"], matrix, shift, instrument.shape)
    return made


def check_means(patterns: Tensor | NDArray[Any]) -> None:
    """Raise `DataError` unless patterns can be mean counts."""
    if not bool((patterns >= 0).all()):
        what = "a pattern has negative or missing values, which cannot be mean counts"
        raise DataError(what, where="augment", fix="clip them at 0, or leave 'dose' out of `effects`")


def as_images(images: Any) -> Tensor:
    """Any real Tensor or array as a float32 Tensor, which is not to be written to."""
    if isinstance(images, Tensor):
        return images.float()
    # torch does not take arrays that are read-only or in another byte order.
    return torch.from_numpy(np.require(images, np.float32, "CW"))


def in_parts(patterns: Tensor) -> list[slice]:
    """How to go through patterns: one by one on a CPU, where one with all its taps fits in the cache, else at once."""
    step = 1 if patterns.device.type == "cpu" else max(1, len(patterns))
    return [slice(start, start + step) for start in range(0, len(patterns), step)]


@dataclass(frozen=True)
class Defects:
    """Pixels that do not tell the truth.

    Parameters
    ----------
    dark : (n, rows, columns) bool Tensor
        Those that count nothing.
    hot : (n, rows, columns) bool Tensor
    level : (n, rows, columns) float32 Tensor
        Counts of hot pixels over those of the brightest good one.
    floor : (n,) float32 Tensor
        Least counts of that one: in the dark a hot pixel is hot as well.
    """

    dark: Tensor
    hot: Tensor
    level: Tensor
    floor: Tensor

    @property
    def bad(self) -> Tensor:
        """All of them."""
        return self.dark | self.hot

    def to(self, device: torch.device | str) -> Defects:
        """The same on another device."""
        return Defects(self.dark.to(device), self.hot.to(device), self.level.to(device), self.floor.to(device))

    def on(self, expected: Tensor, brightest: float | None = None) -> Tensor:
        """What is expected with them, in units of each pattern's brightest good pixel unless that is given."""
        seen = expected.masked_fill(self.dark, 0.0)
        top = seen.amax((1, 2)) if brightest is None else torch.full_like(self.floor, brightest)
        return torch.where(self.hot, self.level * top.maximum(self.floor)[:, None, None], seen)


@dataclass(frozen=True)
class Instrument:
    """The effects with what was drawn for them, one instrument a pattern.

    Parameters
    ----------
    p : AugmentParams
    draws : Draws
        Of n samples.
    q_step : tuple of float
        Pixel (y, x) in 1/angstrom.
    shape : tuple of int
        Rows and columns.
    """

    p: AugmentParams
    draws: Draws
    q_step: tuple[float, float]
    shape: tuple[int, int]

    def map_of(self, jitter: Array, device: torch.device) -> tuple[Tensor, Tensor]:
        """Matrix (n, 2, 2) and shift (n, 2) px of the patterns' maps, with the jitter (n, 2) px of each."""
        return (
            torch.from_numpy(self.draws.matrix).to(device),
            torch.from_numpy(self.draws.shift_px + jitter).to(device),
        )

    def expect(self, pattern: Tensor, probe: Tensor | None, jitter: Array) -> Tensor:
        """Distort patterns, move electrons into the background, and blur.

        Raises
        ------
        DataError
            The plasmon background is on, and there is no probe.
        """
        d, device = self.draws, pattern.device
        matrix, shift = self.map_of(jitter, device)
        source = source_coordinates(self.shape, matrix, shift)
        expected = interpolate(pattern, source, bounded=True) / torch.linalg.det(matrix).float()[:, None, None]
        total = pattern.double().sum((1, 2)).float()[:, None, None]
        elastic = torch.from_numpy(1 - d.plasmon_weight - d.ring_weight.sum(1)).float().to(device)
        expected *= elastic[:, None, None]
        if d.plasmon_weight.any():
            if probe is None:
                fix = "give the probe, or leave 'plasmon' out of `effects`"
                raise DataError("the plasmon background needs the probe, and there is none", where="augment", fix=fix)
            centred = warp(probe, matrix, torch.zeros_like(shift), bounded=True)
            width = torch.from_numpy(d.plasmon_width).to(device)
            weight = torch.from_numpy(d.plasmon_weight).float().to(device)[:, None, None]
            expected.addcmul_(plasmon_halo(centred, source, width, self.q_step), weight * total)
        if d.ring_weight.any():
            weights, radius, width = (
                torch.from_numpy(value).to(device) for value in (d.ring_weight, d.ring_radius, d.ring_width)
            )
            area = np.prod(self.q_step) / torch.linalg.det(matrix)
            rings = amorphous_rings(source, weights * area[:, None], radius, width, self.q_step)
            expected.addcmul_(rings, total)
        return blur(expected, torch.from_numpy(d.mtf_sigma_px).to(device))

    def probe_seen(self, probe: Tensor) -> Tensor:
        """The probe that is handed on: distorted and blurred as the patterns, mismatched, centred, free of noise."""
        d, device = self.draws, probe.device
        matrix = torch.from_numpy(d.matrix * d.probe_scale[:, None, None]).to(device)
        seen = warp(probe, matrix, torch.zeros_like(matrix[:, 0]), bounded=True)
        return blur(seen, torch.from_numpy(np.hypot(d.mtf_sigma_px, d.probe_blur_px)).to(device))

    def defects(self, seeds: Sequence[int], device: torch.device) -> Defects:
        """Draw gaps, beam stops, hot and dead pixels, each sample's from its seed."""
        d, p = self.draws, self.p
        most = round(max(p.hot_fraction[1], p.dead_fraction[1]) * self.shape[0] * self.shape[1])
        places = draw_pixels(seeds, most)
        low, high = p.hot_level
        places[:, 0, :, 1] = low * (high / low) ** places[:, 0, :, 1]
        hot, level = bad_pixels(d.hot_fraction, places[:, 0], self.shape, device)
        dead, _ = bad_pixels(d.dead_fraction, places[:, 1], self.shape, device)
        dark = shadows(d, self.shape, self.q_step, device) | dead
        floor = torch.from_numpy(np.isfinite(d.dose_e).astype(np.float32)).to(device)
        return Defects(dark, hot & ~dark, level, floor)

    def count(self, expected: Tensor, seeds: Sequence[int]) -> Tensor:
        """Poisson counts where a dose was drawn, else the expectation."""
        return count(expected, seeds, np.isfinite(self.draws.dose_e).tolist())

"""Samples to learn from, augmented on the way into batches.

A batch is a function of the seed and of its number, so that a training that was stopped goes on with the batches it
would have had, whatever the number of loading processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from ronchi.api import DataError, RonchiError

__all__ = ["Augmentation", "Batch", "Sample", "Samples", "batches", "check_sample", "without_crystal"]

_SPOT_PX = 5.0
"""Within this distance lies the spot of a lattice point in a structure-factor image."""

Sample = dict[str, NDArray[Any]]
"""``pattern, probe, label`` (qy, qx), ``peaks`` (m, 5), ``on_zone``; see `LibrarySamples.sample`."""


class Augmentation(Protocol):
    """What a transform offers to training; see `ronchi.api.Transform`."""

    def augment_batch(self, batch: Mapping[str, Any], seeds: list[int]) -> dict[str, Any]:
        """Change samples as an instrument would."""


class Samples(Protocol):
    """What can be learned from.

    ``identity`` is another one for other data; ``prototypes`` names what the samples are of, of which no other split
    has any.
    """

    identity: str
    prototypes: set[str]

    def __len__(self) -> int: ...

    def sample(self, number: int) -> Sample:
        """One of them."""


def check_sample(sample: Sample, where: str) -> None:
    """Raise `DataError` where something in a sample is no number, or an image is dark."""
    for name in ("pattern", "probe", "label", "peaks"):
        if not np.isfinite(sample[name]).all():
            raise DataError(f"{name}: values are no numbers", where=where, fix="make it again, or leave it out")
        if sample[name].max() <= 0:
            raise DataError(f"{name}: nothing is above 0", where=where, fix="make it again, or leave it out")


@dataclass(frozen=True)
class Batch:
    """Samples side by side.

    Parameters
    ----------
    pattern, probe, label : (n, qy, qx) float32 Tensor
        Counts; probe centred at N // 2; structure-factor image over its largest value.
    points : (m, 5) float32 Tensor
        Sample, y and x in px, structure factor over the largest of the sample outside the direct beam, which has 1, and
        1 where the disk is lit.
    centre_px : (n, 2) float32 Tensor
        Direct beam (y, x).
    covered : (n, qy, qx) bool Tensor
        Where gaps or a beam stop hide the detector.
    on_zone : (n,) bool Tensor
    """

    pattern: Tensor
    probe: Tensor
    label: Tensor
    points: Tensor
    centre_px: Tensor
    covered: Tensor
    on_zone: Tensor

    def to(self, device: torch.device) -> Batch:
        """The images on a device; the rest stays where targets are made."""
        moved = {name: getattr(self, name).to(device, non_blocking=True) for name in ("pattern", "probe", "label")}
        return replace(self, **moved)


class _Stream(IterableDataset[Batch | RonchiError]):
    def __init__(
        self,
        samples: Samples,
        augment: Augmentation,
        size: int,
        seed: int,
        numbers: range,
        share: slice,
        window_px: int | None,
        crystal_free: float,
    ) -> None:
        self.samples, self.augment, self.size, self.seed = samples, augment, size, seed
        self.numbers, self.share, self.window_px = numbers, share, window_px
        self.crystal_free = crystal_free

    def __iter__(self) -> Iterator[Batch | RonchiError]:
        info = torch.utils.data.get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        for number in self.numbers[first::step]:
            try:
                made: Batch | RonchiError = self.make(number)
            except RonchiError as error:
                # What is raised in a process of the loader arrives as a report of that process.
                made = error
            yield made

    def make(self, number: int) -> Batch:
        rng = np.random.default_rng([self.seed, number])
        chosen, seeds = rng.integers(len(self.samples), size=self.size), rng.integers(2**62, size=self.size)
        empty = rng.random(self.size) < self.crystal_free
        ours = [
            without_crystal(self.samples.sample(int(number))) if is_empty else self.samples.sample(int(number))
            for number, is_empty in zip(chosen[self.share], empty[self.share], strict=True)
        ]
        batch = _collate(ours, self.augment, [int(seed) for seed in seeds[self.share]])
        return batch if self.window_px is None else _cut(batch, self.window_px)


def without_crystal(sample: Sample) -> Sample:
    """The beam of a sample through nothing: its probe, as bright as its pattern, and no disk but its own."""
    probe, is_beam = sample["probe"], sample["peaks"][:, 3] == 1
    y, x = (np.arange(n)[:, None] - at for n, at in zip(probe.shape, sample["peaks"][is_beam][0, :2], strict=True))
    near = np.hypot(y, x.T) < _SPOT_PX
    return {
        **sample,
        "pattern": (probe * (sample["pattern"].sum() / probe.sum())).astype(np.float32),
        "label": np.where(near, sample["label"], 0).astype(sample["label"].dtype),
        "peaks": sample["peaks"][is_beam],
    }


def _collate(samples: list[Sample], augment: Augmentation, seeds: list[int]) -> Batch:
    most = max(len(sample["peaks"]) for sample in samples)
    peaks = np.full((len(samples), most, 5), np.nan, np.float32)
    for row, sample in zip(peaks, samples, strict=True):
        row[: len(sample["peaks"])] = sample["peaks"]
    images = {name: np.stack([sample[name] for sample in samples]) for name in ("pattern", "probe", "label")}
    made = augment.augment_batch({**images, "peaks": peaks}, seeds)
    moved = made["peaks"].float()
    sample, _ = torch.nonzero(~torch.isnan(moved[..., 0]), as_tuple=True)
    points = moved[~torch.isnan(moved[..., 0])]
    centre = moved[..., :2][moved[..., 3] == 1]
    bad = made["bad_pixel"].float()[:, None]
    # A pixel alone is no gap: the network has to live with it.
    covered = torch.nn.functional.avg_pool2d(bad, 5, stride=1, padding=2)[:, 0] > 0.15
    return Batch(
        pattern=made["pattern"],
        probe=made["probe"],
        label=made["label"],
        points=torch.cat([sample[:, None].float(), points[:, :3], points[:, 4:]], 1),
        centre_px=centre,
        covered=covered,
        on_zone=torch.tensor([bool(sample["on_zone"]) for sample in samples]),
    )


def _cut(batch: Batch, window_px: int) -> Batch:
    """The middle of the patterns: pixel N // 2 stays pixel N // 2, so that probes stay centred."""
    sides = torch.tensor(batch.pattern.shape[-2:])
    kept = sides.clamp_max(window_px)
    first = sides // 2 - kept // 2
    window = (slice(None), *(slice(int(a), int(a + n)) for a, n in zip(first, kept, strict=True)))
    points = batch.points.clone()
    points[:, 1:3] -= first
    images = {name: getattr(batch, name)[window].contiguous() for name in ("pattern", "probe", "label", "covered")}
    return replace(batch, **images, points=points, centre_px=batch.centre_px - first)


def batches(
    samples: Samples,
    augment: Augmentation,
    *,
    size: int,
    seed: int,
    numbers: range,
    workers: int = 0,
    share: slice = slice(None),
    window_px: int | None = None,
    crystal_free: float = 0.0,
) -> Iterator[Batch]:
    """Yield the batches of these numbers in order; ``workers`` processes make them in advance.

    Each process takes every ``workers``-th batch, and the loader takes them in turn, so the order does not depend on
    their number. ``share`` are the rows of a batch that are wanted, where several trainings share it. ``window_px``
    cuts larger patterns to their middle; ``crystal_free`` is the share of samples that are `without_crystal`.

    Raises
    ------
    RonchiError
        A sample cannot be made, whichever process was to make it.
    """
    stream = _Stream(samples, augment, size, seed, numbers, share, window_px, crystal_free)
    # A loader ends with its parent, even one that is killed; one that a fork server has made would outlive it.
    started = {"prefetch_factor": 2, "multiprocessing_context": "spawn"} if workers else {}
    for made in DataLoader(stream, batch_size=None, num_workers=workers, **started) if workers else stream:
        if isinstance(made, RonchiError):
            raise made
        yield made

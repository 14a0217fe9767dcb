"""Samples to learn from: patterns with their probes, labels and lattice points, augmented on the way into batches.

A batch is a function of the seed and of its number, so that a training that was stopped goes on with the batches it
would have had, whatever the number of loading processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from ronchi.api import DataError
from ronchi.schema import library
from ronchi_fcunet.light import lit

__all__ = ["Augmentation", "Batch", "LibrarySamples", "Sample", "Samples", "batches", "told_by"]

_SAME_POINT_PX = 1.0
"""Lattice points closer than this make one disk."""

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


class LibrarySamples:
    """Samples of one split of a ``library/1`` store.

    Parameters
    ----------
    path : Path
    split : str
        ``"train"``, ``"validation"`` or ``"test"``: crystals of no prototype are in two of them.

    Raises
    ------
    DataError
        The store is no library, or has no runs of this split.
    """

    def __init__(self, path: Path, split: str) -> None:
        self.path = path
        data = _open(path)
        self.runs = np.flatnonzero([str(name) == split for name in data["split"].values])
        if not len(self.runs):
            fix = "make a larger one, or add one of all prototypes: `library` may be a list"
            raise DataError(f"the library has no runs for {split}", where=str(path), fix=fix)
        self.prototypes = {str(name) for name in data["prototype"].values[self.runs]}
        self.shape = (data.sizes["semiangle"], data.sizes["thickness"])
        self.pattern_shape = (data.sizes["qy"], data.sizes["qx"])
        # Variables and sizes come in the order in which the store was listed, which changes.
        sizes = sorted((str(name), size) for name, size in data.sizes.items())
        told = [sorted(data.attrs.items()), sizes, data["formula"].values.tolist(), data["h"].values.tobytes()]
        self.identity = hashlib.sha256(repr(told).encode()).hexdigest()
        self._store: _Store | None = None

    def __len__(self) -> int:
        return len(self.runs) * self.shape[0] * self.shape[1]

    def __getstate__(self) -> dict[str, Any]:
        # Every process opens the store by itself.
        return {**self.__dict__, "_store": None}

    def sample(self, number: int) -> Sample:
        """One sample without noise: ``pattern, probe, label``, ``peaks`` (m, 5) and ``on_zone``.

        The columns of the peaks are y and x in px, strength over the largest outside the direct beam, 1 for that beam,
        and 1 where the disk is lit.
        """
        if self._store is None:
            self._store = _Store(_open(self.path))
        place, angle, depth = (int(i) for i in np.unravel_index(number, (len(self.runs), *self.shape)))
        run = int(self.runs[place])
        here = self._store.data.isel(run=run, semiangle=angle)
        label, probe = here["structure_factor"].values, here["probe"].values
        pattern, points = here["intensity"].isel(thickness=depth).values.astype(np.float32), self._store.points(run)
        return {
            "pattern": pattern,
            "probe": probe,
            "label": label / label.max(),
            "peaks": np.column_stack([points, lit(pattern, probe, points[:, :2])]),
            "on_zone": np.bool_(here["zone_axis"].values.any()) if "zone_axis" in here else np.bool_(False),
        }


def told_by(path: Path) -> tuple[dict[str, set[str]], str]:
    """Prototypes of each split that a library has, and what its strengths are weighed from.

    Raises
    ------
    DataError
        The store is no library.
    """
    data = _open(path)
    found: dict[str, set[str]] = {}
    for split, prototype in zip(data["split"].values, data["prototype"].values, strict=True):
        found.setdefault(str(split), set()).add(str(prototype))
    return found, library.weighed_from(data)


class _Store:
    """An open library, with its reflections in memory."""

    def __init__(self, data: xr.Dataset) -> None:
        self.data = data
        self._listed = data[[*library.PER_REFLECTION, "n_reflections", "beam_energy_eV"]].load()
        self._known: dict[int, NDArray[np.float32]] = {}

    def points(self, run: int) -> NDArray[np.float32]:
        """Disks (m, 4) of a run; see `LibrarySamples.sample`."""
        if run not in self._known:
            found = library.reflections(self._listed, run)
            axes = [self.data[name].values for name in ("qy", "qx")]
            q = [found[f"reflection_{name}"].values for name in ("qy", "qx")]
            place = np.stack([(at - axis[0]) / (axis[1] - axis[0]) for at, axis in zip(q, axes, strict=True)], 1)
            beam = np.all([found[index].values == 0 for index in "hkl"], 0)
            self._known[run] = _disks(place, found["weighed_amplitude"].values, beam)
        return self._known[run]


def _open(path: Path) -> xr.Dataset:
    try:
        data = xr.open_zarr(path, chunks=None, consolidated=False)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"no library can be read: {error}", where=str(path), fix="ronchi simulate library -o …"
        ) from error
    return library.validate(data, str(path))


def _disks(place: NDArray[Any], weight: NDArray[Any], beam: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Points (m, 4) that stand for a disk each: the strongest of those that lie over one another.

    Its strength is the root of the sum of their squares, as of waves whose phases are not known.
    """
    rank = np.where(beam, np.inf, weight)
    order = np.argsort(-rank, kind="stable")
    place, weight, beam = place[order], weight[order], beam[order]
    squared, kept = weight.astype(float) ** 2, np.ones(len(place), bool)
    for strong, weak in sorted(map(tuple, cKDTree(place).query_pairs(_SAME_POINT_PX, output_type="ndarray").tolist())):
        if kept[strong] and kept[weak]:
            kept[weak] = False
            squared[strong] += squared[weak]
    strength = np.sqrt(squared)
    top = strength[kept & ~beam].max(initial=0.0)
    relative = np.where(beam, 1.0, strength / max(top, 1e-30))
    return np.concatenate([place, relative[:, None], beam[:, None]], 1)[kept].astype(np.float32)


class _Stream(IterableDataset[Batch]):
    def __init__(
        self,
        samples: Samples,
        augment: Augmentation,
        size: int,
        seed: int,
        numbers: range,
        share: slice,
        window_px: int | None,
    ) -> None:
        self.samples, self.augment, self.size, self.seed = samples, augment, size, seed
        self.numbers, self.share, self.window_px = numbers, share, window_px

    def __iter__(self) -> Iterator[Batch]:
        info = torch.utils.data.get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        for number in self.numbers[first::step]:
            yield self.make(number)

    def make(self, number: int) -> Batch:
        rng = np.random.default_rng([self.seed, number])
        chosen, seeds = rng.integers(len(self.samples), size=self.size), rng.integers(2**62, size=self.size)
        ours = [self.samples.sample(int(number)) for number in chosen[self.share]]
        batch = _collate(ours, self.augment, [int(seed) for seed in seeds[self.share]])
        return batch if self.window_px is None else _cut(batch, self.window_px)


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
) -> Iterator[Batch]:
    """Yield the batches of these numbers in order; ``workers`` processes make them in advance.

    Each process takes every ``workers``-th batch, and the loader takes them in turn, so the order does not depend on
    their number. ``share`` are the rows of a batch that are wanted, where several trainings share it. ``window_px``
    cuts larger patterns to their middle.
    """
    stream = _Stream(samples, augment, size, seed, numbers, share, window_px)
    if not workers:
        return iter(stream)
    # A loader ends with its parent, even one that is killed; one that a fork server has made would outlive it.
    made = {"prefetch_factor": 2, "multiprocessing_context": "spawn"}
    return iter(DataLoader(stream, batch_size=None, num_workers=workers, **made))

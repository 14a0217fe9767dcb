"""Samples to learn from: patterns of a library with their probes, labels and lattice points, augmented on the way.

A batch is a function of the seed and of its number, so that a training that was stopped goes on with the batches it
would have had, whatever the number of loading processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from ronchi.api import DataError
from ronchi.schema import library

__all__ = ["Augmentation", "Batch", "LibrarySamples", "batches"]

_SAME_POINT_PX = 1.0
"""Lattice points closer than this make one disk."""
_CENTRE_PX = 1.5


class Augmentation(Protocol):
    """What a transform offers to training; see `ronchi.api.Transform`."""

    def augment_batch(self, batch: Mapping[str, Any], seeds: list[int]) -> dict[str, Any]:
        """Change samples as an instrument would."""


@dataclass(frozen=True)
class Batch:
    """Samples side by side.

    Parameters
    ----------
    pattern, probe, label : (n, qy, qx) float32 Tensor
        Counts; probe centred at N // 2; structure-factor image over its largest value.
    points : (m, 4) float32 Tensor
        Sample, y and x in px, structure factor over the largest of the sample outside the direct beam.
    covered : (n, qy, qx) bool Tensor
        Where gaps or a beam stop hide the detector.
    radius_px : (n,) float32 Tensor
    on_zone : (n,) bool Tensor
    """

    pattern: Tensor
    probe: Tensor
    label: Tensor
    points: Tensor
    covered: Tensor
    radius_px: Tensor
    on_zone: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on a device; points and what is covered stay where targets are made."""
        moved = {name: getattr(self, name).to(device, non_blocking=True) for name in ("pattern", "probe", "label")}
        radius = self.radius_px.to(device)
        return Batch(**moved, points=self.points, covered=self.covered, radius_px=radius, on_zone=self.on_zone)


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
            raise DataError(f"the library has no runs for {split}", where=str(path), fix="make a larger one")
        self.prototypes = {str(name) for name in data["prototype"].values[self.runs]}
        self.shape = (data.sizes["semiangle"], data.sizes["thickness"])
        self._data: xr.Dataset | None = None

    def __len__(self) -> int:
        return len(self.runs) * self.shape[0] * self.shape[1]

    def __getstate__(self) -> dict[str, Any]:
        # Every process opens the store by itself.
        return {**self.__dict__, "_data": None}

    def sample(self, number: int) -> dict[str, NDArray[Any]]:
        """One sample without noise: ``pattern, probe, label``, ``peaks`` (m, 3), ``radius_px``, ``on_zone``."""
        if self._data is None:
            self._data = _open(self.path)
        data = self._data
        place, angle, depth = np.unravel_index(number, (len(self.runs), *self.shape))
        run = int(self.runs[place])
        here = data.isel(run=run, semiangle=int(angle))
        label = here["structure_factor"].values
        probe = here["probe"].values
        return {
            "pattern": here["intensity"].isel(thickness=int(depth)).values.astype(np.float32),
            "probe": probe,
            "label": label / label.max(),
            "peaks": _points(data, run, label),
            "radius_px": np.float32(np.sqrt((probe > 0.5 * np.quantile(probe, 0.9995)).sum() / np.pi)),
            "on_zone": np.bool_(here["zone_axis"].values.any()) if "zone_axis" in here else np.bool_(False),
        }


def _open(path: Path) -> xr.Dataset:
    try:
        data = xr.open_zarr(path, chunks=None, consolidated=False)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"no library can be read: {error}", where=str(path), fix="ronchi simulate library -o …"
        ) from error
    return library.validate(data, str(path))


def _points(data: xr.Dataset, run: int, label: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lattice points (m, 3) of a run: y and x in px, strength over the largest outside the direct beam.

    The strength is that of the structure-factor image there, in which points that lie over one another have been
    added with their phases.
    """
    found = library.reflections(data, run)
    qy, qx = data["qy"].values, data["qx"].values
    y = (found["reflection_qy"].values - qy[0]) / (qy[1] - qy[0])
    x = (found["reflection_qx"].values - qx[0]) / (qx[1] - qx[0])
    weight = found["amplitude"].values * np.exp(-(found["excitation_error"].values ** 2) / (2 * 0.05**2))
    order = np.argsort(-weight, kind="stable")
    y, x = y[order], x[order]
    row, column = np.rint(y).astype(int), np.rint(x).astype(int)
    inside = (row > 0) & (column > 0) & (row < label.shape[0] - 1) & (column < label.shape[1] - 1)
    y, x, row, column = y[inside], x[inside], row[inside], column[inside]
    # The strongest of those that make one disk stands for all of them.
    _, first = np.unique(
        np.stack([np.rint(y / _SAME_POINT_PX), np.rint(x / _SAME_POINT_PX)]), axis=1, return_index=True
    )
    y, x, row, column = (values[first] for values in (y, x, row, column))
    steps = np.arange(-1, 2)
    around = label[row[:, None, None] + steps[:, None], column[:, None, None] + steps]
    strength = around.reshape(len(row), -1).max(1, initial=0)
    middle = np.hypot(y - label.shape[0] // 2, x - label.shape[1] // 2) < _CENTRE_PX
    top = strength[~middle].max(initial=1e-30)
    relative = np.where(middle, 1.0, strength / top)
    return np.stack([y, x, relative], 1).astype(np.float32)


class _Stream(IterableDataset[Batch]):
    def __init__(self, samples: LibrarySamples, augment: Augmentation, size: int, seed: int, numbers: range) -> None:
        self.samples, self.augment, self.size, self.seed, self.numbers = samples, augment, size, seed, numbers

    def __iter__(self) -> Iterator[Batch]:
        info = torch.utils.data.get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        for number in self.numbers[first::step]:
            yield self.make(number)

    def make(self, number: int) -> Batch:
        rng = np.random.default_rng([self.seed, number])
        chosen = [self.samples.sample(int(i)) for i in rng.integers(len(self.samples), size=self.size)]
        seeds = [int(seed) for seed in rng.integers(2**62, size=self.size)]
        return _collate(chosen, self.augment, seeds)


def _collate(samples: list[dict[str, NDArray[Any]]], augment: Augmentation, seeds: list[int]) -> Batch:
    most = max(len(sample["peaks"]) for sample in samples)
    peaks = np.full((len(samples), most, 3), np.nan, np.float32)
    for row, sample in zip(peaks, samples, strict=True):
        row[: len(sample["peaks"])] = sample["peaks"]
    images = {name: np.stack([sample[name] for sample in samples]) for name in ("pattern", "probe", "label")}
    made = augment.augment_batch({**images, "peaks": peaks}, seeds)
    known = ~torch.isnan(made["peaks"][..., 0])
    sample, _ = torch.nonzero(known, as_tuple=True)
    bad = made["bad_pixel"].float()[:, None]
    # A pixel alone is no gap: the network has to live with it.
    covered = torch.nn.functional.avg_pool2d(bad, 5, stride=1, padding=2)[:, 0] > 0.15
    return Batch(
        pattern=made["pattern"],
        probe=made["probe"],
        label=made["label"],
        points=torch.cat([sample[:, None].float(), made["peaks"][known].float()], 1),
        covered=covered,
        radius_px=torch.tensor([float(sample["radius_px"]) for sample in samples]),
        on_zone=torch.tensor([bool(sample["on_zone"]) for sample in samples]),
    )


def batches(
    samples: LibrarySamples, augment: Augmentation, *, size: int, seed: int, numbers: range, workers: int = 0
) -> Iterator[Batch]:
    """Yield the batches of these numbers in order; ``workers`` processes make them in advance.

    Each process takes every ``workers``-th batch, and the loader takes them in turn, so the order does not depend on
    their number.
    """
    stream = _Stream(samples, augment, size, seed, numbers)
    if not workers:
        return iter(stream)
    return iter(
        DataLoader(
            stream, batch_size=None, num_workers=workers, prefetch_factor=2, multiprocessing_context="forkserver"
        )
    )

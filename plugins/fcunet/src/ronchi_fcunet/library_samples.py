"""Samples of one split of a simulated library."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ronchi.api import DataError
from ronchi.schema import library
from ronchi_fcunet.light import lit
from ronchi_fcunet.samples import Sample, check_sample

__all__ = ["LibrarySamples", "told_by"]

_SAME_POINT_PX = 1.0
"""Lattice points closer than this make one disk."""


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
        sample = {
            "pattern": pattern,
            "probe": probe,
            "label": label,
            "peaks": np.column_stack([points, lit(pattern, probe, points[:, :2])]),
            "on_zone": np.bool_(here["zone_axis"].values.any()) if "zone_axis" in here else np.bool_(False),
        }
        check_sample(sample, f"{self.path}, run {run}")
        return {**sample, "label": label / label.max()}


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

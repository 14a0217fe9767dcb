"""Contract of atom finders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.errors import RonchiError
from ronchi.testing import data as examples
from ronchi.testing.failure import ContractError
from ronchi.testing.matching import pair
from ronchi.testing.running import RunningContract

__all__ = ["AtomFinderContract"]

Array = NDArray[np.float64]


class AtomFinderContract(RunningContract):
    """Contract of an atom finder.

    Attributes
    ----------
    max_error_px : float
        Largest RMS distance of the atoms found from the true ones, in px.
    min_recall, min_precision : float
        Smallest part of the true atoms that are found, and of those found that are true.
    """

    kind = "atom_finder"
    min_checks = 16
    max_error_px: ClassVar[float] = 1.0
    min_recall: ClassVar[float] = 0.9
    min_precision: ClassVar[float] = 0.9

    def inputs(self) -> Mapping[str, xr.Dataset]:
        """Images with known atoms."""
        return {"images": examples.atom_images()[0]}

    def check_atoms_are_found_where_they_are(self, params: Mapping[str, Any]) -> None:
        """Atoms are found, in their frame, in the units of the images, as exactly as promised."""
        images, truth = examples.atom_images()
        found = self.usual(params).data
        units = images["y"].attrs["units"]
        if found["y"].attrs["units"] != units or found["x"].attrs["units"] != units:
            raise ContractError(
                f"positions are in {found['y'].attrs['units']!r}, the images in {units!r}",
                where=self._code(params),
                fix="positions are in the units of the images' axes y and x",
            )
        step = float(images["y"][1] - images["y"][0])
        recall, precision, rms = _score(_points(found), _points(truth), 3 * step)
        if recall < self.min_recall or precision < self.min_precision:
            raise ContractError(
                f"{recall:.0%} of {truth.sizes['atom']} atoms are found, and {precision:.0%} of {found.sizes['atom']} "
                f"found are true{_guess(found, truth, step, recall)}",
                where=self._code(params),
                fix="y runs downwards, x to the right; both in the units of the images",
            )
        if rms / step > self.max_error_px:
            raise ContractError(
                f"atoms are off by {rms / step:.2f} px (RMS), allowed: {self.max_error_px:g}", where=self._code(params)
            )

    def check_frames_do_not_depend_on_each_other(self, params: Mapping[str, Any]) -> None:
        """A frame alone has the same atoms, under the number 0."""
        images = self._example()["images"]
        both = self.usual(params).data
        for number in range(images.sizes["frame"]):
            alone = self.run(params, {"images": images.isel(frame=[number])}).data
            mine = _sorted(_points(both)[both["frame"].values == number, 1:])
            theirs = _sorted(_points(alone)[:, 1:])
            if mine.shape != theirs.shape or not np.allclose(theirs, mine, atol=1e-6):
                raise ContractError(
                    f"frame {number} has {len(mine)} atoms among others and {len(theirs)}, or other ones, alone",
                    where=self._code(params),
                    fix="find the atoms of a frame in that frame alone",
                )

    def check_images_without_atoms_have_none(self, params: Mapping[str, Any]) -> None:
        """An image that is the same everywhere holds no atom."""
        images = self._example()["images"].copy(deep=True)
        images["intensity"].values[:] = 40
        n = self.run(params, {"images": images}).data.sizes["atom"]
        if n:
            raise ContractError(f"{n} atoms in images that are 40 everywhere", where=self._code(params))

    def check_not_finite_images_are_safe(self, params: Mapping[str, Any]) -> None:
        """NaN in an image raises a RonchiError, or the positions are finite all the same."""
        images = self._example()["images"].copy(deep=True)
        images["intensity"].values[0, 20:22, 30] = np.nan
        try:
            found = self.run(params, {"images": images}).data
        except RonchiError:
            return
        if not np.isfinite(_points(found)).all():
            raise ContractError("NaN in an image gives positions that are NaN", where=self._code(params))


def _points(atoms: xr.Dataset) -> Array:
    """(atom, 3) frame, y, x."""
    return np.stack([atoms[name].values.astype(float) for name in ("frame", "y", "x")], 1)


def _sorted(points: Array) -> Array:
    return points[np.lexsort(points.T[::-1])]


def _score(found: Array, true: Array, near: float) -> tuple[float, float, float]:
    """Recall, precision and RMS distance of points (frame, y, x)."""
    apart = np.array([1e6, 1.0, 1.0])  # frames are far from each other
    a, b = pair(found * apart, true * apart, near)
    distance = np.hypot(*(found[a] - true[b])[:, 1:].T) if len(a) else np.zeros(0)
    rms = float(np.sqrt((distance**2).mean())) if len(a) else np.inf
    return len(a) / max(1, len(true)), len(a) / max(1, len(found)), rms


def _guess(found: xr.Dataset, truth: xr.Dataset, step: float, recall: float) -> str:
    points = _points(found)
    moved = {
        "x and y are exchanged": points[:, [0, 2, 1]],
        "positions are in pixels": points * [1, step, step],
        "positions are multiplied by the pixel twice": points / [1, step, step],
        "frames are numbered from 1": points - [1, 0, 0],
    }
    for text, other in moved.items():
        if _score(other, _points(truth), 3 * step)[0] > max(0.7, 1.5 * recall):
            return f"; it looks as if {text}"
    return ""

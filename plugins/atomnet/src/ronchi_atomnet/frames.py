"""Between data sets and arrays: frames one by one, and the table of what was found in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from ronchi.api import Context
from ronchi.file_faults import reading
from ronchi.schema import atoms

__all__ = ["Found", "collect", "step_of"]

Array = NDArray[np.float64]


_ALIKE = 1.1
"""Pixels that are longer along one axis by this factor blur and sharpen atoms by as much as noise does."""


@dataclass(frozen=True)
class Found:
    """Atoms of a frame, in px of the frame.

    Parameters
    ----------
    points : (n, 2) float64
        Row and column.
    sigma : (n, 2) float64
        Their standard errors; NaN where a position was not fitted.
    intensity, score : (n,) float64
    species : (n,) int64
    """

    points: Array
    sigma: Array
    intensity: Array
    score: Array
    species: NDArray[np.int64]

    @classmethod
    def nothing(cls) -> Found:
        """No atom."""
        return cls(np.empty((0, 2)), np.empty((0, 2)), np.empty(0), np.empty(0), np.empty(0, np.int64))

    def select(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Found:
        """Some of the atoms."""
        return Found(
            self.points[chosen], self.sigma[chosen], self.intensity[chosen], self.score[chosen], self.species[chosen]
        )


def collect(
    images: xr.Dataset, find: Callable[[Array, NDArray[np.bool_]], Found], ctx: Context, species: str = ""
) -> xr.Dataset:
    """Search frame after frame, of which one alone is in memory.

    Pixels that are not finite are given the value of the nearest one that is, and no atom is found on them. A frame
    without contrast has no atoms.

    Parameters
    ----------
    images : xarray.Dataset
        ``images/1``.
    find : callable
        From a frame (rows, columns) float64, all of it finite, and its pixels that were measured.
    ctx : Context
    species : str
        Names of the species, with spaces between.

    Returns
    -------
    xarray.Dataset
        ``atoms/1`` in the units of the images' axes, numbered as their frames, sorted by row in each. The attribute
        ``image_start`` (y, x) is the place of the first pixel, where that is not 0.
    """
    known = step_of(images)
    if known is not None and max(known) > _ALIKE * min(known):
        ctx.log.warning(
            "pixels are %.3g times as long along one axis, and atoms are sought round: stated errors are too "
            "small along the finer one; resample the images to square pixels",
            max(known) / min(known),
        )
    parts = [Found.nothing()]
    numbers = [np.empty(0, np.int64)]
    total = images.sizes["frame"]
    for done, (number, frame) in enumerate(_frames(images)):
        found = _search(frame, find)
        parts.append(found)
        numbers.append(np.full(len(found.points), number))
        ctx.progress(done + 1, total)
    axes = [_axis(images, dim) for dim in ("y", "x")]
    start, step = (np.array([axis[i] for axis in axes]) for i in (0, 1))
    points, sigma = (np.concatenate([getattr(part, name) for part in parts]) for name in ("points", "sigma"))
    at = start + points * step
    return atoms.make(
        frame=np.concatenate(numbers),
        y=at[:, 0],
        x=at[:, 1],
        sigma_y=sigma[:, 0] * abs(step[0]),
        sigma_x=sigma[:, 1] * abs(step[1]),
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in ("intensity", "score", "species")},
        units=str(images["y"].attrs.get("units", "pixel")) if "y" in images.coords else "pixel",
        intensity_units=str(images["intensity"].attrs.get("units", "1")),
        step_angstrom=None if known is None else [float(each) for each in known],
        image_shape=[images.sizes["y"], images.sizes["x"]],
        image_start=[float(each) for each in start] if start.any() else None,
        species_meanings=species or None,
    )


def step_of(images: xr.Dataset) -> tuple[float, float] | None:
    """Size (y, x) of a pixel in angstrom, if the images are calibrated."""
    if any(dim not in images.coords or images[dim].attrs.get("units") != "angstrom" for dim in ("y", "x")):
        return None
    # A lone row or column says nothing of its own size.
    sizes = [abs(_axis(images, dim)[1]) for dim in ("y", "x") if images.sizes[dim] > 1]
    return (sizes[0], sizes[-1]) if sizes else None


def _frames(images: xr.Dataset) -> Iterator[tuple[int, Array]]:
    count = images.sizes["frame"]
    numbers = images["frame"].values if "frame" in images.coords else np.arange(count)
    if numbers.dtype.kind not in "iu":
        numbers = np.arange(count)
    for index, number in enumerate(numbers.tolist()):
        image = images["intensity"].isel(frame=index)
        with reading(image, "intensity"):
            values = np.asarray(image.values, np.float64)
        yield number, values


def _search(frame: Array, find: Callable[[Array, NDArray[np.bool_]], Found]) -> Found:
    good = np.isfinite(frame)
    if min(frame.shape) < 3 or not good.any() or np.ptp(frame[good]) <= 1e-9 * np.abs(frame[good]).max():
        return Found.nothing()
    if not good.all():
        rows, columns = distance_transform_edt(~good, return_distances=False, return_indices=True)
        frame = frame[rows, columns]
    found = find(frame, good)
    # What shines in from beside the frame is fitted there.
    last = np.array(frame.shape) - 0.5
    found = found.select(np.asarray(((found.points >= -0.5) & (found.points < last)).all(1)))
    nearest = np.rint(found.points).astype(np.intp)
    kept = np.flatnonzero(good[nearest[:, 0], nearest[:, 1]])
    return found.select(kept[np.lexsort(found.points[kept].T[::-1])])


def _axis(images: xr.Dataset, dim: str) -> tuple[float, float]:
    """First value and step of an image axis."""
    if dim not in images.coords:
        return 0.0, 1.0
    values = images[dim].values
    return float(values[0]), float(values[-1] - values[0]) / (len(values) - 1) if len(values) > 1 else 1.0

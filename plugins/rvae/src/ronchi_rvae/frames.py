"""From labelled data to plain images, and back: which dims, which pixels, which samples."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context, DataError
from ronchi.blocks import SAMPLE_DIMS, iter_samples
from ronchi.schema.common import variable

__all__ = ["Window", "draw", "frames_of"]

Floats = NDArray[np.float32]

_FILE = "window.json"
_SAME = 0.01
"""Pixel sizes along y and x, and of a model and of what it describes, may differ by this share."""


@dataclass(frozen=True)
class Window:
    """What an image looks like.

    Parameters
    ----------
    dims : tuple of str
        Two.
    shape : tuple of int
    centre_px : tuple of float
        Where the coordinates are 0 in reciprocal space; the pixel ``N // 2`` in real space.
    bad : list of int
        Flat numbers of bad pixels.
    coords : dict of str to tuple
        Dimension to values, units and long name.
    units : str
    """

    dims: tuple[str, str]
    shape: tuple[int, int]
    centre_px: tuple[float, float]
    bad: list[int]
    coords: dict[str, tuple[list[float], str, str]]
    units: str

    @classmethod
    def of(cls, x: xr.DataArray, where: str) -> Self:
        """Window of data.

        Raises
        ------
        DataError
            There are no samples, no two dimensions after them, the pixels are not square or all bad, or the values are
            no real numbers.
        """
        dims = tuple(str(dim) for dim in x.dims if dim not in SAMPLE_DIMS)
        if len(dims) != 2 or x.ndim < 3 or x.dims[-2:] != dims:
            raise DataError(
                f"dims are {x.dims}: expected samples ({', '.join(SAMPLE_DIMS)}) before images", where=where
            )
        if not x.size:
            raise DataError(f"there are no samples: the data have shape {x.shape}", where=where)
        if x.dtype.kind not in "buif":
            raise DataError(f"the values are {x.dtype}, not real numbers", where=where, fix="give e.g. their modulus")
        coords = {
            dim: (x[dim].values.tolist(), str(x[dim].attrs.get("units", "1")), str(x[dim].attrs.get("long_name", dim)))
            for dim in dims
            if dim in x.coords
        }
        long = [dim for dim in coords if x.sizes[dim] > 1]
        steps = [abs(coords[dim][0][-1] - coords[dim][0][0]) / (x.sizes[dim] - 1) for dim in long]
        if len(steps) == 2 and abs(steps[0] - steps[1]) > _SAME * max(steps):
            raise DataError(
                f"pixels are {steps[0]:g} along {dims[0]} and {steps[1]:g} along {dims[1]}: turning needs square ones",
                where=where,
                fix="resample the images first",
            )
        bad: list[int] = []
        if "bad_pixel" in x.coords:
            marked = x.coords["bad_pixel"].transpose(*dims).values
            if marked.all():
                raise DataError("every pixel is marked as bad", where=where)
            bad = np.flatnonzero(marked).tolist()
        centre = (_origin(x, dims[0]), _origin(x, dims[1]))
        return cls((dims[0], dims[1]), (x.shape[-2], x.shape[-1]), centre, bad, coords, str(x.attrs.get("units", "1")))

    @property
    def bad_pixel(self) -> NDArray[np.bool_] | None:
        """(ny, nx) True for bad pixels; None if there are none."""
        if not self.bad:
            return None
        mask = np.zeros(self.shape[0] * self.shape[1], bool)
        mask[self.bad] = True
        return mask.reshape(self.shape)

    @property
    def reach_px(self) -> float:
        """Radius of the largest disc about the centre that lies inside."""
        return min(min(c + 0.5, n - 0.5 - c) for c, n in zip(self.centre_px, self.shape, strict=True))

    def check(self, other: Window, where: str) -> None:
        """Raise `DataError` unless images of another window can be encoded by a model of this one."""
        if other.shape != self.shape:
            what = f"the model was fitted to images of shape {self.shape}, these have {other.shape}"
            raise DataError(what, where=where, fix="cut them to the same size, or fit anew")
        if np.abs(np.subtract(other.centre_px, self.centre_px)).max() > 0.01:
            what = f"the model was fitted to images centred at {self.centre_px}, these are at {other.centre_px}"
            raise DataError(what, where=where, fix="centre them alike, or fit anew")
        for mine, theirs in zip(self._steps(), other._steps(), strict=True):
            if mine and theirs and mine[1] == theirs[1] and abs(theirs[0] - mine[0]) > _SAME * abs(mine[0]):
                what = f"the model was fitted to pixels of {mine[0]:g} {mine[1]}, these are {theirs[0]:g}"
                raise DataError(what, where=where, fix="resample them, mend their calibration, or fit anew")
        if not set(other.bad) <= set(self.bad):
            what = f"{len(set(other.bad) - set(self.bad))} pixels that the model uses are bad in these data"
            raise DataError(what, where=where, fix="fill them with the transform `bad-pixels`, or fit anew")

    def _steps(self) -> list[tuple[float, str] | None]:
        """Pixel size along both dims, of a sign, and its units; None where it is not known."""
        found: list[tuple[float, str] | None] = []
        for dim in self.dims:
            values, units, _ = self.coords.get(dim, ([], "", ""))
            found.append(((values[-1] - values[0]) / (len(values) - 1), units) if len(values) > 1 else None)
        return found

    def variables(self) -> dict[str, xr.Variable]:
        """Coordinates of the pixels."""
        return {dim: variable(dim, np.array(v), units, name) for dim, (v, units, name) in self.coords.items()}

    def save(self, folder: Path) -> None:
        """Write it as JSON."""
        (folder / _FILE).write_text(json.dumps(vars(self)), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        state = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        coords = {dim: (held[0], held[1], held[2]) for dim, held in state["coords"].items()}
        dims, shape, centre = (tuple(state[name]) for name in ("dims", "shape", "centre_px"))
        return cls(dims, shape, centre, state["bad"], coords, state["units"])


def frames_of(x: xr.DataArray, window: Window) -> tuple[Floats, NDArray[np.bool_]]:
    """Images in memory, and which of them can be used.

    Returns
    -------
    frames : (n, ny, nx) float32
        0 at bad pixels, and everywhere where the image cannot be used.
    good : (n,) bool
        Valid, and finite at all good pixels.
    """
    return _clean(np.asarray(x.data).reshape(-1, *window.shape), _valid(x, window), window)


def draw(x: xr.DataArray, window: Window, most: int, ctx: Context, where: str) -> tuple[Floats, NDArray[np.int64]]:
    """At most ``most`` usable images of lazy data, drawn at random and read in one pass.

    Returns
    -------
    frames : (n, ny, nx) float32
    numbers : (n,) int64
        Flat numbers of the samples that they are.

    Raises
    ------
    DataError
        None is usable, or they are all constant.
    """
    valid = _valid(x, window)
    usable = np.flatnonzero(valid)
    chosen = np.zeros(len(valid), bool)
    chosen[usable if len(usable) <= most else ctx.rng.choice(usable, most, replace=False)] = True
    parts, numbers, done = [np.empty((0, *window.shape), np.float32)], [np.empty(0, np.int64)], 0
    for positions, features in iter_samples(x):
        frames, good = _clean(features[chosen[positions]], valid[positions][chosen[positions]], window)
        parts.append(frames[good])
        numbers.append(positions[chosen[positions]][good])
        done += len(positions)
        ctx.progress(done, len(valid))
    kept = np.concatenate(parts)
    if not len(kept):
        raise DataError("no sample is valid and finite: there is nothing to learn", where=where)
    if np.ptp(kept, axis=(1, 2)).max() == 0:
        raise DataError("all images are constant: there is nothing to learn", where=where)
    return kept, np.concatenate(numbers)


def _clean(frames: NDArray[Any], valid: NDArray[np.bool_], window: Window) -> tuple[Floats, NDArray[np.bool_]]:
    made = frames.astype(np.float32)
    if window.bad_pixel is not None:
        made[:, window.bad_pixel] = 0
    good = valid & np.isfinite(made).all(axis=(1, 2))
    made[~good] = 0
    return made, good


def _valid(x: xr.DataArray, window: Window) -> NDArray[np.bool_]:
    samples = [dim for dim in x.dims if dim not in window.dims]
    if "valid" not in x.coords:
        return np.ones(int(np.prod([x.sizes[dim] for dim in samples])), bool)
    valid: NDArray[np.bool_] = x.coords["valid"].transpose(*samples).values.astype(bool).ravel()
    return valid


def _origin(x: xr.DataArray, dim: str) -> float:
    """Index of q = 0 along an axis of reciprocal space; the middle of any other."""
    n = x.sizes[dim]
    if not dim.startswith("q") or dim not in x.coords or n < 2:
        return float(n // 2)
    values = x[dim].values.astype(float)
    return float(np.interp(0.0, values, np.arange(n)) if values[0] <= 0 <= values[-1] else n // 2)

"""``atoms/1`` as arrays, frame by frame."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import DataError

__all__ = ["field_of", "frame_step", "frames_of", "no_spacing", "positions_of"]


Floats = NDArray[np.float64]

Field = tuple[Floats, Floats]

_RIM = 1.25
"""In spacings: a lattice that fills the field has atoms so near to its border."""
_VACUUM = 10.0
"""In spacings."""


def positions_of(atoms: xr.Dataset, where: str) -> tuple[Floats, str]:
    """(n, 2) positions (y, x), and their units.

    Raises
    ------
    DataError
        y and x have different units, or a position is not finite.
    """
    units = [str(atoms[name].attrs.get("units", "pixel")) for name in ("y", "x")]
    if units[0] != units[1]:
        raise DataError(f"y is in {units[0]}, x in {units[1]}", where=where, fix="give both in angstrom")
    points = np.stack([atoms[name].values.astype(np.float64) for name in ("y", "x")], 1)
    if not np.isfinite(points).all():
        raise DataError("positions are not finite", where=where, fix="leave these atoms out")
    return points, units[0]


def field_of(atoms: xr.Dataset, frames: list[Floats], spacing: float) -> Field:
    """Lowest and highest (y, x) where an atom would have been found, in the units of the positions.

    By ``image_shape`` where the table has it. Without, a side that most frames have atoms close to is taken for a
    border, and before another one is some vacuum. Atoms close to a border end the field, for finders may leave out its
    rim.

    Parameters
    ----------
    atoms : xarray.Dataset
    frames : list of (n, 2) float
        Its positions, one at least in each frame.
    spacing : float
        Distance of nearest neighbours.
    """
    lows, highs = np.array([points.min(0) for points in frames]), np.array([points.max(0) for points in frames])
    first, last = lows.min(0), highs.max(0)
    rim = _RIM * spacing
    low = np.where(np.median(lows, 0) < first + rim, first, first - _VACUUM * spacing)
    high = np.where(np.median(highs, 0) > last - rim, last, last + _VACUUM * spacing)
    told, units = atoms.attrs, atoms["y"].attrs.get("units", "pixel")
    pixel = {"pixel": 1.0, "angstrom": told.get("step_angstrom")}.get(units)
    if "image_shape" in told and pixel is not None:
        step = np.broadcast_to(np.asarray(pixel, np.float64), (2,))
        start = np.broadcast_to(np.asarray(told.get("image_start", 0.0), np.float64), (2,)) - step / 2
        end = start + np.asarray(told["image_shape"], np.float64) * step
        # Else its axes run backwards, or in other steps.
        if (first > start - spacing).all() and (last < end + spacing).all():
            low, high = start, end
    return np.where(first < low + rim, first, low), np.where(last > high - rim, last, high)


def frames_of(atoms: xr.Dataset) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Numbers of the frames that have atoms, ascending, and the rows of each frame's atoms in their order."""
    frame = atoms["frame"].values.astype(np.int64)
    order = np.argsort(frame, kind="stable")
    numbers, starts = np.unique(frame[order], return_index=True)
    return numbers, np.split(order, starts[1:]) if len(numbers) else []


def frame_step(frames: NDArray[np.int64]) -> int:
    """How far apart consecutive frames are numbered: 1, or ``k`` where every ``k``-th frame of a movie was taken.

    Parameters
    ----------
    frames : (n,) int
        Numbers in any order, as often as they come.
    """
    return max(1, int(np.gcd.reduce(np.diff(np.unique(frames)), initial=0)))


def no_spacing(spacing: float, atoms: str, parameter: str, where: str) -> DataError:
    """Error for atoms whose `spacing_of` is no unit of lengths: NaN if no frame has two, 0 if most are there twice.

    Parameters
    ----------
    spacing : float
    atoms, parameter, where : str
        What they are called; what is in this unit.
    """
    if spacing == 0:
        told = f"most {atoms} have another one at the very same place, so there is no distance as the unit of"
        return DataError(f"{told} `{parameter}`", where=where, fix="leave out atoms that are there twice")
    told = f"no frame has two {atoms}, whose distance is the unit of"
    return DataError(f"{told} `{parameter}`", where=where, fix="with one atom a frame there is nothing to tell apart")

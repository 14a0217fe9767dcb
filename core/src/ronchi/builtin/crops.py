"""Transform ``crops``: windows around atoms, at sub-pixel positions, with where they come from."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates, spline_filter

from ronchi.api import Context
from ronchi.builtin.params_crops import CropsParams
from ronchi.errors import CalibrationError, DataError
from ronchi.pipeline.arrays import is_lazy
from ronchi.schema import crops
from ronchi.schema.common import carry_attrs

__all__ = ["Crops", "circular_mask", "cut_frame"]

Array = NDArray[np.float64]

_ORDERS = {"nearest": 0, "linear": 1, "cubic": 3}
_AT_ONCE = 1024
"""Crops that are sampled at a time: their points take some ten times the memory of the crops."""


class Crops:
    """Cuts a window around every atom of every frame."""

    def __init__(self, params: CropsParams) -> None:
        self.params = params

    def apply(self, *, data: xr.Dataset, atoms: xr.Dataset, ctx: Context) -> xr.Dataset:
        """Cut crops, lazily where the images are lazy.

        Parameters
        ----------
        data : xarray.Dataset
            ``images/1``. Where its pixels are longer along one axis, crops have the shorter length along both; where
            an axis descends, crops ascend along it, so that nothing is mirrored.
        atoms : xarray.Dataset
            ``atoms/1``, in pixels or in angstrom.

        Returns
        -------
        xarray.Dataset
            ``crops/1`` as float32, in the order of frames, then of atoms.

        Raises
        ------
        CalibrationError
            Atoms in angstrom on images in pixels, or in another unit.
        DataError
            Atoms of frames that are not there, or no crop lies within its frame.
        """
        p = self.params
        y_px, x_px, frame = _places(data, atoms)
        size = (p.size_px, p.size_px)
        inside = circular_mask(size) if p.mask == "circle" else np.ones(size, bool)
        steps = _steps(data)
        offsets = _offsets(size, steps, inside)
        chosen = np.isfinite(y_px) & np.isfinite(x_px) & _of_species(atoms, p.species)
        if p.edge == "drop":
            chosen &= _within(y_px, x_px, offsets[:, inside], data["intensity"].shape[1:])
        if not chosen.any():
            what = f"none of {len(y_px)} atoms has a crop of {p.size_px} px that lies within its frame"
            raise DataError(what, where="crops", fix="use a smaller `size_px`, or edge: reflect")
        order = np.flatnonzero(chosen)[np.argsort(frame[chosen], kind="stable")]
        attrs = carry_attrs(data, n_atoms=len(y_px), n_left_out=int(len(y_px) - len(order)), window=p.mask)
        where = np.stack([y_px, x_px], 1)[order]
        intensity = self._cut(data, frame[order], where, offsets)
        coordinates = [_axis(data, dim) for dim in ("y", "x")]
        position = [start + step * where[:, axis] for axis, (start, step, _) in enumerate(coordinates)]
        calibrated = coordinates[0][2] == "angstrom"
        return crops.make(
            intensity,
            frame=data["frame"].values[frame[order]],
            atom=order,
            position_y=position[0],
            position_x=position[1],
            species=atoms["species"].values[order] if "species" in atoms else None,
            track=atoms["track"].values[order] if "track" in atoms else None,
            bad_pixel=None if inside.all() else ~inside,
            step=(min(abs(s) for _, s, _ in coordinates),) * 2 if calibrated else None,
            units="1" if p.normalise == "frame" else str(data["intensity"].attrs.get("units", "1")),
            **attrs,
        )

    def _cut(self, data: xr.Dataset, frame: NDArray[np.int64], where: Array, offsets: Array) -> Any:
        p, images = self.params, data["intensity"]

        def cut(image: NDArray[Any], places: Array) -> NDArray[np.float32]:
            return cut_frame(image, places, offsets, _ORDERS[p.interpolation], p.edge, normalise=p.normalise == "frame")

        numbers, starts = np.unique(frame, return_index=True)
        places = np.split(where, starts[1:])
        if is_lazy(images):
            return _cut_later(images[numbers], cut, places, offsets.shape[1:])
        return np.concatenate([cut(images.values[number], each) for number, each in zip(numbers, places, strict=True)])


def circular_mask(size: tuple[int, int]) -> NDArray[np.bool_]:
    """True at pixels whose centres lie within the circle about ``(N // 2, N // 2)`` that the window just holds."""
    y, x = (np.arange(n) - n // 2 for n in size)
    radius = (min(size) - 1) // 2 + 0.5
    inside: NDArray[np.bool_] = y[:, None] ** 2 + x**2 < radius**2
    return inside


def cut_frame(
    image: NDArray[Any], where: Array, offsets: Array, order: int, edge: str, *, normalise: bool = False
) -> NDArray[np.float32]:
    """Windows of one image.

    Parameters
    ----------
    image : (ny, nx) array
        Values that are not finite make the pixels of crops NaN that touch them.
    where : (n, 2) float
        Atoms (y, x) in px.
    offsets : (2, rows, columns) float
        Sampling points around an atom, in px of the image.
    order : int
        Of the interpolating splines.
    edge : str
        ``"nan"`` for NaN outside of the image; else the image is mirrored there.

    Returns
    -------
    (n, rows, columns) float32
    """
    values = np.asarray(image, np.float64)
    known = np.isfinite(values)
    mean = float(values[known].mean()) if known.any() else 0.0
    values = _filled(values, known)
    if normalise:
        spread = float(values[known].std()) if known.any() else 0.0
        values = (values - mean) / (spread if spread > 0 else 1.0)
    filtered = spline_filter(values, order, mode="mirror") if order > 1 else values
    made = np.empty((len(where), *offsets.shape[1:]), np.float32)
    for start in range(0, len(where), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        made[part] = _sampled(filtered, known, where[part], offsets, order, edge)
    return made


def _filled(values: Array, known: NDArray[np.bool_]) -> Array:
    """Values with those of the nearest known pixels in the place of others: a step there would ring in the splines."""
    if known.all():
        return values
    if not known.any():
        return np.zeros_like(values)
    nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
    filled: Array = values[tuple(nearest)]
    return filled


def _sampled(
    filtered: Array, known: NDArray[np.bool_], where: Array, offsets: Array, order: int, edge: str
) -> NDArray[np.float32]:
    points = where.T[:, :, None, None] + offsets[:, None]
    if order == 0:
        points = np.rint(where).T[:, :, None, None] + np.rint(offsets)[:, None]
    made = map_coordinates(filtered, points, order=order, mode="mirror", prefilter=False)
    if edge == "nan":
        last = np.array(filtered.shape)[:, None, None, None] - 1
        made[((points < 0) | (points > last)).any(0)] = np.nan
    if not known.all():
        made[map_coordinates((~known).astype(float), points, order=min(order, 1), mode="mirror") > 0] = np.nan
    result: NDArray[np.float32] = made.astype(np.float32)
    return result


def _cut_later(
    images: xr.DataArray,
    cut: Callable[[NDArray[Any], Array], NDArray[np.float32]],
    places: list[Array],
    window: tuple[int, ...],
) -> Any:
    """Dask array of the crops, one chunk an image, in one layer: a movie may have thousands of images."""
    frames = images.chunk({"frame": 1, "y": -1, "x": -1}).data

    def cut_one(image: NDArray[Any], block_id: tuple[int, ...]) -> NDArray[np.float32]:
        return cut(image[0], places[block_id[0]])

    return frames.map_blocks(
        cut_one,
        chunks=(tuple(len(each) for each in places), *((n,) for n in window)),
        dtype=np.float32,
        meta=np.empty((0, 0, 0), np.float32),
        # A name made of the contents would take longer than the crops.
        name=f"crops-{uuid.uuid4().hex}",
    )


def _axis(data: xr.Dataset, dim: str) -> tuple[float, float, str]:
    """First value, step and units of an image axis."""
    if dim not in data.coords:
        return 0.0, 1.0, "pixel"
    values = data[dim].values
    step = float(values[-1] - values[0]) / (len(values) - 1) if len(values) > 1 else 1.0
    return float(values[0]), step, str(data[dim].attrs.get("units", "pixel"))


def _steps(data: xr.Dataset) -> tuple[float, float]:
    """Pixels of the image that a pixel of a crop spans along y and x: at most 1, below 0 where the axis descends."""
    y, x = (_axis(data, dim)[1] for dim in ("y", "x"))
    shorter = min(abs(y), abs(x))
    return shorter / y, shorter / x


def _offsets(size: tuple[int, int], steps: tuple[float, float], inside: NDArray[np.bool_]) -> Array:
    axes = [(np.arange(n) - n // 2) * step for n, step in zip(size, steps, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def _places(data: xr.Dataset, atoms: xr.Dataset) -> tuple[Array, Array, NDArray[np.int64]]:
    """Rows and columns of the atoms in px of the images, and the index of their frame."""
    places = []
    for dim in ("y", "x"):
        start, step, units = _axis(data, dim)
        name = dim if dim in atoms else f"{dim}_px"
        if name not in atoms:
            raise DataError(f"the atoms have no {dim!r}", where="crops")
        values = atoms[name].values.astype(np.float64)
        given = "pixel" if name != dim else str(atoms[name].attrs.get("units", "pixel"))
        if given not in ("angstrom", "pixel"):
            fix = "give them in angstrom or in pixels"
            raise CalibrationError(f"the atoms have {name!r} in {given!r}", where="crops", fix=fix)
        if given == "angstrom" and units != "angstrom":
            fix = "give the images a pixel size"
            raise CalibrationError("the atoms are in angstrom, the images in pixels", where="crops", fix=fix)
        # Places in pixels on images in angstrom are counted from their first pixel.
        on_axis = name == dim and given == units
        places.append((values - start) / step if on_axis else values)
    numbers = {int(number): i for i, number in enumerate(data["frame"].values)}
    wanted = atoms["frame"].values.astype(np.int64)
    missing = sorted(set(wanted.tolist()) - numbers.keys())
    if missing:
        raise DataError(f"there are atoms of frame {missing[0]}, but no such image", where="crops")
    return places[0], places[1], np.array([numbers[number] for number in wanted.tolist()], np.int64)


def _of_species(atoms: xr.Dataset, species: tuple[int, ...] | None) -> NDArray[np.bool_]:
    if species is None:
        return np.ones(atoms.sizes["atom"], bool)
    if "species" not in atoms:
        raise DataError("the atoms have no species", where="crops", fix="leave `species` out")
    return np.isin(atoms["species"].values, species)


def _within(y_px: Array, x_px: Array, points: Array, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Atoms whose sampling points (2, m) all lie between the centres of the image's outermost pixels."""
    low, high = points.min(1), points.max(1)
    kept: NDArray[np.bool_] = (
        (y_px + low[0] >= 0)
        & (y_px + high[0] <= shape[0] - 1)
        & (x_px + low[1] >= 0)
        & (x_px + high[1] <= shape[1] - 1)
    )
    return kept

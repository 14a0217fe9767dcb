"""One pass over a scan: virtual images, centre of mass, mean and maximum pattern."""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ronchi.bad_pixels import left_out
from ronchi.blocks import Region, count_positions, iter_regions
from ronchi.builtin.reduce_kernels import MAX_FRAMES, accumulator_of, mask_runs, reduce_frames
from ronchi.errors import DataError
from ronchi.schema import fourd, maps
from ronchi.schema.common import carry_attrs, variable

__all__ = ["reduce_scan"]

SCAN = ("scan_y", "scan_x")
DETECTOR = ("qy", "qx")
RESERVED = ("sum", "com_y", "com_x", "mean_pattern", "max_pattern", *SCAN, *DETECTOR)


def reduce_scan(
    data: xr.Dataset,
    *,
    masks: Mapping[str, ArrayLike] | None = None,
    sum_image: bool = True,
    mean_pattern: bool = True,
    max_pattern: bool = False,
    com: bool = False,
    block: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Reduce every pattern to a few numbers and the scan to a few patterns, reading the data once.

    Memory stays at one block of patterns, and at nothing but the results for data in memory or
    memory-mapped. Counts are summed as integers, exactly; floats in double precision.

    Parameters
    ----------
    data : xarray.Dataset
        ``fourd/1``, lazy or not. Pixels marked in ``bad_pixel`` count for nothing unless they
        are filled; positions that ``valid`` excludes are NaN in the images and left out of the
        patterns.
    masks : mapping of str to (qy, qx) array, optional
        A virtual image for each: the sum under a mask of bool, or of weights.
    sum_image : bool
        ``sum``: all counts of each pattern.
    mean_pattern, max_pattern : bool
        ``mean_pattern`` and ``max_pattern`` over the scan; NaN at pixels that do not count.
    com : bool
        ``com_y`` and ``com_x``: centre of mass in the units of q, from q = 0, or from
        ``origin_y`` and ``origin_x`` where `centre` has left them; NaN where the sum is not positive.
    block : int, optional
        Patterns a read; about 8 MB by default.
    progress : callable, optional
        ``progress(done, total)`` positions.

    Returns
    -------
    xarray.Dataset
        ``maps/1``, all in float64.

    Raises
    ------
    SchemaError
        ``data`` is not ``fourd/1``.
    DataError
        A mask has another shape than the patterns, a reserved name, or weights that are not finite.
    """
    fourd.validate(data)
    names = list(masks or {})
    whole = sum_image or mean_pattern or max_pattern or com
    total = _Total(data, [_mask(data, name, mask) for name, mask in (masks or {}).items()], whole, max_pattern)
    n, done = count_positions(data["intensity"]), 0
    for region, frames in iter_regions(data["intensity"], block):
        total.add(region, frames)
        done += region.size
        if progress is not None:
            progress(done, n)
    counts = str(data["intensity"].attrs["units"])
    result: dict[str, xr.Variable] = {}
    if sum_image:
        result["sum"] = variable(SCAN, total.image(total.moments[:, 0]), counts, "sum of the pattern")
    for name, image in zip(names, total.mask_images(), strict=True):
        result[name] = variable(SCAN, image, counts, f"virtual image, {name}")
    if com:
        for axis, position in zip("yx", total.centre_of_mass(), strict=True):
            result[f"com_{axis}"] = variable(SCAN, position, fourd.q_units(data), f"centre of mass, {axis}")
    if mean_pattern:
        result["mean_pattern"] = variable(DETECTOR, total.mean(), counts, "mean pattern")
    if max_pattern:
        result["max_pattern"] = variable(DETECTOR, total.maximum(), counts, "maximum of each pixel over the scan")
    used = {dim for var in result.values() for dim in var.dims}
    coords = {dim: data[dim].variable for dim in (*SCAN, *DETECTOR) if dim in used}
    return maps.make(result, coords, carry_attrs(data))


def _mask(data: xr.Dataset, name: str, mask: ArrayLike) -> NDArray[Any]:
    """Mask as bool, or as float64 weights where it is not of 0 and 1."""
    if name in RESERVED:
        raise DataError(f"a mask cannot be called {name!r}", where="masks", fix="choose another name")
    array = np.asarray(mask)
    shape = (data.sizes["qy"], data.sizes["qx"])
    if array.shape != shape:
        raise DataError(f"mask {name!r} has shape {array.shape}, the patterns {shape}", where="masks")
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        raise DataError(f"mask {name!r} holds something else than finite numbers", where="masks", fix="use 0 to 1")
    return array.astype(bool) if np.isin(array, (0, 1)).all() else array.astype(np.float64)


class _Total:
    """Running sums of a scan: under masks, and of all pixels if ``whole``."""

    def __init__(self, data: xr.Dataset, masks: list[NDArray[Any]], whole: bool, with_max: bool) -> None:
        intensity = data["intensity"]
        self.data = data
        self.shape = (intensity.sizes["qy"], intensity.sizes["qx"])
        self.dtype = _kernel_dtype(intensity.dtype)
        self.row_type, self.sum_type = accumulator_of(self.dtype)
        n = count_positions(intensity)
        self.valid = data["valid"].values.astype(bool).ravel() if "valid" in data else np.ones(n, bool)
        self.bad = left_out(data["bad_pixel"]) if "bad_pixel" in data else np.zeros(self.shape, bool)
        self.is_hard = [mask.dtype == bool for mask in masks]
        hard = [mask for mask, is_hard in zip(masks, self.is_hard, strict=True) if is_hard]
        soft = [mask for mask, is_hard in zip(masks, self.is_hard, strict=True) if not is_hard]
        good = ~self.bad
        # A weight of 0 at bad pixels would not do: 0 times NaN is NaN.
        self.weights = np.array(soft, np.float64).reshape(len(soft), *self.shape)
        self.good_runs = mask_runs(good[None] & whole)
        self.hard_runs = mask_runs(np.array(hard, bool).reshape(len(hard), *self.shape) & good)
        self.soft_runs = mask_runs((self.weights != 0) & good)
        self.moments = np.zeros((n, 3), self.sum_type)
        self.hard = np.zeros((n, len(hard)), self.sum_type)
        self.soft = np.zeros((n, len(soft)))
        self.pattern = np.zeros(self.shape, self.sum_type)
        self.scratch = np.zeros(self.shape, self.row_type)
        lowest = np.iinfo(self.dtype).min if self.dtype.kind in "iu" else -math.inf
        self.brightest = np.full(self.shape if with_max else (0, 0), lowest, self.dtype)

    def add(self, region: Region, frames: NDArray[Any]) -> None:
        """Add the frames of a region."""
        positions = region.positions(self.data.sizes["scan_x"])
        for start in range(0, len(frames), MAX_FRAMES):
            part = _native(frames[start : start + MAX_FRAMES], self.dtype)
            _map_pages(part)
            at = positions[start : start + MAX_FRAMES]
            moments = np.zeros((len(at), 3), self.sum_type)
            hard = np.zeros((len(at), self.hard.shape[1]), self.sum_type)
            soft = np.zeros((len(at), self.soft.shape[1]))
            # Sums in 64 bits need no second array that is emptied in time.
            pattern = self.pattern if self.row_type == self.sum_type else self.scratch
            reduce_frames(
                part, self.valid[at], *self.good_runs, *self.hard_runs, *self.soft_runs, self.weights,
                pattern, self.brightest, moments, hard, soft,
            )  # fmt: skip
            if pattern is self.scratch:
                self.pattern += self.scratch
                self.scratch[:] = 0
            self.moments[at], self.hard[at], self.soft[at] = moments, hard, soft

    def image(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """(scan_y, scan_x) image of one number a position, NaN where none was recorded."""
        flat = np.where(self.valid, values, np.nan)
        return flat.reshape(self.data.sizes["scan_y"], self.data.sizes["scan_x"])

    def mask_images(self) -> list[NDArray[np.float64]]:
        """Virtual images in the order of the masks."""
        hard, soft = iter(self.hard.T), iter(self.soft.T)
        return [self.image(next(hard if is_hard else soft)) for is_hard in self.is_hard]

    def centre_of_mass(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(scan_y, scan_x) centres of mass along y and x in the units of q."""
        mass = self.moments[:, 0].astype(np.float64)
        mass[~(mass > 0)] = np.nan
        step = fourd.q_step(self.data)
        origin: list[Any] = list(fourd.centre_px(self.data))
        if {"origin_y", "origin_x"} <= set(self.data.variables):
            # Of patterns that were cut by hand, the origins still count the pixels that are gone.
            lags = zip(("origin_y", "origin_x"), fourd.origin_lag_px(self.data), strict=True)
            origin = [self.data[name].values.ravel() - lag for name, lag in lags]
        y, x = ((self.moments[:, 1 + axis] / mass - origin[axis]) * step[axis] for axis in (0, 1))
        return self.image(y), self.image(x)

    def mean(self) -> NDArray[np.float64]:
        """(qy, qx) mean of the recorded patterns."""
        return self._detector(self.pattern / max(1, self.valid.sum()))

    def maximum(self) -> NDArray[np.float64]:
        """(qy, qx) maximum of the recorded patterns."""
        return self._detector(self.brightest)

    def _detector(self, values: NDArray[Any]) -> NDArray[np.float64]:
        return np.where(self.bad | (not self.valid.any()), np.nan, values)


def _kernel_dtype(stored: np.dtype[Any]) -> np.dtype[Any]:
    """Type in which the compiled code reads data of a stored type."""
    if stored.kind == "f":
        return np.dtype(np.float32 if stored.itemsize <= 4 else np.float64)
    # No detector counts beyond 2^63, and signed numbers mix with the signed sums.
    return np.dtype(np.int64) if stored == np.uint64 else stored.newbyteorder("=")


def _map_pages(frames: NDArray[Any]) -> None:
    """Touch every page of contiguous frames: the compiled code's `prefetch` skips those of a file not yet mapped."""
    frames.reshape(-1)[:: mmap.PAGESIZE // frames.itemsize].max()


def _native(frames: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Frames as the compiled code takes them: contiguous, native; a read-only view where that is possible."""
    ready: NDArray[Any] = np.ascontiguousarray(frames, dtype).view()
    # Read-only arrays are a type of their own to the compiler; one for all saves compiling twice.
    ready.flags.writeable = False
    return ready

"""Crop and bin: smaller scans and patterns with exact coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context
from ronchi.builtin.filling import is_filled
from ronchi.builtin.params_transforms import BinParams, CropParams
from ronchi.chunking import as_dask
from ronchi.errors import DataError
from ronchi.schema import fourd

__all__ = ["Bin", "Crop", "sum_bins", "sum_dtype"]

_ORIGIN = {"origin_y": "qy", "origin_x": "qx"}
_RESIDUAL, _RESIDUAL_ATTR = "origin_residual", "origin_residual_px"


class Crop:
    """Keeps a part of the scan, of the patterns, or of both."""

    def __init__(self, params: CropParams) -> None:
        self.params = params

    def apply(self, *, data: xr.Dataset, ctx: Context) -> xr.Dataset:
        """Crop lazily; coordinates keep their values, origin maps follow the new first pixel.

        Warns of a range that goes beyond the data.

        Raises
        ------
        DataError
            A range is empty, or an index is not whole.
        """
        slices: dict[str, slice] = {}
        for dim in fourd.DIMS:
            bounds = getattr(self.params, dim)
            if bounds is not None:
                slices[dim], beyond = _index_slice(data, dim, bounds, self.params.by)
                if beyond:
                    ctx.log.warning("%s", beyond)
        cropped = data.isel(slices)
        for name, dim in _ORIGIN.items():
            if name in cropped and dim in slices:
                moved = cropped[name] - slices[dim].start
                cropped[name] = moved.assign_attrs(cropped[name].attrs)
        return fourd.validate(fourd.with_axes_noted(cropped))


def _index_slice(data: xr.Dataset, dim: str, bounds: Sequence[float | None], by: str) -> tuple[slice, str]:
    """What to keep along an axis, and how the range goes beyond it; empty if it does not."""
    size = data.sizes[dim]
    if by == "index":
        if any(bound is not None and bound != int(bound) for bound in bounds):
            raise DataError(f"{dim}: indices must be whole, got {tuple(bounds)}", fix="or set `by: coordinate`")
        chosen = slice(*(None if bound is None else int(bound) for bound in bounds))
        start, stop, _ = chosen.indices(size)
        over = any(bound is not None and not -size <= bound <= size for bound in bounds)
        told = f"it has {size} elements"
    else:
        values = data[dim].values
        # A coordinate that was computed, such as 0.1 + 0.2, shall still find its pixel.
        step = float(values[-1] - values[0]) / max(size - 1, 1) or 1.0
        slack = 1e-6 * step
        low, high = (bound if bound is not None else end for bound, end in zip(bounds, values[[0, -1]], strict=True))
        start = int(np.searchsorted(values, low - slack, "left"))
        stop = int(np.searchsorted(values, high + slack, "right"))
        over = low < values[0] - step or high > values[-1] + step
        told = f"it runs from {values[0]:g} to {values[-1]:g} {data[dim].attrs['units']}"
    if start >= stop:
        raise DataError(f"the range {tuple(bounds)} of {dim} holds nothing: {told}", fix="choose a range inside")
    return slice(start, stop), f"the range {tuple(bounds)} of {dim} goes beyond the data: {told}" if over else ""


class Bin:
    """Adds up neighbouring pixels, neighbouring scan positions, or both."""

    def __init__(self, params: BinParams) -> None:
        self.params = params

    def apply(self, *, data: xr.Dataset, ctx: Context) -> xr.Dataset:
        """Bin lazily.

        Counts, and those of the probe, are summed in a wider type that cannot overflow. A
        coordinate becomes the mean over its bin, positions off the grid too, so q = 0 stays
        where it was; coordinates of text, which has no mean, are left out. A binned pixel is
        bad if one of its pixels was, or, where bad ones are filled, if all were; a binned
        position is valid if all were. A dose is that
        of the summed patterns. Residuals of the origin become those in binned pixels; where
        these are not square, a distance is divided by the root of the two factors' product.

        Raises
        ------
        DataError
            A factor is larger than the axis, or leaves a remainder that is not allowed.
        """
        factors = dict(zip(fourd.DIMS, (*self.params.scan, *self.params.detector), strict=True))
        for dim, factor in factors.items():
            size = data.sizes[dim]
            if factor > size:
                raise DataError(f"{dim} has {size} elements, fewer than a bin of {factor}", fix="bin less")
            if size % factor and self.params.remainder == "error":
                raise DataError(f"{dim} has {size} elements, which bins of {factor} do not fill", fix="crop first")
        whole = data.isel({dim: slice(0, data.sizes[dim] // f * f) for dim, f in factors.items()})
        binned = _bin_small(whole.drop_vars("intensity"), factors)
        binned["intensity"] = (
            whole["intensity"].dims,
            _bin_intensity(whole["intensity"], factors),
            data["intensity"].attrs,
        )
        binned.attrs = dict(data.attrs)
        if _RESIDUAL_ATTR in data.attrs:
            binned.attrs[_RESIDUAL_ATTR] = data.attrs[_RESIDUAL_ATTR] / _pixel_ratio(factors)
        if "dose" in data.attrs:
            binned.attrs["dose"] = data.attrs["dose"] * factors["scan_y"] * factors["scan_x"]
        return fourd.validate(fourd.with_axes_noted(binned[list(data.data_vars)]))


def _pixel_ratio(factors: dict[str, int]) -> float:
    return math.sqrt(factors["qy"] * factors["qx"])


def _bin_small(ds: xr.Dataset, factors: dict[str, int]) -> xr.Dataset:
    """Bin everything but the patterns."""
    rules = {"probe": "sum", "bad_pixel": "min" if is_filled(ds) else "max", "valid": "min"}
    axes = {
        dim: (dim, ds[dim].values.astype(float).reshape(-1, factor).mean(1), ds[dim].attrs)
        for dim, factor in factors.items()
    }
    out = xr.Dataset(coords=axes)
    bare = ds.reset_coords().drop_vars(fourd.DIMS)
    for name, var in bare.data_vars.items():
        here = {dim: factor for dim, factor in factors.items() if dim in var.dims and factor > 1}
        if here and name in ds.coords and var.dtype.kind in "STU":
            continue
        rule = rules.get(str(name), "mean")
        reduced = getattr(var.coarsen(here), rule)() if here else var
        if rule == "sum":
            reduced = reduced.astype(sum_dtype(var.dtype, math.prod(here.values())))
        if name in _ORIGIN:
            factor = factors[_ORIGIN[str(name)]]
            reduced = (reduced - (factor - 1) / 2) / factor
        elif name == _RESIDUAL:
            reduced = reduced / _pixel_ratio(factors)
        out[name] = reduced.assign_attrs(var.attrs)
    return out.set_coords([name for name in out if name in ds.coords])


def _bin_intensity(intensity: xr.DataArray, factors: dict[str, int]) -> Any:
    steps = tuple(factors[str(dim)] for dim in intensity.dims)
    lazy = as_dask(intensity)
    sizes = {
        dim: max(factor, max(chunk) // factor * factor)
        for (dim, factor), chunk in zip(factors.items(), lazy.chunks or (), strict=True)
    }
    data = lazy.chunk(sizes).data
    dtype = sum_dtype(intensity.dtype, int(np.prod(steps)))
    chunks = tuple(tuple(n // f for n in chunk) for chunk, f in zip(data.chunks, steps, strict=True))
    return data.map_blocks(sum_bins, steps, dtype, chunks=chunks, dtype=dtype, meta=np.empty((0,) * 4, dtype))


def sum_dtype(dtype: np.dtype[Any], count: int) -> np.dtype[Any]:
    """Narrowest type, 32 bit or more, that holds ``count`` of the largest values of ``dtype``.

    Floats stay, from float32 up. 64-bit integers stay 64 bit.
    """
    if dtype.kind == "f":
        return np.result_type(dtype, np.float32)
    if count == 1:
        return dtype
    candidates = [np.dtype(f"{dtype.kind}{size}") for size in (4, 8)]
    largest = count * int(np.iinfo(dtype).max)
    return candidates[0] if largest <= np.iinfo(candidates[0]).max else candidates[1]


def sum_bins(array: NDArray[Any], factors: Sequence[int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Sum whole bins along every axis.

    Parameters
    ----------
    array : N-D array
        Each size is a multiple of its factor.
    factors : sequence of int
    dtype : numpy.dtype
        Type of the sum.

    Returns
    -------
    N-D array of ``dtype``
    """
    for axis, factor in enumerate(factors):
        if factor == 1:
            continue
        head = (slice(None),) * axis
        # Adding strided views is several times faster than reducing an axis of length 2.
        total = array[(*head, slice(0, None, factor))].astype(dtype)
        for offset in range(1, factor):
            total += array[(*head, slice(offset, None, factor))]
        array = total
    return array.astype(dtype, copy=False)

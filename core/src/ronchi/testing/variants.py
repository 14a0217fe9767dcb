"""The same data in another form, of which an algorithm has to make the same, or which it has to take."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

__all__ = ["as_dtype", "bulk", "is_whole_counts", "lazy", "read_only", "uneven"]

_BULK = ("intensity", "z", "image")


def bulk(ds: xr.Dataset) -> list[str]:
    """Names of the variables that are as large as a measurement."""
    return [name for name in _BULK if name in ds]


def lazy(ds: xr.Dataset) -> xr.Dataset:
    """The same with its largest variable as dask arrays of one sample a chunk along the first dimension."""
    return ds.assign({name: ds[name].chunk({ds[name].dims[0]: 1}) for name in bulk(ds)})


def read_only(ds: xr.Dataset) -> xr.Dataset:
    """A deep copy whose arrays cannot be written to, as those of a file that is mapped into memory."""
    copy = ds.copy(deep=True)
    for name in copy.variables:
        values = copy[name].variable._data
        if isinstance(values, np.ndarray):
            values.flags.writeable = False
    return copy


def as_dtype(ds: xr.Dataset, dtype: str) -> xr.Dataset:
    """The same with its largest variable in another type."""
    return ds.assign({name: ds[name].astype(dtype, keep_attrs=True) for name in bulk(ds)})


def is_whole_counts(inputs: Mapping[str, xr.Dataset]) -> bool:
    """True if the largest variables hold whole, non-negative numbers that 16 bits can hold."""
    values = [ds[name].values for ds in inputs.values() for name in bulk(ds)]
    return all(bool(((v >= 0) & (v < 2**16) & (v == np.round(v))).all()) for v in values)


def uneven(data: xr.Dataset) -> xr.Dataset:
    """The same with a pattern in the middle 100 times as bright as its neighbours, and a last one that is empty.

    A threshold that is taken from a whole block, or from all patterns so far, then leaves out the disks of many
    patterns, and a count of disks that ends with the last disk is too short.
    """
    made = as_dtype(data, "float32").copy(deep=True)
    intensity = made["intensity"].values
    intensity[len(intensity) // 2, intensity.shape[1] // 2] *= 100
    intensity[-1, -1] = 0
    return made

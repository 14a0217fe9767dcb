"""Which samples are fitted and which are held out, and what is given beside the pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import DataError

__all__ = ["along_samples", "frame_numbers", "hold_out", "one_hot"]

Ints = NDArray[np.int64]


def hold_out(groups: NDArray[Any], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(n,) True for samples that are held out: whole groups, since neighbours in a frame overlap.

    Parameters
    ----------
    groups : (n,) array
        Number of the group of each sample; with a single group, samples are drawn one by one.
    share : float
        Of the samples; groups are taken while that brings it nearer, one at least where ``share`` is not 0.
    """
    names, member = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        names, member = np.arange(len(groups)), np.arange(len(groups))
    wanted, held = share * len(groups), np.zeros(len(names), bool)
    if not wanted or len(names) < 2:
        return np.zeros(len(groups), bool)
    sizes = np.bincount(member)
    order = rng.permutation(len(names))
    for group in order:
        now = sizes[held].sum()
        if abs(now + sizes[group] - wanted) <= abs(now - wanted) and held.sum() < len(names) - 1:
            held[group] = True
    if not held.any():
        held[order[np.abs(sizes[order] - wanted).argmin()]] = True
    return np.asarray(held[member])


def frame_numbers(x: xr.DataArray, numbers: Ints, where: str) -> NDArray[Any]:
    """Frame (n,) of each of the samples ``numbers``; 0 where the samples are of no frames."""
    samples = tuple(str(dim) for dim in x.dims[:-2])
    if "frame" not in x.coords or not x.coords["frame"].dims or "frame" in samples:
        return np.zeros(len(numbers), np.int64)
    return along_samples(x, "frame", samples, where)[numbers]


def along_samples(x: xr.DataArray, name: str, samples: tuple[str, ...], where: str) -> NDArray[Any]:
    """Flat values of a coordinate along the samples.

    Raises
    ------
    DataError
        There is none, or it holds other than whole numbers.
    """
    if name not in x.coords or not set(x.coords[name].dims) <= set(samples):
        have = ", ".join(str(c) for c, v in x.coords.items() if v.dims and set(v.dims) <= set(samples)) or "none"
        raise DataError(f"the samples have no coordinate {name!r}", where=f"{where}: condition", fix=f"one of: {have}")
    values = x.coords[name].broadcast_like(x.isel({d: 0 for d in x.dims if d not in samples}, drop=True))
    flat = values.transpose(*samples).values.ravel()
    if flat.dtype.kind not in "iub":
        what = f"{name!r} holds {flat.dtype}, not whole numbers"
        raise DataError(what, where=f"{where}: condition", fix="give classes as integers")
    return np.asarray(flat)


def one_hot(values: NDArray[Any], known: Ints, where: str) -> NDArray[np.float32]:
    """(n, known) 1 where a sample has a value.

    Raises
    ------
    DataError
        A value is not known from the fit.
    """
    strange = np.setdiff1d(values, known)
    if len(strange):
        what = f"the value {strange[0]} was not in the data of the fit, which had {known.tolist()}"
        raise DataError(what, where=f"{where}: condition", fix="leave these samples out, or fit anew")
    return np.asarray(values[:, None] == known, np.float32)

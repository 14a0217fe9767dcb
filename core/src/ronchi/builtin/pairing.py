"""Samples of a result beside those of its truth: by place on the scan, by atom, or by their order."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.blocks import SAMPLE_DIMS
from ronchi.builtin.matching import matching_positions
from ronchi.errors import DataError

__all__ = ["class_names", "classes_of", "flat", "folds_of", "paired_truth", "true_angle"]

Array = NDArray[np.float64]


def paired_truth(result: xr.Dataset, truth: xr.Dataset, where: str) -> xr.Dataset:
    """Truth of the samples of a result, in their order.

    Scans are laid on each other by their coordinates. Flat samples are found by frame and atom where both sides
    have them, by the number of the atom where the truth is a table of atoms, and else by their order.

    Raises
    ------
    DataError
        The samples of the result are not all in the truth.
    """
    dims = _sample_dims(result)
    if dims == ("scan_y", "scan_x"):
        rows, columns = matching_positions(result, truth)
        return truth.isel(scan_y=rows, scan_x=columns)
    (dim,) = dims
    if "atom" in truth.dims and "atom" in result.coords:
        atom = result["atom"].values
        if len(atom) and (atom.min() < 0 or atom.max() >= truth.sizes["atom"]):
            raise DataError("the result has atoms that the truth does not have", where=where)
        return truth.isel(atom=xr.DataArray(atom, dims=dim))
    keys = [name for name in ("frame", "atom") if name in result.coords and name in truth.coords and dim in truth.dims]
    if len(keys) == 2:
        known = {key: i for i, key in enumerate(zip(*(truth[name].values.tolist() for name in keys), strict=True))}
        wanted = list(zip(*(result[name].values.tolist() for name in keys), strict=True))
        missing = [key for key in wanted if key not in known]
        if missing:
            what = f"{len(missing)} of {len(wanted)} samples are not in the truth, such as frame, atom {missing[0]}"
            raise DataError(what, where=where)
        return truth.isel({dim: [known[key] for key in wanted]})
    if truth.sizes.get(dim) != result.sizes[dim]:
        what = f"the result has {result.sizes[dim]} samples, the truth {truth.sizes.get(dim, 'none')} along {dim!r}"
        raise DataError(what, where=where)
    return truth


def flat(data: xr.Dataset, name: str) -> NDArray[Any]:
    """Values of a variable over the samples, flat and row-major."""
    return np.asarray(data[name].values).reshape(-1)


def classes_of(truth: xr.Dataset, name: str, n: int) -> NDArray[np.int64]:
    """(n,) classes: 0 for all where the truth has no such variable."""
    return flat(truth, name).astype(np.int64) if name in truth else np.zeros(n, np.int64)


def class_names(truth: xr.Dataset, labels: NDArray[np.int64]) -> dict[int, str]:
    """Class to the name that its figures bear."""
    known = truth["class"].values.tolist() if "class" in truth.coords else []
    return {int(k): str(known[k]) if 0 <= k < len(known) else str(k) for k in np.unique(labels)}


def true_angle(truth: xr.Dataset, name: str, n_fold: int | None, where: str) -> tuple[Array, dict[int, int]]:
    """(n,) angles in rad, and class to its symmetry (under -1 that of all others).

    Raises
    ------
    DataError
        There is no such variable, or nothing says the symmetry.
    """
    if name not in truth:
        raise DataError(
            f"the truth has no {name!r}", where=where, fix=f"it has: {', '.join(map(str, truth.data_vars))}"
        )
    angle = flat(truth, name).astype(np.float64)
    if str(truth[name].attrs.get("units", "rad")).startswith("deg"):
        angle = np.deg2rad(angle)
    if n_fold is not None:
        return angle, {-1: n_fold}
    if "n_fold" in truth:
        return angle, {k: int(n) for k, n in enumerate(np.atleast_1d(truth["n_fold"].values))}
    if "n_fold" in truth[name].attrs:
        return angle, {-1: int(truth[name].attrs["n_fold"])}
    raise DataError(f"nothing says up to which symmetry {name!r} is defined", where=where, fix="give `n_fold`")


def folds_of(result: xr.Dataset, n: int, folds: int) -> NDArray[np.int64]:
    """(n,) number of the part that a sample is in: whole frames where there are enough, else consecutive samples.

    Neighbouring samples overlap, so random parts would tell each other's answers.
    """
    if "frame" in result.coords and n == result["frame"].size:
        _, frame = np.unique(flat(result, "frame"), return_inverse=True)
        if frame.max() + 1 >= folds:
            return frame.astype(np.int64) % folds
    return np.arange(n, dtype=np.int64) * folds // max(n, 1)


def _sample_dims(result: xr.Dataset) -> tuple[str, ...]:
    dims = result["z"].dims if "z" in result else next(iter(result.data_vars.values())).dims
    return tuple(str(dim) for dim in dims if dim in SAMPLE_DIMS)

"""The peaks of a scan as plain arrays, in scan order, ready to be fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import DataError
from ronchi.schema import peaks as schema
from ronchi.schema.common import distortion
from ronchi_lattice import frame

__all__ = ["Peaks", "read"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Peaks:
    """Peaks of ``n`` positions, flat.

    Parameters
    ----------
    q : (peak, 2) float64
        Positions (y, x), finite.
    var : (peak, 3) float64
        Covariances yy, yx, xx.
    dimness : (peak,) float64
        Median brightness of the scan's disks over the disk's own; NaN where it is not known.
    offsets : (n + 1,) int64
        Where the peaks of each position start.
    flat_index : (n,) int64
        Row-major scan index of each position, increasing.
    scan_shape : tuple of int
    """

    q: Floats
    var: Floats
    dimness: Floats
    offsets: NDArray[np.int64]
    flat_index: NDArray[np.int64]
    scan_shape: tuple[int, int]

    @property
    def counts(self) -> NDArray[np.int64]:
        """(n,) peaks of each position."""
        return np.diff(self.offsets)

    def keep(self, marked: NDArray[np.bool_]) -> Peaks:
        """The same positions with only the peaks that are ``marked`` (peak,)."""
        offsets = np.concatenate([[0], np.cumsum(marked)])[self.offsets]
        return Peaks(self.q[marked], self.var[marked], self.dimness[marked], offsets, self.flat_index, self.scan_shape)

    def at(self, which: NDArray[np.int64]) -> tuple[NDArray[np.int64], Peaks]:
        """The positions ``which``, and the rows of their peaks in these arrays."""
        counts = self.counts[which]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[which] - offsets[:-1], counts)
        flat = self.flat_index[which]
        return rows, Peaks(self.q[rows], self.var[rows], self.dimness[rows], offsets, flat, self.scan_shape)


def read(ds: xr.Dataset) -> Peaks:
    """Take the peaks out of a ``peaks/1`` data set, with its distortion undone.

    Peaks without a finite position are left out; positions come in scan order, whatever order they have
    in the data set.

    Raises
    ------
    CalibrationError
        The attribute ``q_distortion`` is not usable.
    DataError
        Two entries are of one position.
    """
    height, width = (int(n) for n in ds.attrs["scan_shape"])
    flat = ds["scan_y_index"].values.astype(np.int64) * width + ds["scan_x_index"].values.astype(np.int64)
    q = np.stack([ds[name].values.astype(np.float64) for name in ("qy", "qx")], axis=1)
    var = np.stack([ds[name].values.astype(np.float64) for name in ("var_yy", "var_yx", "var_xx")], axis=1)
    matrix = distortion(ds.attrs, "peaks")
    if matrix is not None:
        q, var = frame.apply_to_points(matrix, q), frame.apply_to_covariance(matrix, var)
    peaks = Peaks(q, var, _dimness(_light(ds)), schema.offsets(ds), flat, (height, width))
    if (np.diff(flat) <= 0).any():
        peaks = peaks.at(np.argsort(flat, kind="stable"))[1]
        _check_once(peaks.flat_index, width)
    finite = np.asarray(np.isfinite(peaks.q).all(axis=1))
    return peaks if finite.all() else peaks.keep(finite)


def _check_once(flat: NDArray[np.int64], width: int) -> None:
    twice = flat[1:][np.diff(flat) == 0]
    if len(twice):
        y, x = divmod(int(twice[0]), width)
        raise DataError(
            f"positions that occur more than once: {len(np.unique(twice))}, the first is scan_y {y}, scan_x {x}",
            where="peaks",
            fix="keep one entry for each pair of scan_y_index and scan_x_index",
        )


def _light(ds: xr.Dataset) -> NDArray[np.float32]:
    """(peak,) brightness of the disks: what a detector calls their intensity need not be that."""
    light: NDArray[np.float32] = ds["disk_counts" if "disk_counts" in ds else "intensity"].values
    return light


def _dimness(intensity: NDArray[np.float32]) -> Floats:
    known = np.isfinite(intensity) & (intensity > 0)
    dimness = np.full(len(intensity), np.nan)
    if known.any():
        bright = intensity[known].astype(np.float64)
        dimness[known] = np.median(bright) / bright
    return dimness

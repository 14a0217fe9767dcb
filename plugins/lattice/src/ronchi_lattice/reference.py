"""The unstrained lattice: a region of the scan, all of it, or a cell given by the user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import DataError
from ronchi_lattice.cell import transform_to
from ronchi_lattice.fit import Fits
from ronchi_lattice.params import Reference
from ronchi_lattice.peaklist import Peaks
from ronchi_lattice.strain import polar

__all__ = ["ReferenceLattice", "beyond_scan", "check_region", "make_reference", "told_by_few"]

Floats = NDArray[np.float64]

_OUTLIER = 3.5  # robust standard deviations
_MAD = 1.4826
_FEWEST_TO_REJECT = 8  # of three positions, the robust deviation rejects all in one case of five
_FEWEST_TO_SHOW_A_HOLE = 64
_HOLE = 0.01  # of the positions, such as those at interfaces
_ROUNDING = 1e-8
_MEDIAN_COST = np.pi / 2  # variance of a median of normal numbers, in units of the mean's


@dataclass(frozen=True)
class ReferenceLattice:
    """What strain is measured against.

    Parameters
    ----------
    G : (2, 2) float64
        Columns g1 and g2, rows (y, x).
    cov : (4, 4) float64
        Covariance of G, row by row.
    share : (n,) float64
        Influence of each position on the reference; sums to 1, or to 0 for an explicit cell.
    words : str
        What it is, to be read by people.
    is_between : bool
        It lies between two lattices of the region, and is of neither.
    """

    G: Floats
    cov: Floats
    share: Floats
    words: str
    is_between: bool = False


def make_reference(
    fits: Fits, peaks: Peaks, basis: Floats, choice: Reference, coords: dict[str, xr.Variable]
) -> ReferenceLattice:
    """Work out the reference lattice.

    Parameters
    ----------
    basis : (2, 2) float64
        Basis whose indices the fits use; an explicit cell is expressed in it.
    coords : dict
        1-D coordinates ``scan_y`` and ``scan_x``.

    Raises
    ------
    DataError
        The region holds no position, or none that is fitted, or the explicit cell does not index the lattice.
    """
    if choice.g1 is not None and choice.g2 is not None:
        return _explicit(np.array([choice.g1, choice.g2]).T, basis, len(fits.reason))
    inside, region = _region(choice, peaks.flat_index, coords)
    if not inside.any() and len(inside):
        raise _outside(region, coords)
    inside &= fits.fitted
    if not inside.any():
        raise DataError(
            f"no position of the reference region ({region}) has a fitted lattice",
            where="reference",
            fix="choose another region, or leave `reference` out to use the whole scan",
        )
    G, cov = fits.G[inside], fits.G_cov[inside]
    # Medians of the maps from the mean lattice, not of the vectors: those would depend on the choice of g1 and g2. Of
    # stretches and turns apart: the mean of lattices that are turned against each other is shorter than each of them.
    mean = G.mean(axis=0)
    stretch, turn = polar(G @ np.linalg.inv(mean))
    maps = np.column_stack([stretch.reshape(-1, 4), turn])
    centre = np.median(maps, axis=0)
    if choice.statistic == "median" and len(G) > 2:  # the median of one or two is their mean
        influence, cost = _influence(cov), _MEDIAN_COST
    else:
        inlier = _inliers(maps, centre)
        centre, cost = maps[inlier].mean(axis=0), 1.0
        influence = inlier / inlier.sum()
    share = np.zeros(len(inside))
    share[inside] = influence
    cov_ref = cost * np.tensordot(influence**2, cov, axes=1)
    words = f"{choice.statistic} over {np.count_nonzero(influence)} fitted positions of {region}"
    c, s = np.cos(centre[4]), np.sin(centre[4])
    G_ref = np.array([[c, s], [-s, c]]) @ centre[:4].reshape(2, 2) @ mean
    return ReferenceLattice(G_ref, cov_ref, share, words, _is_between(maps[:, :4] - centre[:4]))


def _is_between(off: Floats) -> bool:
    """Whether stretches, which differ from the reference's by ``off`` (n, 4), leave a hole about it.

    Of normal numbers in three dimensions a tenth lies within half of the median distance, of those on a line more.
    """
    distance = np.linalg.norm(off, axis=1)
    half = np.median(distance) / 2
    near = np.count_nonzero(distance <= half)
    return half > _ROUNDING and len(off) >= _FEWEST_TO_SHOW_A_HOLE and near <= _HOLE * len(off)


def _influence(cov: Floats) -> Floats:
    """(n,) share of each position in a median; sums to 1.

    A position counts by the density of its values at the median, 1 / sigma: one that is badly known moves it no
    farther than any other. The variance of the median of normal numbers, ``pi/2 n / sum(1 / sigma)^2``, is then
    ``pi/2 sum(share^2 sigma^2)`` (Huber 1981, Robust Statistics, doi:10.1002/0471725250). That is the law of many; of
    a few the one that is well known does not always lie in the middle, and equal shares err to the safe side.
    """
    if len(cov) < _FEWEST_TO_REJECT:
        return np.full(len(cov), 1 / len(cov))
    variance = np.trace(cov, axis1=1, axis2=2)
    # Without standard errors, all are alike.
    density = 1 / np.sqrt(np.where(np.isnan(variance), 1.0, variance))
    share: Floats = density / density.sum()
    return share


def _inliers(maps: Floats, centre: Floats) -> NDArray[np.bool_]:
    """(n,) maps (n, m) of which each component lies near the median ``centre``; the nearest half in any case.

    The spread of a few positions is known too badly to reject any of them by it.
    """
    if len(maps) < _FEWEST_TO_REJECT:
        return np.ones(len(maps), bool)
    off = np.abs(maps - centre)
    spread = _MAD * np.median(off, axis=0)
    farthest = (off / (_OUTLIER * spread + 1e-12)).max(axis=1)
    inlier: NDArray[np.bool_] = farthest <= max(1.0, float(np.median(farthest)))
    return inlier


def check_region(choice: Reference, coords: Mapping[str, xr.Variable]) -> None:
    """Raise a `DataError` if no position of the scan lies in the region."""
    size = coords["scan_y"].size * coords["scan_x"].size
    inside, region = _region(choice, np.arange(size), coords)
    if not inside.any():
        raise _outside(region, coords)


def beyond_scan(choice: Reference, coords: Mapping[str, xr.Variable]) -> str:
    """Which limits of the region lie more than a step beyond the scan, and where that ends; empty if none does."""
    over = []
    for axis, indices in (("scan_y", "rows"), ("scan_x", "columns")):
        values, limits, window = coords[axis].values, getattr(choice, axis), getattr(choice, indices)
        low, high = values.min(), values.max()
        step = (high - low) / (values.size - 1) if values.size > 1 else np.inf
        if limits is not None and (limits[0] < low - step or limits[1] > high + step):
            over.append(f"{axis} {limits[0]:g} to {limits[1]:g}")
        if window is not None and window[1] > values.size:
            over.append(f"{indices} {window[0]}:{window[1]}")
    return f"{', '.join(over)} goes beyond the scan, which has {_extent(coords)}" if over else ""


def told_by_few(choice: Reference, fits: Fits, peaks: Peaks, coords: Mapping[str, xr.Variable], min_peaks: int) -> str:
    """How few of the patterns of a region have the lattice, if these are less than half of them; else empty."""
    if all(limits is None for limits in (choice.scan_y, choice.scan_x, choice.rows, choice.columns)):
        return ""
    inside, region = _region(choice, peaks.flat_index, coords)
    inside &= peaks.counts >= min_peaks
    n_fitted, n = np.count_nonzero(inside & fits.fitted), np.count_nonzero(inside)
    return f"{n_fitted} of the {n} patterns of the reference region ({region})" if 2 * n_fitted < n else ""


def _outside(region: str, coords: Mapping[str, xr.Variable]) -> DataError:
    return DataError(
        f"the reference region ({region}) holds no position of the scan",
        where="reference",
        fix=f"choose a region that holds some of {_extent(coords)}",
    )


def _explicit(cell: Floats, basis: Floats, n: int) -> ReferenceLattice:
    T = transform_to(cell, basis)
    if T is None:
        raise DataError(
            f"the reference cell g1 = {cell[:, 0].tolist()}, g2 = {cell[:, 1].tolist()} does not index the fitted "
            f"lattice g1 = {np.round(basis[:, 0], 5).tolist()}, g2 = {np.round(basis[:, 1], 5).tolist()}, or in more "
            "than one way",
            where="reference",
            fix="give both vectors as (y, x) on the detector's axes, in the units of q, near the orientation measured",
        )
    words = f"explicit cell g1 = {cell[:, 0].tolist()}, g2 = {cell[:, 1].tolist()} (y, x)"
    return ReferenceLattice(cell @ T, np.zeros((4, 4)), np.zeros(n), words)


def _region(
    choice: Reference, flat_index: NDArray[np.int64], coords: Mapping[str, xr.Variable]
) -> tuple[NDArray[np.bool_], str]:
    """(n,) positions inside, and the region in words."""
    index = np.divmod(flat_index, coords["scan_x"].size)
    inside = np.ones(len(flat_index), bool)
    words = []
    for axis, name in enumerate(("scan_y", "scan_x")):
        limits = getattr(choice, name)
        if limits is not None:
            where = coords[name].values[index[axis]]
            inside &= (where >= limits[0]) & (where <= limits[1])
            words.append(f"{name} {limits[0]:g} to {limits[1]:g} {coords[name].attrs.get('units', '')}".rstrip())
    for axis, name in enumerate(("rows", "columns")):
        limits = getattr(choice, name)
        if limits is not None:
            inside &= (index[axis] >= limits[0]) & (index[axis] < limits[1])
            words.append(f"{name} {limits[0]}:{limits[1]}")
    return inside, ", ".join(words) or "the whole scan"


def _extent(coords: Mapping[str, xr.Variable]) -> str:
    """The whole scan in the words of the parameters."""
    rows, columns = coords["scan_y"].size, coords["scan_x"].size
    axes = []
    for name in ("scan_y", "scan_x"):
        values, unit = coords[name].values, coords[name].attrs.get("units", "")
        low, high = values.min(), values.max()
        steps = f" in steps of {(high - low) / (values.size - 1):g}" if values.size > 1 else ""
        axes.append(f"{name} {low:g} to {high:g} {unit}".rstrip() + steps)
    return f"{', '.join(axes)} (rows 0:{rows}, columns 0:{columns})"

"""The strain solver ``lattice``: peaks in, strain and lattice maps out."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ronchi.api import Context, DataError, Result
from ronchi.schema import common
from ronchi_lattice.fit import Settings
from ronchi_lattice.multi import FittedLattice, fit_lattices
from ronchi_lattice.output import lattice_maps, strain_maps
from ronchi_lattice.params import LatticeParams
from ronchi_lattice.peaklist import Peaks, read
from ronchi_lattice.reference import ReferenceLattice, beyond_scan, check_region, make_reference, told_by_few

__all__ = ["LatticeSolver"]


class LatticeSolver:
    """Fits the lattice of every position and compares it with a reference.

    Parameters
    ----------
    params : LatticeParams
    """

    def __init__(self, params: LatticeParams) -> None:
        self.params = params

    def check(self, scan_y: xr.DataArray, scan_x: xr.DataArray) -> None:
        """Refuse a reference region outside the scan, before the disks are searched.

        Raises
        ------
        DataError
        """
        check_region(self.params.reference, {"scan_y": scan_y.variable, "scan_x": scan_x.variable})

    def solve(self, peaks: xr.Dataset, ctx: Context) -> Result:
        """From ``peaks/1`` to ``strain/1``, with ``lattice/1`` as the side output ``lattice``.

        Of several lattices the first carries the plain names; the variables of the second end in ``_2``.

        Raises
        ------
        DataError
            The peaks agree on no lattice, the reference cannot be had from them, or a position occurs twice.
        CalibrationError
            The attribute ``q_distortion`` or ``scan_rotation_deg`` is not usable.
        """
        params = self.params
        table = read(peaks)
        coords = _scan_coords(peaks, table)
        # Of more than two lattices that share a pattern evenly, none has more than a third of its peaks.
        part = params.min_fraction * min(1.0, 2 / params.n_lattices)
        settings = Settings(params.min_peaks, params.min_fraction, params.index_tolerance, params.outlier_sigma, part)
        basis = np.array([params.basis.g1, params.basis.g2], float).T if params.basis else None
        lattices = fit_lattices(table, basis, params.n_lattices, settings, ctx.log, ctx.progress)

        attrs = common.carry_attrs(peaks, n_lattices=max(len(lattices), 1))
        if "q_distortion" in attrs:
            attrs["q_distortion_applied"] = 1
        q_units = str(peaks["qy"].attrs.get("units", "pixel"))
        strains, maps = [], []
        for lattice, reference in zip(lattices, self._references(lattices, table, coords, ctx), strict=True):
            strains.append(strain_maps(lattice, reference, table, coords, q_units, attrs))
            maps.append(lattice_maps(lattice, table, coords, q_units, attrs))
        return Result(_side_by_side(strains, ("reference",)), {"lattice": _side_by_side(maps, _OWN_ATTRS)})

    def _references(
        self, lattices: list[FittedLattice], table: Peaks, coords: dict[str, xr.Variable], ctx: Context
    ) -> list[ReferenceLattice | str]:
        """The reference of each lattice, or why it has none: not every grain need reach into the region."""
        if not lattices or not lattices[0].fits.fitted.any():
            raise self._nothing_fitted(table)
        choice = self.params.reference
        if over := beyond_scan(choice, coords):
            ctx.log.warning("the reference region %s", over)
        references: list[ReferenceLattice | str] = []
        errors = []
        for lattice in lattices:
            try:
                references.append(make_reference(lattice.fits, table, lattice.basis, choice, coords))
            except DataError as error:
                errors.append(error)
                references.append(f"none: {error.what}")
        if len(errors) == len(lattices):
            raise errors[0]
        for number, reference in enumerate(references, start=1):
            if isinstance(reference, str):
                ctx.log.warning("lattice %d has no strain: %s", number, reference.removeprefix("none: "))
            elif few := told_by_few(choice, lattices[number - 1].fits, table, coords, self.params.min_peaks):
                ctx.log.warning("lattice %d shows in only %s: its reference may be of another crystal", number, few)
            elif reference.is_between:
                ctx.log.warning(
                    "the reference of lattice %d lies between two lattices of its region, and is of neither: strain is "
                    "measured from halfway; choose a region with one of them as `reference`",
                    number,
                )
        return references

    def _nothing_fitted(self, table: Peaks) -> DataError:
        counts, basis, needed = table.counts, self.params.basis, self.params.min_peaks
        fewest, most = (int(counts.min()), int(counts.max())) if len(counts) else (0, 0)
        positions = f"any of {len(counts)} positions, which have {fewest} to {most} peaks; {needed} are needed"
        if basis is None or most < needed:
            fix = "look at what the detector finds with `ronchi preview`, or give a `basis`"
            return DataError(f"no lattice could be fitted at {positions}", where="peaks", fix=fix)
        return DataError(
            f"no lattice near the basis g1 = {list(basis.g1)}, g2 = {list(basis.g2)} could be fitted at {positions}",
            where="basis",
            fix="give both vectors as (y, x) in the units of the peaks' q axes, or leave `basis` out to have it found",
        )


_OWN_ATTRS = ("model_sigma", "basis_g1", "basis_g2")


def _scan_coords(peaks: xr.Dataset, table: Peaks) -> dict[str, xr.Variable]:
    """1-D scan coordinates of the whole scan; indices where the data set has none."""
    return {
        dim: peaks[dim].variable
        if dim in peaks.coords
        else common.variable(dim, np.arange(n, dtype=float), "pixel", f"scan position, {dim[-1]}")
        for dim, n in zip(("scan_y", "scan_x"), table.scan_shape, strict=True)
    }


def _side_by_side(maps: list[xr.Dataset], own_attrs: tuple[str, ...]) -> xr.Dataset:
    """The first data set, with the variables and own attributes of the others under numbered names."""
    merged = maps[0]
    more: dict[str, Any] = {}
    for number, other in enumerate(maps[1:], start=2):
        merged = merged.assign({f"{name}_{number}": var.variable for name, var in other.data_vars.items()})
        more |= {f"{name}_{number}": other.attrs[name] for name in own_attrs if name in other.attrs}
    return merged.assign_attrs(more)

"""The transform ``library-scan``: samples of a library as a scan, so that detectors are compared on crystals."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context, DataError, Result
from ronchi.schema import fourd, peaks
from ronchi.schema import library as schema
from ronchi_simulate.params.library_scan import LibraryScanParams

__all__ = ["LibraryScan"]


class LibraryScan:
    """Lays the runs of a library along ``scan_y`` and its thicknesses along ``scan_x``."""

    def __init__(self, params: LibraryScanParams) -> None:
        self.params = params

    def apply(self, *, data: xr.Dataset, ctx: Context) -> Result:
        """Choose samples lazily.

        Parameters
        ----------
        data : xarray.Dataset
            ``library/1`` whose chosen runs share a beam energy and a semiangle: a scan has one probe. ``ronchi
            simulate library --set beam_energies_eV=[200000] --set splits=[test]`` makes such a one.
        ctx : Context

        Returns
        -------
        Result
            ``fourd/1``: fractions of the beam, without noise; the transform ``augment`` gives them a dose. The side
            ``truth_peaks`` has the reflections of every pattern, the height of their points in the structure-factor
            image, |V_g| exp(-s_g^2 / (2 sigma^2)) in volt, in the place of the intensity.

        Raises
        ------
        DataError
            No run is of the split; runs differ in their probes; the library lacks a thickness or the semiangle.
        """
        p = self.params
        runs = _runs(data, p)
        columns = _columns(data, p.thicknesses_angstrom)
        if p.semiangle >= data.sizes["semiangle"]:
            what = f"the library has {data.sizes['semiangle']} semiangles, no number {p.semiangle}"
            raise DataError(what, where="library-scan: semiangle", fix="count from 0")
        chosen = data.isel(run=runs, semiangle=p.semiangle)
        energy = _one(chosen["beam_energy_eV"], "beam energies", "beam_energies_eV=[200000]")
        semiangle = _one(chosen["semiangle_mrad"], "semiangles", "semiangle_range_mrad=null")
        patterns = chosen["intensity"].isel(thickness=columns)
        step = tuple(float(chosen[name][1] - chosen[name][0]) for name in ("qy", "qx"))
        made = fourd.make(
            patterns.transpose("run", "thickness", "qy", "qx").data,
            q_step=(step[0], step[1]),
            probe=chosen["probe"].isel(run=0).values,
            beam_energy_eV=energy,
            semiangle_mrad=semiangle,
            title=f"{len(runs)} runs of a library, {p.split}; rows: runs, columns: thicknesses",
        )
        return Result(made, {"truth_peaks": _truth(data, runs, made, p.least_relative)})


def _runs(data: xr.Dataset, p: LibraryScanParams) -> NDArray[np.int64]:
    split = data["split"].values.astype(str)
    runs = np.flatnonzero((split == p.split) | (p.split == "all"))[: p.runs]
    if not len(runs):
        raise DataError(
            f"the library has no runs for {p.split}", where="library-scan: split", fix=f"it has {sorted({*split})}"
        )
    return runs


def _columns(data: xr.Dataset, wanted: tuple[float, ...]) -> NDArray[np.int64]:
    known = data["thickness"].values
    if not wanted:
        return np.arange(len(known))
    apart = np.abs(known - np.array(wanted)[:, None])
    lacking = [value for value, least in zip(wanted, apart.min(1), strict=True) if least > 1e-6]
    if lacking:
        what = f"the library has no thickness of {', '.join(f'{value:g}' for value in lacking)} angstrom"
        known_text = f"it has {known[0]:g} to {known[-1]:g} in {len(known)} steps"
        raise DataError(what, where="library-scan: thicknesses_angstrom", fix=known_text)
    return apart.argmin(1)


def _one(values: xr.DataArray, what: str, setting: str) -> float:
    """Return the value that all runs share. Raises `DataError`."""
    distinct = np.unique(values.values)
    if len(distinct) > 1:
        raise DataError(
            f"the runs have {len(distinct)} {what}, and a scan has one probe",
            where="library-scan",
            fix=f"simulate a library with --set {setting}",
        )
    return float(distinct[0])


def _truth(data: xr.Dataset, runs: NDArray[np.int64], scan: xr.Dataset, least_relative: float) -> xr.Dataset:
    """``peaks/1``, the same for every thickness of a run."""
    n_columns = scan.sizes["scan_x"]
    column: dict[str, list[NDArray[Any]]] = {name: [] for name in ("qy", "qx", "height")}
    counts = []
    for run in runs.tolist():
        found = schema.reflections(data, run)
        height = found["weighed_amplitude"].values
        shown = height > least_relative * height.max(initial=0)
        values = {"height": height, "qy": found["reflection_qy"].values, "qx": found["reflection_qx"].values}
        for name, listed in column.items():
            listed.append(np.tile(values[name][shown], n_columns))
        counts.append(np.full(n_columns, shown.sum()))
    flat = {name: np.concatenate(listed) for name, listed in column.items()}
    still = np.zeros(len(flat["qy"]))
    step, centre = fourd.q_step(scan), fourd.centre_px(scan)
    made = peaks.make(
        counts=np.concatenate(counts),
        qy=flat["qy"],
        qx=flat["qx"],
        intensity=flat["height"],
        var_yy=still,
        var_xx=still,
        scan_shape=(scan.sizes["scan_y"], n_columns),
        q_step=step,
        q_origin_px=centre,
        q_shape=(scan.sizes["qy"], scan.sizes["qx"]),
        q_units=fourd.q_units(scan),
        attrs={"is_truth": 1},
    )
    made["intensity"].attrs.update(units="V", long_name="height in the structure-factor image")
    return made

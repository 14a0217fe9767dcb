"""Metric ``strain-rmse``: how far a strain map is from the truth, and how much of the map there is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context
from ronchi.builtin.matching import matching_positions
from ronchi.builtin.params_metrics import StrainRmseParams
from ronchi.errors import DataError
from ronchi.schema import strain

__all__ = ["StrainRmse"]

Array = NDArray[np.float64]


class StrainRmse:
    """Bias, RMS and robust spread of every component, with the coverage beside them."""

    def __init__(self, params: StrainRmseParams) -> None:
        self.params = params

    def score(self, result: xr.Dataset, truth: xr.Dataset, ctx: Context) -> Mapping[str, float]:
        """Score ``strain/1`` against truth on the same scan, or on a larger one that holds its coordinates.

        Returns
        -------
        dict
            For each of e_xx, e_yy, e_xy [1] and theta [rad] ``bias_*``, ``rms_*``, ``mad_*``
            (1.4826 times the median absolute deviation from the median) and ``z_*`` (RMS of
            error over stated standard error: 1 if the error bars are right); ``coverage``,
            the part of the wanted positions that has a finite strain; ``n``, their number.

        Raises
        ------
        DataError
            The scans do not match, the frames differ, or the region asked for is not in the truth.
        """
        frames = result.attrs.get("frame"), truth.attrs.get("frame")
        if frames[1] is not None and frames[0] != frames[1]:
            raise DataError(
                f"the result is in the {frames[0]} frame, the truth in the {frames[1]} frame",
                where="strain-rmse",
                fix="set the scan rotation with the transform `rotation` before the strain is solved",
            )
        rows, columns = matching_positions(result, truth)
        truth = truth.isel(scan_y=rows, scan_x=columns)
        wanted = self._wanted(truth)
        covered = np.isfinite(result["e_xx"].values) & wanted
        figures = {
            "coverage": float(covered.sum() / wanted.sum()) if wanted.any() else np.nan,
            "n": float(covered.sum()),
        }
        for name in strain.COMPONENTS:
            averaged = f"{name}_probe"
            true = truth[averaged if self.params.probe_average and averaged in truth else name].values
            error = (result[name].values - true)[covered].astype(float)
            stated = result[f"se_{name}"].values[covered].astype(float) if f"se_{name}" in result else None
            figures |= {f"{key}_{name}": value for key, value in _spread(error, stated).items()}
        return figures

    def _wanted(self, truth: xr.Dataset) -> NDArray[np.bool_]:
        wanted: NDArray[np.bool_] = np.isfinite(truth["e_xx"].values)
        least = self.params.min_interface_distance_angstrom
        if least > 0:
            if "dist_interface" not in truth:
                raise DataError("the truth has no 'dist_interface'", where="strain-rmse", fix="ask for no distance")
            wanted = wanted & (np.abs(truth["dist_interface"].values) >= least)
        return wanted


def _spread(error: Array, stated: Array | None) -> dict[str, float]:
    if not len(error):
        return dict.fromkeys(("bias", "rms", "mad", "z"), np.nan)
    median = np.median(error)
    known = stated is not None and bool((stated > 0).any())
    good = stated > 0 if stated is not None else None
    return {
        "bias": float(error.mean()),
        "rms": float(np.sqrt((error**2).mean())),
        "mad": float(1.4826 * np.median(np.abs(error - median))),
        "z": float(np.sqrt(((error[good] / stated[good]) ** 2).mean())) if known and stated is not None else np.nan,
    }

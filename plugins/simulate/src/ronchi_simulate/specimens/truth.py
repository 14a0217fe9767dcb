"""The truth beside a scan over a strained or unstrained crystal, as ``strain/1``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.schema.common import ATTR, variable
from ronchi.schema.strain import COMPONENTS, SIGN_CONVENTION, validate
from ronchi_simulate.params.scan import TiltedScanParams
from ronchi_simulate.specimens.tilt import helical_tilt

__all__ = ["strain_truth"]

_SCAN = ("scan_y", "scan_x")


def strain_truth(
    data: xr.Dataset,
    params: TiltedScanParams,
    components: Mapping[str, NDArray[np.float64]],
    more: Mapping[str, tuple[NDArray[Any], str, str]],
    **attrs: Any,
) -> xr.Dataset:
    """Put true strain and the tilt on the scan.

    Parameters
    ----------
    data : xarray.Dataset
        The scan.
    params : TiltedScanParams
    components : mapping
        Of ``e_xx, e_yy, e_xy`` [1] and ``theta`` [rad], in the frame of the scan, those that are not 0: (n,)
        float, row by row.
    more : mapping
        Further variables: (n,) values, units, long name.
    **attrs
        ``reference`` and what else there is to say.
    """
    zero = np.zeros(params.scan_shape[0] * params.scan_shape[1])
    tilt_y, tilt_x = np.rad2deg(helical_tilt(params).reshape(-1, 2).T / 1e3)
    values: dict[str, tuple[NDArray[Any], str, str]] = {
        **{
            name: (components.get(name, zero), "rad" if name == "theta" else "1", f"true {name}") for name in COMPONENTS
        },
        "tilt_y": (tilt_y, "deg", "lean of the zone axis towards y"),
        "tilt_x": (tilt_x, "deg", "lean of the zone axis towards x"),
        **more,
    }
    told = {ATTR: "strain/1", "is_truth": 1, "frame": "scan", "sign_convention": SIGN_CONVENTION, **attrs}
    variables = {
        name: variable(_SCAN, _compact(array).reshape(params.scan_shape), units, text)
        for name, (array, units, text) in values.items()
    }
    return validate(xr.Dataset(variables, {dim: data[dim].variable for dim in _SCAN}, told))


def _compact(array: NDArray[Any]) -> NDArray[Any]:
    """Numbers as float32 and flags as bytes, which every file format holds."""
    return array.astype(np.int8 if array.dtype == bool else np.float32)

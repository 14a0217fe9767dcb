"""The transform ``dpc``: from centres of mass to field, phase and charge in the frame of the scan."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context, DataError
from ronchi.optics import interaction_constant
from ronchi.schema import descriptors
from ronchi.schema.common import variable
from ronchi_com.distortion import undistorted
from ronchi_com.frame import frame_of
from ronchi_com.integrate import integrate_gradient
from ronchi_com.params import DpcParams
from ronchi_com.rotation import rotate
from ronchi_com.splines import derivative

__all__ = ["Dpc"]

Floats = NDArray[np.float64]

_SCAN = ("scan_y", "scan_x")
_VACUUM_PERMITTIVITY = 0.0055263494  # elementary charges / (volt angstrom)


class Dpc:
    """Differential phase contrast.

    Parameters
    ----------
    params : DpcParams
    """

    def __init__(self, params: DpcParams) -> None:
        self.params = params

    def apply(self, *, data: xr.Dataset, ctx: Context) -> xr.Dataset:
        """Add what follows from the deflection to the centres of mass.

        Parameters
        ----------
        data : xarray.Dataset
            ``descriptors/1`` over a scan, with the components ``com_y`` and ``com_x``. Subtract an offset of
            the beam there (``descan`` of ``com``): here it would be a slope of the phase. The matrix
            ``q_distortion`` that the step ``ellipse`` leaves is applied here, once: not where
            ``q_distortion_applied`` says that it has been. ``com`` does not see it, so its result is as measured.

        Returns
        -------
        xarray.Dataset
            ``data``, undistorted where there was a ``q_distortion``, with ``field_y`` and ``field_x``
            (deflection in the frame of the scan; it points to nuclei), ``phase`` [rad] of a thin object,
            ``divergence``, ``curl`` and ``charge_density``, all (scan_y, scan_x); the attributes
            ``rotation_deg``, ``rotation_sd_deg`` (NaN if not fitted), ``rotation_source``, ``flipped``,
            ``rotation_resolved``, ``flip_resolved``, ``sign_resolved``, ``sign_source`` (where the half turn comes
            from: as the rotation if that was told; ``"atoms"``, an assumption about the sample, or ``"unknown"`` if
            it was fitted) and ``calibrated``. Without calibrated axes the numbers are relative and the names say so.

        Raises
        ------
        DataError
            No centres of mass, or a scan of one row or column.
        CalibrationError
            The data do not show the rotation, ``scan_rotation_deg`` is asked for and absent, or ``q_distortion``
            is not usable.
        """
        _check(data)
        data = undistorted(data)
        com_y, com_x = _deflection(data)
        step = (_step(data, "scan_y"), _step(data, "scan_x"))
        frame = frame_of(self.params, data.attrs, (com_y, com_x), step, ctx)
        field_y, field_x = rotate(com_y, com_x, frame.rotation_deg, frame.flipped)
        phase = integrate_gradient(2 * np.pi * field_y, 2 * np.pi * field_x, step)
        divergence = derivative(field_y, step[0], 0) + derivative(field_x, step[1], 1)
        curl = derivative(field_y, step[1], 1) - derivative(field_x, step[0], 0)

        q_units, scan_units = str(data["z"].attrs["units"]), _units(data)
        calibrated = q_units == "1/angstrom" and scan_units == "angstrom"
        doubt = ("" if calibrated else ", relative: the axes are not calibrated") + (
            "" if frame.sign_resolved else ", sign unknown"
        )
        slope_units = "1/angstrom^2" if calibrated else f"{q_units}/{scan_units}"
        charge, charge_units, charge_name = _charge_density(data, divergence, slope_units, calibrated)
        made: dict[str, tuple[Floats, str, str]] = {
            "field_y": (field_y, q_units, "deflection along scan y" + doubt),
            "field_x": (field_x, q_units, "deflection along scan x" + doubt),
            "phase": (phase, "rad" if calibrated else "1", "phase" + doubt),
            "divergence": (divergence, slope_units, "divergence" + doubt),
            "curl": (curl, slope_units, "curl" + doubt),
            "charge_density": (charge, charge_units, charge_name + doubt),
        }
        result = data.assign({name: variable(_SCAN, *rest) for name, rest in made.items()})
        return descriptors.validate(result.assign_attrs({**frame.attrs(), "calibrated": int(calibrated)}), "dpc")


def _charge_density(
    data: xr.Dataset, divergence: Floats, slope_units: str, calibrated: bool
) -> tuple[Floats, str, str]:
    """Projected charge density by Poisson's equation, positive at nuclei, with its units and name."""
    energy = float(data.attrs.get("beam_energy_eV", math.nan))
    if not (calibrated and energy > 0):
        return -divergence, slope_units, "projected charge density, up to a factor"
    volts = 2 * math.pi / interaction_constant(energy)
    return -_VACUUM_PERMITTIVITY * volts * divergence, "e/angstrom^2", "projected charge density"


def _check(data: xr.Dataset) -> None:
    """Refuse what holds no centres of mass over an area."""
    names = _components(data)
    missing = [name for name in ("com_y", "com_x") if name not in names]
    if missing or descriptors.sample_dims(data) != _SCAN:
        raise DataError(
            f"component {missing[0]!r} is missing" if missing else f"the samples {data['z'].dims[:-1]} are no scan",
            where="dpc",
            fix="pass the result of the learner `com` on a scan",
        )
    if min(data.sizes[dim] for dim in _SCAN) < 2:
        raise DataError(
            f"the scan has {data.sizes['scan_y']} x {data.sizes['scan_x']} positions: a phase needs two rows and "
            "two columns at least",
            where="dpc",
            fix="scan an area, or use the centres of mass as they are",
        )


def _components(data: xr.Dataset) -> list[str]:
    return [str(name) for name in data["component"].values] if "component" in data.coords else []


def _deflection(data: xr.Dataset) -> tuple[Floats, Floats]:
    """(scan_y, scan_x) components y and x, both NaN where either is."""
    names = _components(data)
    z = data["z"].values.astype(np.float64)
    z = np.where(np.isfinite(z[..., [names.index("com_y"), names.index("com_x")]]).all(-1, keepdims=True), z, np.nan)
    return z[..., names.index("com_y")], z[..., names.index("com_x")]


def _step(data: xr.Dataset, dim: str) -> float:
    if dim not in data.coords:
        return 1.0
    values = data[dim].values
    return float(values[-1] - values[0]) / (len(values) - 1)


def _units(data: xr.Dataset) -> str:
    return str(data["scan_x"].attrs.get("units", "pixel")) if "scan_x" in data.coords else "pixel"

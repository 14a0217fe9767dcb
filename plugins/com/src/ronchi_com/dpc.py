"""The transform ``dpc``: from centres of mass to field, phase and charge in the frame of the scan."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import CalibrationError, Context, DataError
from ronchi.schema import descriptors
from ronchi.schema.common import variable
from ronchi_com.integrate import integrate_gradient
from ronchi_com.params import DpcParams
from ronchi_com.rotation import MIN_SIZE, RotationFit, fit_rotation, rotate
from ronchi_com.splines import derivative

__all__ = ["Dpc", "interaction_constant"]

Floats = NDArray[np.float64]

_SCAN = ("scan_y", "scan_x")
_REST_ENERGY_EV = 510998.95
_PLANCK_C_EV_ANGSTROM = 12398.41984
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
            the beam there (``descan`` of ``com``): here it would be a slope of the phase.

        Returns
        -------
        xarray.Dataset
            ``data`` with ``field_y`` and ``field_x`` (deflection in the frame of the scan; it points to
            nuclei), ``phase`` [rad] of a thin object, ``divergence``, ``curl`` and ``charge_density``, all (scan_y,
            scan_x); the attributes ``rotation_deg``, ``rotation_sd_deg`` (NaN if not fitted), ``rotation_source``,
            ``flipped``, ``rotation_resolved``, ``flip_resolved``, ``sign_resolved`` and ``calibrated``. Without
            calibrated axes the numbers are relative and the names say so.

        Raises
        ------
        DataError
            No centres of mass, or a scan of one row or column.
        CalibrationError
            The data do not show the rotation, or ``scan_rotation_deg`` is asked for and absent.
        """
        com_y, com_x = _deflection(data)
        step = (_step(data, "scan_y"), _step(data, "scan_x"))
        frame = self._frame(data, com_y, com_x, step, ctx)
        field_y, field_x = rotate(com_y, com_x, frame["rotation_deg"], bool(frame["flipped"]))
        phase = integrate_gradient(2 * np.pi * field_y, 2 * np.pi * field_x, step)
        divergence = derivative(field_y, step[0], 0) + derivative(field_x, step[1], 1)
        curl = derivative(field_y, step[1], 1) - derivative(field_x, step[0], 0)

        q_units, scan_units = str(data["z"].attrs["units"]), _units(data)
        calibrated = q_units == "1/angstrom" and scan_units == "angstrom"
        doubt = ("" if calibrated else ", relative: the axes are not calibrated") + (
            "" if frame["sign_resolved"] else ", sign unknown"
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
        return descriptors.validate(result.assign_attrs({**frame, "calibrated": int(calibrated)}), "dpc")

    def _frame(
        self, data: xr.Dataset, com_y: Floats, com_x: Floats, step: tuple[float, float], ctx: Context
    ) -> dict[str, Any]:
        """Attributes that say how the detector lies relative to the scan, and how that is known."""
        p = self.params
        flip = None if p.flip == "auto" else p.flip
        given = p.rotation if isinstance(p.rotation, int | float) else _known_rotation(data, p.rotation)
        large_enough = min(com_y.shape) >= MIN_SIZE
        if given is not None:
            known = RotationFit(180 - (180 - float(given)) % 360, math.nan, bool(flip), math.nan, True, True, True)
            if large_enough and not isinstance(p.rotation, int | float):
                _warn_if_contradicted(known, fit_rotation(com_y, com_x, step, ctx.rng, flip), ctx)
            source = "given" if isinstance(p.rotation, int | float) else "scan_rotation_deg"
            return _attributes(known, source)
        if not large_enough:
            raise CalibrationError(
                f"a scan of {com_y.shape[0]} x {com_y.shape[1]} positions is too small to show the rotation",
                where="dpc",
                fix=f"give `rotation` in degrees, or scan {MIN_SIZE} x {MIN_SIZE} positions at least",
            )
        fit = fit_rotation(com_y, com_x, step, ctx.rng, flip)
        if not fit.clear and p.on_unclear == "refuse":
            raise CalibrationError(
                "the centres of mass do not show the rotation between scan and detector: their curl is as large as "
                f"their divergence at every angle ({fit.curl_fraction:.0%} of the squared derivatives)",
                where="dpc",
                fix="give `rotation` in degrees, or `on_unclear: keep` to go on with the best guess",
            )
        ctx.log.info("rotation %.2f +- %.2f deg, flipped: %s", fit.rotation_deg, fit.sd_deg, fit.flipped)
        if not fit.sign_resolved:
            ctx.log.warning("the sign of the phase is not resolved: the rotation may be off by 180 deg")
        if not fit.flip_resolved:
            ctx.log.warning("the data do not tell whether the detector is mirrored: taken as not")
        return _attributes(fit, "fit")


def interaction_constant(beam_energy_eV: float) -> float:
    """Phase by a projected potential, in rad / (volt angstrom), relativistic (Kirkland 2010, eq. 5.6)."""
    total = 2 * _REST_ENERGY_EV + beam_energy_eV
    wavelength = _PLANCK_C_EV_ANGSTROM / math.sqrt(beam_energy_eV * total)
    return 2 * math.pi / (wavelength * beam_energy_eV) * (_REST_ENERGY_EV + beam_energy_eV) / total


def _charge_density(
    data: xr.Dataset, divergence: Floats, slope_units: str, calibrated: bool
) -> tuple[Floats, str, str]:
    """Projected charge density by Poisson's equation, positive at nuclei, with its units and name."""
    energy = float(data.attrs.get("beam_energy_eV", math.nan))
    if not (calibrated and energy > 0):
        return -divergence, slope_units, "projected charge density, up to a factor"
    volts = 2 * math.pi / interaction_constant(energy)
    return -_VACUUM_PERMITTIVITY * volts * divergence, "e/angstrom^2", "projected charge density"


def _deflection(data: xr.Dataset) -> tuple[Floats, Floats]:
    """(scan_y, scan_x) components y and x, both NaN where either is."""
    names = [str(name) for name in data["component"].values] if "component" in data.coords else []
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


def _known_rotation(data: xr.Dataset, rotation: str) -> float | None:
    known = float(data.attrs.get("scan_rotation_deg", math.nan))
    if math.isfinite(known) and rotation != "fit":
        return known
    if rotation == "known":
        raise CalibrationError(
            "the attribute scan_rotation_deg is missing",
            where="dpc",
            fix="give `rotation` in degrees, or `rotation: fit`",
        )
    return None


def _warn_if_contradicted(known: RotationFit, fit: RotationFit, ctx: Context) -> None:
    # A vendor's angle may have the other sign, and a mirror is rarely noted: worth a word, not more.
    off = (fit.rotation_deg - known.rotation_deg + 90) % 180 - 90
    if fit.clear and (abs(off) > max(5.0, 4 * fit.sd_deg) or (fit.flip_resolved and fit.flipped != known.flipped)):
        ctx.log.warning(
            "scan_rotation_deg is %.1f, but the data show %.1f +- %.1f%s, modulo 180: check it, or use `rotation: fit`",
            known.rotation_deg,
            fit.rotation_deg,
            fit.sd_deg,
            ", mirrored" if fit.flipped else "",
        )


def _attributes(fit: RotationFit, source: str) -> dict[str, Any]:
    return {
        "rotation_deg": fit.rotation_deg,
        "rotation_sd_deg": fit.sd_deg,
        "rotation_source": source,
        "rotation_resolved": int(fit.clear),
        "flipped": int(fit.flipped),
        "flip_resolved": int(fit.flip_resolved),
        "sign_resolved": int(fit.sign_resolved),
    }

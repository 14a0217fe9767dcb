"""Calibrations that are set: steps of scans, patterns and images, energy, semiangle, scan rotation."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context
from ronchi.builtin.ellipse import ring_of
from ronchi.builtin.params_images import CalibrateImagesParams
from ronchi.builtin.params_transforms import CalibrateParams, RotationParams
from ronchi.errors import CalibrationError
from ronchi.optics import implausible
from ronchi.schema import fourd, images
from ronchi.schema.common import distortion, variable

__all__ = ["Calibrate", "CalibrateImages", "Rotation"]

_POSITION = dict(zip(("scan_y", "scan_x"), fourd.POSITIONS, strict=True))


class Calibrate:
    """Sets steps and beam; pixels and scan positions keep their places.

    What was cropped, binned or measured of rings before is as if it had been calibrated first.
    Positions off the grid (``position_y``, ``position_x``) follow the scan's steps, unless
    they are in angstrom already and the scan is not.
    """

    def __init__(self, params: CalibrateParams) -> None:
        self.params = params

    def apply(self, *, data: xr.Dataset, ctx: Context) -> xr.Dataset:
        """Calibrate; patterns are not touched.

        Raises
        ------
        CalibrationError
            The known ring cannot be fitted, or gives a step that cannot be true.
        """
        p = self.params
        out = data
        q_step = p.q_step_inv_angstrom
        if p.ring is not None and p.ring_d_angstrom is not None:
            fit = ring_of(data, p.ring)
            scale = 1 / (p.ring_d_angstrom * fit.radius)
            old = fourd.q_step(data)
            q_step = old[0] * scale, old[1] * scale
            words = (
                f"ring of d = {p.ring_d_angstrom:g} angstrom, residual {fit.residual / fit.radius:.2%} of its radius"
            )
            out = out.assign_attrs(q_step_source=words)
            ctx.log.info("q step %.6g, %.6g 1/angstrom from a %s", *q_step, words)
            if why := next(filter(None, (implausible(step, "q_step_inv_angstrom") for step in q_step)), ""):
                what = f"the q step that follows is not plausible: {why}"
                raise CalibrationError(what, where="ring_d_angstrom", fix="give the spacing in angstrom")
        if q_step is not None:
            out = _rescale(out, ("qy", "qx"), q_step, "1/angstrom")
            out = _keep_rings_round(out, np.divide(q_step, fourd.q_step(data)))
        if p.scan_step_angstrom is not None:
            out = _rescale(out, ("scan_y", "scan_x"), p.scan_step_angstrom, "angstrom")
        names = ("beam_energy_eV", "semiangle_mrad", "camera_length_m", "dose")
        return fourd.validate(out.assign_attrs({n: getattr(p, n) for n in names if getattr(p, n) is not None}))


def _rescale(ds: xr.Dataset, dims: tuple[str, str], steps: tuple[float, float], units: str) -> xr.Dataset:
    """Multiply both coordinates, and the positions along them, by new over old step."""
    ratios = [_ratio(ds[dim], step) for dim, step in zip(dims, steps, strict=True)]
    # A lone row in angstrom has no step to compare with: it moves as the other axis does.
    usual = next((ratio for ratio in ratios if ratio is not None), 1.0)
    scaled: dict[str, xr.Variable] = {}
    for dim, step, ratio in zip(dims, steps, ratios, strict=True):
        # A pixel of positions on a scan in angstrom is a step of that scan.
        factors = {"pixel": step, ds[dim].attrs["units"]: usual if ratio is None else ratio}
        for name in {dim, _POSITION.get(dim, dim)} & set(ds.variables):
            old = ds[name]
            factor = factors.get(old.attrs["units"])
            if factor is not None:
                scaled[name] = xr.Variable(old.dims, old.data * factor, {**old.attrs, "units": units})
    return ds.assign(scaled)


def _keep_rings_round(ds: xr.Dataset, ratio: NDArray[np.float64]) -> xr.Dataset:
    """The matrix ``q_distortion`` that was measured before q was stretched by ``ratio`` (y, x), if unequal."""
    before = distortion(ds.attrs, "calibrate")
    if before is None or math.isclose(ratio[0], ratio[1], rel_tol=1e-9):
        return ds
    # |A q| is the radius of a ring; of the new q it is |A S^-1 q'|, of which the symmetric root is taken.
    values, vectors = np.linalg.eigh((before.T @ before) / np.outer(ratio, ratio))
    matrix = (vectors * np.sqrt(values)) @ vectors.T / values.prod() ** 0.25
    source = f"{ds.attrs.get('q_distortion_source', 'not stated')}; then stretched with q"
    return ds.assign_attrs(q_distortion=matrix.ravel(), q_distortion_source=source)


def _ratio(axis: xr.DataArray, step: float) -> float | None:
    """New over old step; None if there is no old one."""
    if axis.size > 1:
        return step / (float(axis.values[-1] - axis.values[0]) / (axis.size - 1))
    return step if axis.attrs["units"] == "pixel" else None


class CalibrateImages:
    """Sets the size of a pixel of images; what was cut before is as if it had been calibrated first."""

    def __init__(self, params: CalibrateImagesParams) -> None:
        self.params = params

    def apply(self, *, data: xr.Dataset, ctx: Context) -> xr.Dataset:
        """Multiply the coordinates ``y`` and ``x`` of ``images/1`` by new over old step; images are not touched."""
        absent = [dim for dim in ("y", "x") if dim not in data.coords]
        axes = {
            dim: variable(dim, np.arange(data.sizes[dim], dtype=float), "pixel", f"position, {dim}") for dim in absent
        }
        scaled = _rescale(data.assign_coords(axes), ("y", "x"), self.params.step_angstrom, "angstrom")
        return images.validate(scaled)


class Rotation:
    """Sets the angle between scan and patterns."""

    def __init__(self, params: RotationParams) -> None:
        self.params = params

    def apply(self, *, data: xr.Dataset, ctx: Context) -> xr.Dataset:
        """Set ``scan_rotation_deg``, in (-180, 180], and say where it comes from.

        The angle is that from the patterns' x axis to the scan's x axis, positive from x
        (right) towards y (down): what points along x in the scan points along
        (y, x) = (sin, cos) of the angle in the patterns.
        """
        angle = 180 - (180 - self.params.scan_rotation_deg) % 360
        return data.assign_attrs(scan_rotation_deg=angle, scan_rotation_source=self.params.source)

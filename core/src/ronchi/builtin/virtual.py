"""Virtual detectors and the images that they see."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ronchi.api import Context
from ronchi.builtin.filling import bad_mask
from ronchi.builtin.masks import annulus_mask, disk_mask, point_mask, rectangle_mask
from ronchi.builtin.params_images import OverviewParams, VirtualImageParams
from ronchi.builtin.patterns import mean_and_variance
from ronchi.builtin.probe import cut_disk, is_halo
from ronchi.builtin.reduce import reduce_scan
from ronchi.errors import CalibrationError, DataError, ReadError
from ronchi.schema import fourd

__all__ = ["Overview", "VirtualImage", "beam_radius", "virtual_image"]

_log = logging.getLogger("ronchi.virtual")

Mask = NDArray[Any]
Pair = tuple[float, float]
Measures = dict[str, Any]
"""Sizes of a detector by name, in its units."""

ADF_INNER = 1.5
"""Inner edge of the dark field in radii of the direct beam: clear of its edge and of small shifts of it."""
_FEW_PIXELS = 5
RADIUS_SAMPLE = 64
"""Patterns whose mean shows the direct beam where no calibration gives its radius."""


def virtual_image(
    data: xr.Dataset,
    mode: str = "disk",
    center: Pair | None = None,
    radius: float | Pair | None = None,
    *,
    size: Pair | None = None,
    mask: ArrayLike | None = None,
    units: str = "q",
    antialias: bool = False,
    name: str = "virtual",
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Sum each pattern under a virtual detector.

    Parameters
    ----------
    data : xarray.Dataset
        ``fourd/1``.
    mode : {"disk", "annulus", "point", "rectangle", "mask"}
    center : tuple of float, optional
        (y, x) in ``units``; where q = 0 by default.
    radius : float or (inner, outer), optional
        Of the disk or annulus, in ``units``; a disk defaults to the direct beam, an annulus to
        all beyond 1.5 of its radii.
    size : tuple of float, optional
        Height and width of the rectangle, in ``units``.
    mask : (qy, qx) array, optional
        Of bool or weights, for mode ``"mask"``.
    units : {"q", "px"}
        The data's q units from q = 0, or px with (0, 0) at the centre of the first pixel.

    Returns
    -------
    xarray.Dataset
        ``maps/1`` with one variable called ``name``, whose attributes say which detector it was: ``detector`` (mode),
        ``detector_center``, its size as ``detector_radius``, ``detector_inner`` and ``detector_outer`` or
        ``detector_size``, all in ``detector_units``, and ``detector_pixels``, how many it covers.

    Raises
    ------
    CalibrationError
        No radius was given and that of the direct beam cannot be found.
    DataError
        The mode or units are unknown, the mode's size is missing, or the mask is empty or does not fit.
    """
    fourd.validate(data)
    if center is None:
        center = fourd.centre_px(data) if units == "px" else (0.0, 0.0)
    detector, measures = _detector(data, mode, center, radius, size=size, mask=mask, units=units, antialias=antialias)
    if not np.any(detector):
        what = f"the virtual detector ({mode}) covers no pixel"
        raise DataError(what, where=name, fix=f"check centre and size: {_extent(data, units)}")
    image = reduce_scan(data, masks={name: detector}, sum_image=False, mean_pattern=False, progress=progress)
    in_units = fourd.q_units(data) if units == "q" else "pixel"
    image[name].attrs |= {
        "long_name": f"virtual image, {_in_words(mode, measures, in_units)}",
        "detector": mode,
        "detector_center": np.array(center, float),
        **{f"detector_{measure}": value for measure, value in measures.items()},
        "detector_units": in_units,
        "detector_pixels": int(np.count_nonzero(detector)),
    }
    return image


def _in_words(mode: str, measures: Measures, units: str) -> str:
    unit = "px" if units == "pixel" else units
    if mode == "disk":
        return f"disk of radius {measures['radius']:.3g} {unit}"
    if mode == "annulus":
        outer = f" to {measures['outer']:.3g}" if "outer" in measures else ""
        return f"annulus from {measures['inner']:.3g}{outer} {unit}"
    if mode == "rectangle":
        height, width = measures["size"]
        return f"rectangle of {height:.3g} x {width:.3g} {unit}"
    return mode


def _detector(
    data: xr.Dataset,
    mode: str,
    center: Pair,
    radius: float | Pair | None,
    *,
    size: Pair | None,
    mask: ArrayLike | None,
    units: str,
    antialias: bool,
) -> tuple[Mask, Measures]:
    """The detector's weights, and its size."""
    if units not in ("q", "px"):
        raise DataError(f"units {units!r} are not known", where="virtual image", fix="allowed: q, px")
    qy, qx = _axes(data, units)
    if mode == "mask":
        if mask is None:
            raise DataError("mode 'mask' needs a mask", where="virtual image", fix="give a (qy, qx) array")
        return np.asarray(mask), {}
    if mode == "point":
        return point_mask(qy, qx, center), {}
    if mode == "rectangle":
        if size is None:
            raise DataError("mode 'rectangle' needs `size`", where="virtual image", fix="give height and width")
        return rectangle_mask(qy, qx, center, size, antialias=antialias), {"size": np.array(size, float)}
    if mode == "disk":
        if isinstance(radius, tuple | list):
            raise DataError(f"a disk has one radius, not {radius}", where="virtual image", fix="or use mode 'annulus'")
        r = beam_radius(data, units) if radius is None else radius
        return disk_mask(qy, qx, center, r, antialias=antialias), {"radius": float(r)}
    if mode == "annulus":
        if radius is None:
            inner, outer = ADF_INNER * beam_radius(data, units), math.inf
        elif isinstance(radius, tuple | list):
            inner, outer = radius
        else:
            inner, outer = radius, math.inf
        ends = {"inner": float(inner), **({"outer": float(outer)} if math.isfinite(outer) else {})}
        return annulus_mask(qy, qx, center, inner, outer, antialias=antialias), ends
    known = "allowed: disk, annulus, point, rectangle, mask"
    raise DataError(f"mode {mode!r} is not known", where="virtual image", fix=known)


def beam_radius(data: xr.Dataset, units: str = "q") -> float:
    """Radius of the direct beam: from the calibration or the probe, else from the mean of some patterns.

    Warns if the beam is a halo in that mean: its radius is then that of half the height, beyond which is light too.

    Raises
    ------
    CalibrationError
        No disk stands out of the mean pattern.
    """
    radius_px = fourd.disk_radius_px(data)
    if radius_px is None:
        mean = mean_and_variance(data, RADIUS_SAMPLE).mean
        try:
            radius_px = cut_disk(mean, None)[1]
        except CalibrationError as error:
            raise CalibrationError(
                "the radius of the direct beam is unknown, and no disk stands out of the mean pattern",
                where="virtual image",
                fix="give a radius, run the transform `probe` first, or set energy, semiangle and q step",
            ) from error
        if is_halo(mean, bad_mask(data)):
            _log.warning(
                "the direct beam is a halo without an edge: %.3g px, where it is half as bright, are taken for its "
                "radius; give radii, or beam energy and semiangle",
                radius_px,
            )
    step_y, step_x = fourd.q_step(data)
    return radius_px if units == "px" else radius_px * math.sqrt(step_y * step_x)


def _axes(data: xr.Dataset, units: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates of the rows and of the columns."""
    qy, qx = (data[dim].values if units == "q" else np.arange(data.sizes[dim]) for dim in ("qy", "qx"))
    return qy.astype(np.float64), qx.astype(np.float64)


def _extent(data: xr.Dataset, units: str) -> str:
    """How far the pattern goes, and what is to be done where sizes are meant in px."""
    unit = fourd.q_units(data) if units == "q" else "pixel"
    axes = zip("yx", _axes(data, units), strict=True)
    ends = " and ".join(f"{name} from {axis[0]:.4g} to {axis[-1]:.4g}" for name, axis in axes)
    said = f"the pattern goes along {ends} {'px' if unit == 'pixel' else unit}"
    return said if unit == "pixel" else f"{said}; a size in px needs `units: px`"


def _reach(data: xr.Dataset, center: Pair, units: str) -> float:
    """Distance of the pixel that is farthest from the centre."""
    qy, qx = _axes(data, units)
    return max(math.hypot(y - center[0], x - center[1]) for y in qy[[0, -1]] for x in qx[[0, -1]])


class VirtualImage:
    """Sums every pattern under a virtual detector."""

    def __init__(self, params: VirtualImageParams) -> None:
        self.params = params

    def apply(self, *, data: xr.Dataset, ctx: Context) -> xr.Dataset:
        """Make the image; raises as `virtual_image` does, and `ReadError` for a mask that cannot be read."""
        p = self.params
        radius: float | Pair | None = p.radius
        if p.mode == "annulus" and (p.inner is not None or p.outer is not None):
            inner = ADF_INNER * beam_radius(data, p.units) if p.inner is None else p.inner
            radius = (inner, math.inf if p.outer is None else p.outer)
        image = virtual_image(
            data,
            p.mode,
            p.center,
            radius,
            size=p.size,
            mask=None if p.path is None else _read_mask(p.path),
            units=p.units,
            antialias=p.antialias,
            name=p.name,
            progress=ctx.progress,
        )
        seen = image[p.name].attrs
        if p.mode in ("disk", "annulus", "rectangle") and seen["detector_pixels"] < _FEW_PIXELS:
            unit = "px" if seen["detector_units"] == "pixel" else seen["detector_units"]
            count = "1 pixel" if seen["detector_pixels"] == 1 else f"{seen['detector_pixels']} pixels"
            ctx.log.warning("the detector covers %s only: its size is in %s", count, unit)
        edge = {"disk": seen.get("detector_radius"), "annulus": seen.get("detector_outer")}.get(p.mode)
        if edge is not None and edge > _reach(data, tuple(seen["detector_center"]), p.units):
            said = "the edge of the detector, at %.4g, lies beyond every pixel: %s"
            ctx.log.warning(said, edge, _extent(data, p.units))
        return image


class Overview:
    """The first look at a scan, in one pass: images, centre of mass, mean and maximum pattern."""

    def __init__(self, params: OverviewParams) -> None:
        self.params = params

    def apply(self, *, data: xr.Dataset, ctx: Context) -> xr.Dataset:
        """Make ``sum``, ``bf``, ``adf``, ``mean_pattern`` and, if asked to, ``com_y``, ``com_x``, ``max_pattern``.

        Raises
        ------
        CalibrationError
            The radius of the direct beam is neither given nor found.
        DataError
            The dark field lies outside the detector.
        """
        p = self.params
        bf = p.bf_radius or beam_radius(data, p.units)
        inner, outer = p.adf_inner or ADF_INNER * bf, p.adf_outer or math.inf
        center = p.center or (fourd.centre_px(data) if p.units == "px" else (0.0, 0.0))
        axes = _axes(data, p.units)
        masks = {"bf": disk_mask(*axes, center, bf), "adf": annulus_mask(*axes, center, inner, outer)}
        for name, mask in masks.items():
            if not mask.any():
                fix = f"check the radii: {_extent(data, p.units)}"
                raise DataError(f"the virtual detector {name!r} covers no pixel", where="overview", fix=fix)
        result = reduce_scan(data, masks=masks, max_pattern=p.max_pattern, com=p.com, progress=ctx.progress)
        units = fourd.q_units(data) if p.units == "q" else "pixel"
        ends = {"inner": inner, **({"outer": outer} if math.isfinite(outer) else {})}
        result["bf"].attrs |= {
            "long_name": f"virtual bright field, {_in_words('disk', {'radius': bf}, units)}",
            "detector_outer": bf,
            "detector_units": units,
        }
        result["adf"].attrs |= {
            "long_name": f"virtual dark field, {_in_words('annulus', ends, units)}",
            **{f"detector_{end}": value for end, value in ends.items()},
            "detector_units": units,
        }
        return result


def _read_mask(path: Path) -> Mask:
    try:
        mask = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ReadError(f"no .npy array of numbers: {error}", where=str(path), fix="save it with numpy.save") from error
    if not isinstance(mask, np.ndarray):
        raise ReadError("an .npz archive, not an .npy array", where=str(path), fix="save the mask on its own")
    return mask

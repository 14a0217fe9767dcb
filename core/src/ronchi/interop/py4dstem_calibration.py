"""py4DSTEM's calibration items in our units, axes and signs, and back.

What py4DSTEM 0.14.18 does to a vector ``(qx, qy)`` in px, of which x is the row axis and y the column axis: subtract
the origin ``(qx0, qy0)``; multiply with the matrix of the ellipse, which shrinks the direction ``theta`` (from x
towards y) by ``b / a`` and leaves the other as it is; multiply with ``Q_pixel_size``; swap x and y if ``QR_flip``; turn
by ``QR_rotation`` (rad) from x towards y. Hence here:

- ``q_distortion`` is the matrix of the ellipse. Its determinant is ``b / a``, and the detector's step is
  ``Q_pixel_size`` itself, so that both programs print the same pixel. Our own matrices have determinant 1; by how
  much they are larger than py4DSTEM's is kept beside its items, as ``distortion_scale``.
- ``scan_rotation_deg`` is ``QR_rotation`` in degrees: the axes have changed their names and the angle its sense, and
  it is the components that turn there and the axes here.
- A flip has no place in our schemas: patterns, origins and ellipse of such data are transposed.
- The origin is a mean over the scan in the axes, and a map in ``origin_y, origin_x`` where there is one.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.interop.axis_units import parse
from ronchi.optics import implausible, wavelength_angstrom
from ronchi.schema import fourd

__all__ = ["Frame", "calibration_of", "frame_of", "scan_items"]

Floats = NDArray[np.float64]

_SIZES = {"R_pixel": "scan_step_angstrom", "Q_pixel": "q_step_inv_angstrom"}

_SWAP = np.array([[0.0, 1.0], [1.0, 0.0]])
_OURS = ("beam_energy_eV", "camera_length_m", "dose")
"""Calibrations that py4DSTEM has no item for; they are kept beside its own, under our names."""

_log = logging.getLogger("ronchi.py4dstem")


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The axes of a data set, in ``(row, column)`` order after the transposition that ``mirrored`` asks for.

    Parameters
    ----------
    scan_step, q_step : float or None
        In angstrom and 1/angstrom; None is pixels.
    origin_px : (2,) or (2, scan_y, scan_x) float64, or None
        Where q = 0.
    distortion : (2, 2) float64 or None
        ``q_true = A q_measured``, (y, x).
    mirrored : bool
        Rows and columns of the patterns are to be swapped.
    attrs : dict
        Attributes of the data set: ``scan_rotation_deg``, ``semiangle_mrad``, …
    """

    scan_step: float | None = None
    q_step: float | None = None
    origin_px: Floats | None = None
    distortion: Floats | None = None
    mirrored: bool = False
    attrs: dict[str, Any] = field(default_factory=dict)

    def pattern_shape(self, q_shape: Sequence[int]) -> tuple[int, int]:
        """Rows and columns of patterns that have the shape (Qx, Qy) there."""
        rows, columns = int(q_shape[0]), int(q_shape[1])
        return (columns, rows) if self.mirrored else (rows, columns)

    def centre_px(self, shape: tuple[int, int]) -> tuple[float, float]:
        """Pixel (y, x) of q = 0: the mean of the origins, or N // 2 of the (transposed) ``shape``."""
        if self.origin_px is None:
            return float(shape[0] // 2), float(shape[1] // 2)
        y, x = np.nanmean(self.origin_px.reshape(2, -1), axis=1)
        return float(y), float(x)


def frame_of(
    items: Mapping[str, Any], scan_shape: tuple[int, int], *, beam_energy_eV: float | None = None, flip: bool = True
) -> Frame:
    """Translate the items of a py4DSTEM ``Calibration``.

    Parameters
    ----------
    items : mapping
        Item name to value; what is absent, not finite or of another kind is taken as unknown.
    scan_shape : tuple of int
        A map of origins of another shape is not used.
    beam_energy_eV : float, optional
        Turns a pixel size in mrad into 1/angstrom. What cannot be used or believed is left out; the attribute
        ``calibration_refused`` and a warning say so.
    flip : bool
        Follow ``QR_flip``. Without it, patterns stay as they are and the rotation, which holds for flipped ones, is
        left out.
    """
    mirrored = bool(_number(items, "QR_flip")) and flip
    attrs: dict[str, Any] = {name: value for name in _OURS if (value := _number(items, name)) is not None}
    if beam_energy_eV is not None:
        attrs["beam_energy_eV"] = float(beam_energy_eV)
    rotation = _rotation_deg(items)
    if rotation is not None and (flip or not _number(items, "QR_flip")):
        attrs |= {"scan_rotation_deg": rotation, "scan_rotation_source": "QR_rotation of py4DSTEM"}
    semiangle = _number(items, "convergence_semiangle_mrad")
    radius = _number(items, "probe_semiangle")
    if radius is not None and radius > 0:
        attrs["probe_radius_px"] = radius
    refused: list[str] = []
    if semiangle is not None and implausible(semiangle, "semiangle_mrad"):
        refused.append(f"convergence_semiangle_mrad is {semiangle:g}, which is not plausible")
    elif semiangle is not None:
        attrs["semiangle_mrad"] = semiangle
    distortion, q_step = _ellipse(items), _q_step(items, attrs.get("beam_energy_eV"), refused)
    if distortion is not None:
        scale = _number(items, "distortion_scale") or 1.0
        distortion, q_step = distortion * scale, q_step / scale if q_step else None
        distortion = _SWAP @ distortion @ _SWAP if mirrored else distortion
        words = "a {:g}, b {:g}, theta {:g} rad of py4DSTEM".format(*(_number(items, key) for key in _ELLIPSE))
        attrs |= {"q_distortion": distortion.ravel(), "q_distortion_source": words}
    if mirrored:
        attrs["q_axes"] = "rows and columns of the patterns are swapped: QR_flip of py4DSTEM"
    scan_step = _size(items, "R_pixel", {"length": 1.0}, refused)
    if refused:
        attrs["calibration_refused"] = "; ".join(refused)
        _log.warning("not believed: %s", attrs["calibration_refused"])
    return Frame(
        scan_step=scan_step,
        q_step=q_step,
        origin_px=_origin(items, scan_shape, mirrored),
        distortion=distortion,
        mirrored=mirrored,
        attrs=attrs,
    )


def calibration_of(ds: xr.Dataset) -> dict[str, Any]:
    """Items of a py4DSTEM ``Calibration`` that say of ``fourd/1`` or ``peaks/1`` data what we know of them.

    py4DSTEM has one pixel size and an ellipse; unequal steps and a distortion of any kind are brought into that
    form, and what they turn is added to the rotation. The calibrated vectors are the same.
    """
    if "q_step" in ds.attrs:
        steps, centre = np.array(ds.attrs["q_step"], float), np.array(ds.attrs["q_origin_px"], float)
        q_units = str(ds["qx"].attrs["units"])
    else:
        steps, centre, q_units = np.array(fourd.q_step(ds)), np.array(fourd.centre_px(ds)), fourd.q_units(ds)
    size, ellipse, turned_deg = _one_size(steps, ds.attrs.get("q_distortion"))
    items: dict[str, Any] = {
        **{name: float(ds.attrs[name]) for name in _OURS if name in ds.attrs},
        "Q_pixel_size": size,
        "Q_pixel_units": "A^-1" if q_units == "1/angstrom" else "pixels",
        **scan_items(ds, turned_deg),
        **ellipse,
        **_origin_items(ds, centre),
    }
    if "semiangle_mrad" in ds.attrs:
        items["convergence_semiangle_mrad"] = float(ds.attrs["semiangle_mrad"])
    if "probe_radius_px" in ds.attrs:
        items["probe_semiangle"] = float(ds.attrs["probe_radius_px"])
    return items


def scan_items(ds: xr.Dataset, turned_deg: float = 0.0) -> dict[str, Any]:
    """Those items that say how the scan lies, of any data over one; ``turned_deg`` is added to its rotation."""
    axes = [ds[dim] for dim in ("scan_y", "scan_x") if dim in ds.variables]
    # An axis of one position has no step.
    steps = [float(axis[-1] - axis[0]) / (axis.size - 1) for axis in axes if axis.size > 1] or [1.0]
    if max(steps) - min(steps) > 1e-6 * max(steps):
        _log.warning("py4DSTEM has one scan step, %g is written for rows of %g and columns of %g", steps[-1], *steps)
    starts = [float(axis[0]) for axis in axes]
    if any(starts):
        _log.warning("py4DSTEM counts positions from 0, that the scan begins at %s is left out", starts)
    items: dict[str, Any] = {
        "R_pixel_size": steps[-1],
        "R_pixel_units": "A" if axes and axes[-1].attrs.get("units") == "angstrom" else "pixels",
        "QR_flip": False,
    }
    if "scan_rotation_deg" in ds.attrs:
        degrees = float(ds.attrs["scan_rotation_deg"]) + turned_deg
        items |= {"QR_rotation": math.radians(degrees), "QR_rotation_degrees": degrees}
    return items


_ELLIPSE = ("a", "b", "theta")


def _number(items: Mapping[str, Any], name: str) -> float | None:
    """A finite number, or None."""
    value = np.asarray(items.get(name, np.nan))
    if value.size != 1 or value.dtype.kind not in "biuf" or not np.isfinite(value).all():
        return None
    return float(value.item())


def _size(items: Mapping[str, Any], name: str, scale: Mapping[str, float], refused: list[str]) -> float | None:
    """A pixel size in our unit; ``scale`` has how many of ours the basic unit of each dimension is."""
    units = str(items.get(f"{name}_units", "pixels"))
    unit, size = parse(units), _number(items, f"{name}_size")
    if unit.dimension == "none" or size is None:
        return None
    if unit.dimension not in scale:
        refused.append(f"{name}_size is in {units!r}, which is no unit of this axis")
        return None
    ours = size * unit.factor * scale[unit.dimension]
    if implausible(ours, _SIZES[name]):
        refused.append(f"{name}_size is {size:g} {units}, which is not plausible")
        return None
    return ours


def _q_step(items: Mapping[str, Any], beam_energy_eV: float | None, refused: list[str]) -> float | None:
    units = str(items.get("Q_pixel_units", "pixels"))
    scale = {"reciprocal": 1.0}
    if parse(units).dimension == "angle":
        if not beam_energy_eV:
            refused.append(f"Q_pixel_size is in {units}, and the beam energy is not known")
            return None
        scale["angle"] = 1 / wavelength_angstrom(beam_energy_eV)
    return _size(items, "Q_pixel", scale, refused)


def _rotation_deg(items: Mapping[str, Any]) -> float | None:
    radians = _number(items, "QR_rotation")
    degrees = _number(items, "QR_rotation_degrees") if radians is None else math.degrees(radians)
    return None if degrees is None else 180 - (180 - degrees) % 360


def _ellipse(items: Mapping[str, Any]) -> Floats | None:
    """(2, 2) matrix, (row, column)."""
    a, b, theta = (_number(items, name) for name in _ELLIPSE)
    if a is None or b is None or theta is None or not (a > 0 and b > 0 and 0.1 < a / b < 10):
        return None
    along = np.array([math.cos(theta), math.sin(theta)])
    projector = np.outer(along, along)
    matrix: Floats = np.eye(2) - (1 - b / a) * projector
    return matrix


def _origin(items: Mapping[str, Any], scan_shape: tuple[int, int], mirrored: bool) -> Floats | None:
    for names in (("qx0", "qy0"), ("qx0_mean", "qy0_mean")):
        row, column = (np.asarray(items.get(name, np.nan)) for name in names)
        if row.shape != column.shape or row.shape not in ((), (1,), tuple(scan_shape)) or row.dtype.kind not in "iuf":
            continue
        if column.dtype.kind in "iuf" and np.isfinite(row).any() and np.isfinite(column).any():
            shape = (2,) if row.size == 1 and row.shape != tuple(scan_shape) else (2, *scan_shape)
            return np.stack([column, row] if mirrored else [row, column]).astype(np.float64).reshape(shape)
    return None


def _one_size(steps: Floats, distortion: Any) -> tuple[float, dict[str, float], float]:
    """Pixel size, items of the ellipse, and degrees that are left, of ``A @ diag(steps)``."""
    matrix = np.eye(2) if distortion is None else np.asarray(distortion, float).reshape(2, 2)
    if distortion is None and abs(steps[0] - steps[1]) <= 1e-9 * steps[1]:
        return float(steps[1]), {}, 0.0
    full = matrix * steps
    squares, axes = np.linalg.eigh(full.T @ full)
    small, large = np.sqrt(squares)
    # The symmetric part is what the ellipse can hold; the left factor of the polar decomposition is a rotation.
    turn = full @ axes @ np.diag(1 / np.sqrt(squares)) @ axes.T
    ratio = math.sqrt(large / small)
    ellipse = {
        "a": ratio,
        "b": 1 / ratio,
        "theta": math.atan2(axes[1, 0], axes[0, 0]) % math.pi,
        "distortion_scale": float(large / steps[1]),
    }
    # Scan components are R(rotation) U q: in (row, column), U by the angle u turns like QR_rotation does.
    return float(large), ellipse, math.degrees(math.atan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1]))


def _origin_items(ds: xr.Dataset, centre: Floats) -> dict[str, Any]:
    items: dict[str, Any] = {}
    lag = fourd.origin_lag_px(ds)
    for axis, (theirs, ours) in enumerate((("qx0", "origin_y"), ("qy0", "origin_x"))):
        if ours not in ds:
            items |= {theirs: float(centre[axis]), f"{theirs}_mean": float(centre[axis]), f"{theirs}_shift": 0.0}
            continue
        # Of patterns that were cut by hand, the origins still count the pixels that are gone.
        values = ds[ours].values.astype(np.float64) - lag[axis]
        mean = float(np.nanmean(values))
        items |= {theirs: values, f"{theirs}_mean": mean, f"{theirs}_shift": values - mean}
    return items

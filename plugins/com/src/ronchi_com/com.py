"""The descriptor learner ``com``: mean deflection of the beam in every pattern."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context, DataError
from ronchi.bad_pixels import left_out
from ronchi.blocks import count_positions, iter_regions
from ronchi.schema import descriptors, fourd
from ronchi.schema.common import variable
from ronchi_com.descan import DescanSurface
from ronchi_com.moments import frame_moments
from ronchi_com.params import ComParams

__all__ = ["CentreOfMass"]

Floats = NDArray[np.float64]

_STATE = "com.json"
_SCAN = ("scan_y", "scan_x")
_ORIGIN = ("origin_y", "origin_x")
_LEFT_OUT = 0.2  # part of the positions without weight from which on the scan may be one of domains


class CentreOfMass:
    """Centre of mass of patterns relative to q = 0.

    Parameters
    ----------
    params : ComParams
    """

    def __init__(self, params: ComParams) -> None:
        self.params = params
        self.surface: DescanSurface | None = None

    def fit(self, x: xr.DataArray, ctx: Context) -> None:
        """Estimate the descan in one pass over the data; does nothing if none is asked for.

        Warns where a robust surface leaves out more than a fifth of the positions, of patterns that were cut by hand
        since `centre` has counted where the origin of each lies, and of an outer radius that leaves out no pixel.

        Parameters
        ----------
        x : (scan_y, scan_x, qy, qx) DataArray
            Lazy or not; read block by block.

        Raises
        ------
        DataError
            A descan is asked for, but the samples are no scan, no pattern has counts, or one holds NaN or
            infinity in a pixel that counts.
        """
        if any(lag := fourd.origin_lag_px(x)):
            ctx.log.warning(
                "origin_y and origin_x are of patterns with %d rows and %d columns more before the first pixel: the "
                "centres are off by as many pixels; cut patterns by the transform `crop`, or run `centre` again",
                *lag,
            )
        self._warn_if_beyond(x, ctx)
        if self.params.descan == "none":
            return
        scan_y, scan_x = _scan_coordinates(x)
        n = count_positions(x)
        com, done = np.empty((n, 2)), 0
        for region, frames in iter_regions(x):
            part = x.isel(scan_y=region.rows, scan_x=region.columns)
            com[region.positions(len(scan_x))] = self._centres(part, frames)
            done += region.size
            ctx.progress(done, n)
        if not np.isfinite(com).any():
            raise DataError("no pattern has counts: there is no descan to estimate", where="com", fix="descan: none")
        on_scan = com.reshape(len(scan_y), len(scan_x), 2)
        self.surface = DescanSurface.fit(self.params.descan, scan_y, scan_x, on_scan, ctx.rng)
        if self.surface.left_out > _LEFT_OUT:
            ctx.log.warning(
                "descan %s leaves out %.0f %% of the positions as too far from the surface: of domains or a large "
                "sample it follows the larger part alone; use `descan: mean`, or descan measured without a sample",
                self.params.descan,
                100 * self.surface.left_out,
            )

    def transform(self, x: xr.DataArray) -> xr.Dataset:
        """Centres of mass of a block of patterns.

        Parameters
        ----------
        x : (..., qy, qx) DataArray
            Any real type. The coordinates of the last two dims give q; without them q is in pixels
            from the middle. Pixels that a coordinate ``bad_pixel`` marks count for nothing unless they
            are filled, and samples that a coordinate ``valid`` excludes are NaN. Where there are coordinates
            ``origin_y`` and ``origin_x`` [px], q of each pattern is from there; with radii from the nearest whole
            pixel, so that they and the centre move alike.

        Returns
        -------
        xarray.Dataset
            ``descriptors/1``: ``z`` with the components ``com_y`` and ``com_x`` in q units, the same as
            variables, ``magnitude``, and ``angle``, the direction of the shift from x towards y, all as
            measured: `dpc` applies a ``q_distortion``. NaN where the counts do not add up to more than 0, and
            where they cancel so far that the centre lies outside of the pixels that count: there is no beam.

        Raises
        ------
        DataError
            There is no sample dimension, the mask leaves no pixel, the descan was not estimated, or a pattern
            that ``valid`` does not exclude holds NaN or infinity in a pixel that counts.
        """
        samples = tuple(str(dim) for dim in x.dims[:-2])
        if not samples:
            raise DataError(f"dims are {x.dims}: expected samples before the pattern", where="com")
        frames = np.asarray(x.data).reshape(-1, *x.shape[-2:])
        com = self._centres(x, frames).reshape(*x.shape[:-2], 2)
        if self.params.descan != "none":
            if self.surface is None:
                raise DataError(f"descan {self.params.descan!r} was not estimated", where="com", fix="call `fit` first")
            com -= self.surface.at(*_scan_coordinates(x))
        units = _axis(x, str(x.dims[-1]))[2]
        y, x_ = com[..., 0], com[..., 1]
        return descriptors.make(
            com,
            dims=samples,
            component=("com_y", "com_x"),
            units=units,
            angle=np.arctan2(y, x_),
            n_fold=1,
            coords={name: coord.variable for name, coord in x.coords.items() if name in samples},
            attrs={"descan": self.params.descan},
            com_y=variable(samples, y, units, "centre of mass, y"),
            com_x=variable(samples, x_, units, "centre of mass, x"),
            magnitude=variable(samples, np.hypot(y, x_), units, "distance of the centre of mass from q = 0"),
        )

    def save(self, folder: Path) -> None:
        """Write the estimated descan as JSON."""
        state = self.surface.to_json() if self.surface else None
        (folder / _STATE).write_text(json.dumps({"descan": state}), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read what `save` wrote.

        Raises
        ------
        DataError
            It was saved with another descan than this learner's parameters ask for.
        """
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))["descan"]
        saved = state["order"] if state else "none"
        if saved != self.params.descan:
            raise DataError(f"saved with descan {saved!r}, not {self.params.descan!r}", where=str(folder / _STATE))
        self.surface = DescanSurface.from_json(state) if state else None

    def _warn_if_beyond(self, x: xr.DataArray, ctx: Context) -> None:
        """Say so where no pixel is as far from q = 0 as the outer radius: it may be meant in px."""
        outer, reach = self.params.outer_radius, _reach(x)
        if outer is None or outer < reach:
            return
        (_, step_y, _), (_, step_x, units) = (_axis(x, str(dim)) for dim in x.dims[-2:])
        in_px = f"; {outer:g} px are {outer * math.sqrt(step_y * step_x):.4g} {units}" if units != "pixel" else ""
        ctx.log.warning(
            "outer_radius %g leaves out no pixel: the pattern reaches to %.4g %s%s", outer, reach, units, in_px
        )

    def _centres(self, x: xr.DataArray, frames: NDArray[Any]) -> Floats:
        """(n, 2) centres of mass (y, x) of the frames of ``x`` in the units of q, NaN where there is none."""
        first_q, step = np.array([_axis(x, str(dim))[:2] for dim in x.dims[-2:]]).T
        middle = -first_q / step
        origin = np.tile(middle, (len(frames), 1))
        if set(_ORIGIN) <= set(x.coords):
            # Patterns are moved by whole pixels or not at all: this is where q = 0 is in each.
            origin = np.stack([x.coords[name].transpose(*x.dims[:-2]).values.ravel() for name in _ORIGIN], 1)
        centres, moved = np.full((len(frames), 2), np.nan), np.zeros((len(frames), 2), int)
        if self.params.inner_radius > 0 or self.params.outer_radius is not None:
            # The radii go along with the origin, by whole pixels, and the centre with them: of a disk that drifts out
            # of a fixed circle only a part would count, and light that fills the circle has its centre in the middle.
            moved = np.rint(np.nan_to_num(origin - middle)).astype(int)
            origin = middle + moved
        for offset in np.unique(moved, axis=0):
            own = np.flatnonzero((moved == offset).all(1))
            centres[own] = _centres_px(x, frames, own, self._inside(x, offset))
        made: Floats = (centres - origin) * step
        return made

    def _inside(self, x: xr.DataArray, moved: NDArray[np.int_]) -> NDArray[np.bool_]:
        """(qy, qx) pixels that count where q = 0 is so many pixels from where the axes have it."""
        (y0, step_y, _), (x0, step_x, units) = (_axis(x, str(dim)) for dim in x.dims[-2:])
        qy, qx = (
            first + step * (np.arange(n) - shift)
            for first, step, n, shift in zip((y0, x0), (step_y, step_x), x.shape[-2:], moved, strict=True)
        )
        inner, outer = self.params.inner_radius, self.params.outer_radius
        q = np.hypot(qy[:, None], qx)
        inside: NDArray[np.bool_] = (q >= inner) & (q <= (np.inf if outer is None else outer))
        if "bad_pixel" in x.coords:
            inside &= ~left_out(x.coords["bad_pixel"])
        if not inside.any():
            raise DataError(
                f"no good pixel lies between the radii {inner} and {outer} {units}",
                where="com",
                fix=f"give the radii in {units}: the pattern reaches to {_reach(x):.4g}",
            )
        return inside


def _centres_px(x: xr.DataArray, frames: NDArray[Any], own: NDArray[np.int_], inside: NDArray[np.bool_]) -> Floats:
    """(len(own), 2) centres of mass [px] of the frames number ``own`` of ``x``, NaN where there is none."""
    chosen = frames if len(own) == len(frames) else frames[own]
    moments, recorded = frame_moments(chosen, inside), _recorded(x).reshape(-1)[own]
    if frames.dtype.kind == "f":
        for k in np.flatnonzero(recorded & ~np.isfinite(moments).all(1)):
            _refuse_not_finite(x, int(own[k]), chosen[k], inside)
    mass = np.where(recorded & (moments[:, 0] > 0), moments[:, 0], np.nan)
    pixels: Floats = moments[:, 1:] / mass[:, None]
    # Of a blank frame with its dark current subtracted the sum is next to nothing, and the quotient anything. Counts
    # that are not negative have their centre among the pixels; half a pixel is left to rounding.
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    first, last = np.array([[rows[0], columns[0]], [rows[-1], columns[-1]]])
    pixels[((pixels < first - 0.5) | (pixels > last + 0.5)).any(1)] = np.nan
    return pixels


def _refuse_not_finite(x: xr.DataArray, number: int, frame: NDArray[Any], inside: NDArray[np.bool_]) -> None:
    """Raise a DataError if a frame, number ``number`` of ``x``, holds NaN or infinity where it counts."""
    lost = np.argwhere(inside & ~np.isfinite(frame))
    if not len(lost):
        return
    place = dict(zip(x.dims[:-2], np.unravel_index(number, x.shape[:-2]), strict=True))
    # A block does not know where in the scan it lies, its coordinates do.
    words = [f"{dim} = {x[dim].values[i] if dim in x.coords else i:.6g}" for dim, i in place.items()]
    raise DataError(
        f"the pattern at {', '.join(words)} holds NaN or infinity, first in pixel ({lost[0][0]}, {lost[0][1]})",
        where="com",
        fix="set `valid` to 0 there, or list the pixel in `bad-pixels: {find: false, known: […], fill: true}`",
    )


def _axis(x: xr.DataArray, dim: str) -> tuple[float, float, str]:
    """First value, step and units of a pattern axis."""
    n = x.sizes[dim]
    if dim not in x.coords:
        return -float(n // 2), 1.0, "pixel"
    values = x.coords[dim].values
    step = float(values[-1] - values[0]) / (n - 1) if n > 1 else 1.0
    return float(values[0]), step, str(x.coords[dim].attrs.get("units", "pixel"))


def _reach(x: xr.DataArray) -> float:
    """Distance of the farthest pixel from q = 0, in the units of q."""
    axes = (_axis(x, str(dim)) for dim in x.dims[-2:])
    sizes = x.shape[-2:]
    return math.hypot(*(max(abs(q), abs(q + step * (n - 1))) for (q, step, _), n in zip(axes, sizes, strict=True)))


def _recorded(x: xr.DataArray) -> NDArray[np.bool_]:
    """Samples with a pattern."""
    if "valid" not in x.coords:
        return np.ones(x.shape[:-2], bool)
    return np.asarray(x.coords["valid"].transpose(*x.dims[:-2]).values.astype(bool))


def _scan_coordinates(x: xr.DataArray) -> tuple[Floats, Floats]:
    if x.dims[:-2] != _SCAN or not set(_SCAN) <= set(x.coords):
        raise DataError(
            f"a descan needs samples on a scan with coordinates, these have dims {x.dims[:-2]}",
            where="com",
            fix="descan: none",
        )
    return x.coords["scan_y"].values.astype(float), x.coords["scan_x"].values.astype(float)

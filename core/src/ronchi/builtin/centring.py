"""The position of the direct beam in every pattern, and the surface it follows over the scan."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from ronchi.api import Context
from ronchi.blocks import count_positions, iter_blocks
from ronchi.builtin.beam import direct_beam, locate_by_com, locate_by_correlation, soft_disk
from ronchi.builtin.filling import bad_mask, fill_bad, fill_lazily
from ronchi.builtin.params_transforms import CentreParams
from ronchi.builtin.patterns import block_length, float_frames, mean_and_variance, valid_positions
from ronchi.builtin.surface import fit_surface
from ronchi.chunking import as_dask
from ronchi.errors import CalibrationError, DataError
from ronchi.schema import fourd
from ronchi.schema.common import variable

__all__ = ["Centre", "shift_frames"]

Array = NDArray[np.float64]
MANY_LOST = 0.05
"""Share of valid positions without a beam from which on the user is warned."""


class Centre:
    """Finds the origin of every pattern and puts q = 0 there."""

    def __init__(self, params: CentreParams) -> None:
        self.params = params

    def apply(self, *, data: xr.Dataset, ctx: Context) -> xr.Dataset:
        """Measure and fit the origin in one pass; patterns are moved lazily.

        Positions that ``valid`` excludes are left out of the fit. Bad pixels count as
        `BadPixelFill` fills them; moved patterns hold that, and have no ``bad_pixel`` any more.

        The result has ``origin_y`` and ``origin_x`` (fitted, px), ``origin_residual`` (px,
        distance of the measured origin from the fitted one, NaN where none was measured)
        and the attributes ``origin_method`` and ``origin_residual_px`` (its median). A warning
        tells of beams that left the search at more than 5 % of the valid positions.

        Raises
        ------
        CalibrationError
            The disk's radius is unknown, or no pattern has a direct beam.
        DataError
            The start lies outside the pattern, or a valid pattern holds NaN in a good pixel.
        """
        p = self.params
        radius = p.radius_px or fourd.disk_radius_px(data)
        if radius is None:
            raise CalibrationError(
                "the radius of the direct beam is unknown",
                where="centre",
                fix="give `radius_px`, run the transform `probe` first, or set energy, semiangle and q step",
            )
        start = p.start_px or _start(data, radius)
        if not all(0 <= s < n for s, n in zip(start, (data.sizes["qy"], data.sizes["qx"]), strict=True)):
            raise DataError(f"start_px {start} lies outside the pattern", where="centre", fix="(row, column) in px")
        reach = p.max_shift_px or radius
        measured = _measure(data, p.method, start=start, radius=radius, max_shift=reach, ctx=ctx)
        _warn_of_lost(measured, valid_positions(data), reach, ctx)
        fitted = np.stack([fit_surface(measured[..., axis], p.fit, p.robust) for axis in (0, 1)], -1)
        if not np.isfinite(fitted).any():
            raise CalibrationError(
                "no pattern has a direct beam near the start", where="centre", fix="give `start_px` and `max_shift_px`"
            )
        distance = np.hypot(*np.moveaxis(measured - fitted, -1, 0))
        median = float(np.nanmedian(distance))
        ctx.log.info("%s, fit %s, median residual %.3f px", p.method, p.fit, median)
        centred = _use(data, fitted, p.apply)
        centred["origin_residual"] = variable(("scan_y", "scan_x"), distance, "pixel", "measured minus fitted origin")
        centred.attrs |= {"origin_method": f"{p.method}, fit: {p.fit}", "origin_residual_px": median}
        return fourd.validate(centred)


def _start(data: xr.Dataset, radius: float) -> tuple[float, float]:
    return direct_beam(mean_and_variance(data, 256).mean, radius)


def _measure(
    data: xr.Dataset, method: str, *, start: tuple[float, float], radius: float, max_shift: float, ctx: Context
) -> Array:
    """(scan_y, scan_x, 2) measured origins in px, NaN where there is no beam."""
    intensity, valid = data["intensity"], valid_positions(data)
    reach = math.ceil(max_shift + 2 * radius)
    corner = [max(0, round(s) - reach) for s in start]
    box = tuple(slice(c, round(s) + reach + 1) for c, s in zip(corner, start, strict=True))
    local = (start[0] - corner[0], start[1] - corner[1])
    bad = bad_mask(data)[box]
    if bad.all():
        raise DataError("every pixel around the start is bad", where="centre", fix="give another `start_px`")
    template = _template(data, radius) if method == "correlation" else None
    total, width = count_positions(intensity), intensity.sizes["scan_x"]
    found = np.full((total, 2), np.nan)
    for begin, end, block in iter_blocks(intensity, block_length(intensity)):
        kept = begin + np.flatnonzero(valid[begin:end])
        if len(kept):
            frames = float_frames(block[(slice(None), *box)][kept - begin], kept, width, bad)
            if bad.any():
                # Zeros in their place would push the centre away from them.
                frames = fill_bad(frames, bad)
            if template is None:
                found[kept] = locate_by_com(frames, local, radius, max_shift)
            else:
                found[kept] = locate_by_correlation(frames, template, local, radius, max_shift)
        ctx.progress(end, total)
    origins: Array = (found + corner).reshape(intensity.shape[0], width, 2)
    return origins


def _warn_of_lost(measured: Array, valid: NDArray[np.bool_], reach: float, ctx: Context) -> None:
    lost, total = int(np.isnan(measured[..., 0]).ravel()[valid].sum()), int(valid.sum())
    if MANY_LOST * total < lost < total:
        ctx.log.warning(
            "no direct beam within %.3g px of the start at %d of %d positions, which count for nothing: "
            "raise `max_shift_px`, give `start_px`, or set `valid` to 0 where there is no beam",
            reach, lost, total,
        )  # fmt: skip


def _template(data: xr.Dataset, radius: float) -> Array:
    """Probe on a small odd square, centred to a fraction of a pixel on its middle."""
    half = math.ceil(1.5 * radius) + 2
    if "probe" not in data:
        return soft_disk(half, radius)
    probe = np.clip(data["probe"].values.astype(float), 0, None)
    rows, columns = np.indices(probe.shape)
    kept = np.where(probe > 0.1 * probe.max(), probe, 0)
    centre = [float((kept * grid).sum() / kept.sum()) for grid in (rows, columns)]
    offset = np.arange(-half, half + 1)
    grid = np.meshgrid(offset + centre[0], offset + centre[1], indexing="ij")
    moved: Array = ndimage.map_coordinates(probe, grid, order=1, mode="constant")
    return moved


def _use(data: xr.Dataset, origin: Array, how: str) -> xr.Dataset:
    out = data.copy()
    if how == "shift":
        target = np.rint(np.nanmean(origin, (0, 1)))
        moves = np.nan_to_num(np.rint(target - origin)).astype(np.int32)
        bad = bad_mask(data)
        lazy = fill_lazily(data["intensity"], bad) if bad.any() else as_dask(data["intensity"])
        # The pixels that were bad are filled, and lie elsewhere in every pattern from here on.
        out = out.drop_vars("bad_pixel", errors="ignore")
        out["intensity"] = lazy.dims, _shift_lazily(lazy.data, moves), data["intensity"].attrs
        origin = origin + moves
    for axis, name in enumerate(("origin_y", "origin_x")):
        text = "row of the direct beam" if axis == 0 else "column of the direct beam"
        out[name] = variable(("scan_y", "scan_x"), origin[..., axis], "pixel", text)
    if how != "note":
        centre, steps = np.nanmean(origin, (0, 1)), fourd.q_step(data)
        for axis, dim in enumerate(("qy", "qx")):
            values = (np.arange(data.sizes[dim]) - centre[axis]) * steps[axis]
            out = out.assign_coords({dim: (dim, values, data[dim].attrs)})
    return fourd.with_axes_noted(out)


def _shift_lazily(patterns: Any, moves: NDArray[np.int32]) -> Any:
    import dask.array as da

    spread = da.from_array(moves[:, :, None], chunks=(*patterns.chunks[:2], 1, 2))
    return da.map_blocks(
        shift_frames, patterns, spread, chunks=patterns.chunks, dtype=patterns.dtype, meta=patterns._meta
    )


def shift_frames(frames: NDArray[Any], moves: NDArray[np.int32]) -> NDArray[Any]:
    """Move every pattern by whole pixels; what comes in from outside is 0.

    Parameters
    ----------
    frames : (scan_y, scan_x, qy, qx) array
    moves : (scan_y, scan_x, 1, 2) int
        Rows down and columns to the right.

    Returns
    -------
    (scan_y, scan_x, qy, qx) array of the same type
    """
    shifted = np.zeros_like(frames)
    for y, x in np.ndindex(frames.shape[:2]):
        targets, sources = [], []
        for move, size in zip(moves[y, x, 0], frames.shape[2:], strict=True):
            step = int(np.clip(move, -size, size))
            targets.append(slice(max(step, 0), size + min(step, 0)))
            sources.append(slice(max(-step, 0), size + min(-step, 0)))
        shifted[(y, x, *targets)] = frames[(y, x, *sources)]
    return shifted

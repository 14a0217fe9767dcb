"""A first look at the patterns: their mean, and images with a bright- and a dark-field detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.plot.labels import unit_text
from ronchi.schema import fourd

__all__ = ["Survey", "survey"]

_SAMPLE = 512
_EDGE = 1.15
"""Edge between the two detectors, in radii of the bright disk: its blurred rim belongs to the bright field."""


@dataclass(frozen=True)
class Survey:
    """What one pass over the data gives.

    Parameters
    ----------
    mean_pattern : (qy, qx) DataArray
    images : dict of str to (scan_y, scan_x) DataArray
        Title to image.
    circle : (y, x, radius) or None
        Edge of the bright-field detector in the units of q; None if the size of the disk is not known.
    """

    mean_pattern: xr.DataArray
    images: dict[str, xr.DataArray]
    circle: tuple[float, float, float] | None


def survey(data: xr.Dataset) -> Survey:
    """Look at ``fourd/1`` data once, block by block.

    Without a radius of the bright disk there is one image only, of all electrons.
    """
    from ronchi.builtin.reduce import reduce_scan

    masks, titles, circle = _detectors(data)
    maps = reduce_scan(data, masks=masks, sum_image=not masks, mean_pattern=True)
    images = {titles[name]: maps[name] for name in masks} if masks else {"Sum of the pattern": maps["sum_image"]}
    return Survey(maps["mean_pattern"], images, circle)


def _detectors(
    data: xr.Dataset,
) -> tuple[dict[str, NDArray[np.float32]], dict[str, str], tuple[float, float, float] | None]:
    """Masks on the detector, their titles, and the circle between them."""
    from ronchi.builtin.beam import direct_beam
    from ronchi.builtin.optics import disk_radius_px
    from ronchi.builtin.patterns import mean_and_variance

    radius = disk_radius_px(data)
    if radius is None:
        return {}, {}, None
    mean, _ = mean_and_variance(data["intensity"], _SAMPLE)
    good = data["bad_pixel"].values == 0 if "bad_pixel" in data else np.ones(mean.shape, bool)
    centre = direct_beam(np.where(good, mean, 0), radius)
    rows, columns = np.ogrid[: mean.shape[0], : mean.shape[1]]
    distance = np.hypot(rows - centre[0], columns - centre[1])
    edge_px = _EDGE * radius
    steps, origin = fourd.q_step(data), fourd.centre_px(data)
    edge = edge_px * float(np.sqrt(np.prod(steps)))
    calibrated = fourd.q_units(data) == "1/angstrom"
    where = f"{edge_px:.1f} px" + (f" = {edge:.3g} {unit_text('1/angstrom')}" if calibrated else "")
    masks = {"bright_field": (distance <= edge_px) & good, "dark_field": (distance > edge_px) & good}
    titles = {"bright_field": f"Bright field, within {where}", "dark_field": f"Dark field, beyond {where}"}
    chosen = {name: mask.astype(np.float32) for name, mask in masks.items() if mask.any()}
    return chosen, titles, ((centre[0] - origin[0]) * steps[0], (centre[1] - origin[1]) * steps[1], edge)

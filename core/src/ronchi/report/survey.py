"""A first look at the patterns: their mean, and images with a bright- and a dark-field detector."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.bad_pixels import left_out
from ronchi.blocks import count_positions
from ronchi.plot.labels import unit_text
from ronchi.result import RunResult
from ronchi.schema import fourd, schema_of

__all__ = ["EDGE", "Looks", "Survey", "survey"]

_log = logging.getLogger("ronchi.report")
_SAMPLE = 512
EDGE = 1.15
"""Edge between the two detectors, in radii of the bright disk: its blurred rim belongs to the bright field."""

_TITLES = {"bright_field": "Bright field", "dark_field": "Dark field"}


@dataclass(frozen=True)
class Survey:
    """What one pass over the data gives.

    Parameters
    ----------
    mean_pattern : (qy, qx) DataArray
    images : dict of str to (scan_y, scan_x) DataArray
        Name to image, whose attribute ``detector`` says which part of the patterns it collects;
        none for a single position.
    circle : (y, x, radius) or None
        Edge of the bright-field detector in the units of q; None if the size of the disk is not known.
    """

    mean_pattern: xr.DataArray
    images: dict[str, xr.DataArray]
    circle: tuple[float, float, float] | None


class Looks:
    """Surveys of the scans of a run, each made once; what cannot be read has none.

    Parameters
    ----------
    result : RunResult
    """

    def __init__(self, result: RunResult) -> None:
        self.result = result
        self.errors: dict[str, str] = {}
        self._made: dict[str, Survey | None] = {}

    def __call__(self, reference: str) -> Survey | None:
        """Survey of the ``fourd/1`` data ``"step"`` or ``"step.side"``; None if there is none, see `errors`."""
        if reference not in self._made:
            self._made[reference] = self._look(reference)
        return self._made[reference]

    def _look(self, reference: str) -> Survey | None:
        if not reference:
            # Peaks that were read, not found, have no patterns to show.
            return None
        try:
            data = self.result[reference]
            return survey(data) if schema_of(data) == fourd.NAME else None
        except Exception as error:  # noqa: BLE001 - a file may have gone since it was read; the results still count
            _log.exception("survey of %s", reference)
            self.errors[reference] = f"The patterns could not be looked at: {error}"
            return None


def survey(data: xr.Dataset) -> Survey:
    """Look at ``fourd/1`` data once, block by block.

    Without a radius of the bright disk there is one image only, of all electrons.
    """
    from ronchi.builtin.reduce import reduce_scan

    one_position = count_positions(data["intensity"]) == 1
    masks, words, circle = ({}, {}, None) if one_position else _detectors(data)
    maps = reduce_scan(data, masks=masks, sum_image=not masks and not one_position, mean_pattern=True)
    images = {_TITLES[name]: maps[name].assign_attrs(detector=words[name]) for name in masks}
    if "sum" in maps:
        images["Sum"] = maps["sum"].assign_attrs(detector="whole patterns")
    return Survey(maps["mean_pattern"], images, circle)


def _detectors(
    data: xr.Dataset,
) -> tuple[dict[str, NDArray[np.bool_]], dict[str, str], tuple[float, float, float] | None]:
    """Masks on the detector, what they are in words, and the circle between them."""
    from ronchi.builtin.beam import direct_beam
    from ronchi.builtin.patterns import mean_and_variance

    radius = fourd.disk_radius_px(data)
    if radius is None:
        return {}, {}, None
    mean = mean_and_variance(data, _SAMPLE).mean
    good = ~left_out(data["bad_pixel"]) if "bad_pixel" in data else np.ones(mean.shape, bool)
    centre = direct_beam(np.where(good, mean, 0), radius)
    rows, columns = np.ogrid[: mean.shape[0], : mean.shape[1]]
    distance = np.hypot(rows - centre[0], columns - centre[1])
    edge_px = EDGE * radius
    steps, origin = fourd.q_step(data), fourd.centre_px(data)
    edge = edge_px * float(np.sqrt(np.prod(steps)))
    calibrated = fourd.q_units(data) == "1/angstrom"
    where = f"{edge_px:.1f} px" + (f" = {edge:.3g} {unit_text('1/angstrom')}" if calibrated else "")
    masks = {"bright_field": (distance <= edge_px) & good, "dark_field": (distance > edge_px) & good}
    words = {"bright_field": f"within {where}", "dark_field": f"beyond {where}"}
    chosen = {name: mask for name, mask in masks.items() if mask.any()}
    return chosen, words, ((centre[0] - origin[0]) * steps[0], (centre[1] - origin[1]) * steps[1], edge)

"""A few patterns side by side, and where on the scan they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from ronchi.plot.canvas import CATEGORIES, OUTLINE, RING, draw_image, new_figure
from ronchi.plot.inputs import check_dataset, check_positions
from ronchi.plot.labels import literal, titled
from ronchi.plot.limits import Scaling, intensity_norm
from ronchi.plot.scalebar import add_scale_bar
from ronchi.schema import fourd
from ronchi.schema import peaks as peaks_schema

__all__ = ["Position", "mark_positions", "mosaic", "spread_positions"]

Position = tuple[int, int]
"""``(scan_y, scan_x)``, by index."""


def spread_positions(scan_shape: tuple[int, int], n: int = 9) -> list[Position]:
    """At most ``n`` positions, evenly spread over the rows and columns of the scan, the same ones each time."""
    height, width = scan_shape
    rows = int(np.clip(round((n * height / width) ** 0.5), 1, min(height, n)))
    columns = int(np.clip(n // rows, 1, width))
    if rows == 1 or columns == 1:
        # A long scan: one line of positions, which goes to and fro across it.
        long, across = (width, height) if rows == 1 else (height, width)
        count, lanes = max(rows, columns), min(across, 3)
        line = [(_middle(i % lanes, lanes, across), _middle(i, count, long)) for i in range(count)]
        return line if rows == 1 else [(y, x) for x, y in line]
    return [(_middle(i, rows, height), _middle(j, columns, width)) for i in range(rows) for j in range(columns)]


def _middle(part: int, parts: int, size: int) -> int:
    """Middle pixel of one of ``parts`` equal stretches of a line, the earlier one of two."""
    return ((2 * part + 1) * size - parts) // (2 * parts)


def mosaic(
    data: xr.Dataset,
    positions: Sequence[Position] | None = None,
    *,
    peaks: xr.Dataset | None = None,
    figure: Any = None,
    scaling: Scaling = 0.25,
    n_columns: int | None = None,
) -> Figure:
    """Draw chosen patterns with common limits, and the peaks that were found in them.

    Each pattern has a coloured, numbered frame; `mark_positions` draws the same on a scan image.

    Parameters
    ----------
    data : xarray.Dataset
        ``fourd/1``, may be lazy: only the chosen patterns are read.
    positions : sequence of (scan_y, scan_x) index pairs, optional
        Nine spread ones by default.
    peaks : xarray.Dataset, optional
        ``peaks/1`` of the same scan; positions without an entry get no rings.
    figure : matplotlib Figure or SubFigure, optional
    scaling : float or "log"
    n_columns : int, optional

    Returns
    -------
    matplotlib Figure or SubFigure
    """
    check_dataset(data, ("intensity", "scan_y", "scan_x", "qy", "qx"), "data", "pass the patterns: ronchi.read(path)")
    scan_shape = (data.sizes["scan_y"], data.sizes["scan_x"])
    check_positions(positions or (), scan_shape)
    chosen = spread_positions(scan_shape) if positions is None else list(positions)
    columns = n_columns or min(len(chosen), 4 if len(chosen) in (4, 7, 8) or len(chosen) > 9 else 3)
    rows = -(-len(chosen) // columns)
    width_in = {1: 4.6, 2: 3.2}.get(columns, 2.15)
    figure = figure or new_figure(width_in * columns, (width_in + 0.15) * rows + 0.35)
    frames = [np.asarray(data["intensity"].isel(scan_y=y, scan_x=x).values, float) for y, x in chosen]
    bad = data["bad_pixel"].values != 0 if "bad_pixel" in data else None
    norm, scaling_name = intensity_norm(
        np.stack(frames), scaling, None if bad is None else np.stack([bad] * len(frames))
    )
    template = data["intensity"].isel(scan_y=0, scan_x=0)
    for number, ((y, x), frame) in enumerate(zip(chosen, frames, strict=True)):
        ax = figure.add_subplot(rows, columns, number + 1)
        draw_image(ax, template, cmap="gray", norm=norm, values=frame if bad is None else np.where(bad, np.nan, frame))
        _frame_in(ax, CATEGORIES[number % len(CATEGORIES)])
        found = "" if peaks is None else _ring_peaks(ax, data, peaks, y, x)
        ax.set_title(f"{number + 1}: row {y}, column {x}{found}", fontsize="small")
        if number == 0:
            add_scale_bar(ax, str(template["qx"].attrs["units"]))
    name = str(data["intensity"].attrs.get("long_name", "intensity"))
    title = titled(literal(name.capitalize()), str(data["intensity"].attrs.get("units", "")), scaling_name)
    figure.suptitle(title + ("" if peaks is None else "; rings: detected disks"), fontsize="medium")
    return figure


def mark_positions(ax: Any, data: xr.Dataset, positions: Sequence[Position]) -> Any:
    """Mark the patterns of a `mosaic` on an image of the scan, in the same colours and numbers.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Of `scan_image`.
    data : xarray.Dataset
        Anything with the coordinates ``scan_y`` and ``scan_x`` of the image.
    positions : sequence of (scan_y, scan_x) index pairs

    Returns
    -------
    matplotlib.axes.Axes
    """
    check_dataset(data, ("scan_y", "scan_x"), "data", "pass the data set of the image")
    check_positions(positions, (data.sizes["scan_y"], data.sizes["scan_x"]))
    for number, (row, column) in enumerate(positions):
        y, x = float(data["scan_y"][row]), float(data["scan_x"][column])
        colour = CATEGORIES[number % len(CATEGORIES)]
        ax.plot(x, y, "o", markersize=5, color=colour, markeredgecolor=OUTLINE, markeredgewidth=0.8)
        ax.annotate(
            str(number + 1), (x, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize="small",
            color="white", path_effects=[withStroke(linewidth=2, foreground=OUTLINE)], annotation_clip=False,
        )  # fmt: skip
    return ax


def _frame_in(ax: Any, colour: str) -> None:
    for spine in ax.spines.values():
        spine.set(color=colour, linewidth=2.5)


def _ring_peaks(ax: Any, data: xr.Dataset, peaks: xr.Dataset, scan_y: int, scan_x: int) -> str:
    """Ring the peaks of one position; the words for its title."""
    try:
        here = peaks_schema.at(peaks, scan_y, scan_x)
    except IndexError:
        return ", not searched"
    rows, columns = peaks_schema.pixels(here)
    (y_step, x_step), (y_centre, x_centre) = fourd.q_step(data), fourd.centre_px(data)
    y, x = (rows - y_centre) * y_step, (columns - x_centre) * x_step
    ax.plot(x, y, linestyle="none", **RING)
    return f", {len(rows)} peak" + ("" if len(rows) == 1 else "s")

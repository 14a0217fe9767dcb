"""Frames of a movie one after the other, small, with its atoms coloured by descriptors: for stepping through."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ronchi.errors import DataError
from ronchi.plot.canvas import colormap, new_figure
from ronchi.plot.descriptors import scale_of
from ronchi.plot.labels import length_text
from ronchi.plot.limits import robust_limits
from ronchi.schema.descriptors import usual_fold

__all__ = ["Film", "film"]

_MOST_FRAMES = 40
_PANEL_PX = 340
_GAP_PX = 6
_QUALITY = 82
_GROUND = (188, 188, 188)
_PAPER = (255, 255, 255)
_UNKNOWN = (102, 102, 102)


@dataclass(frozen=True)
class Film:
    """Frames as JPEG files, and what the colours mean.

    Parameters
    ----------
    frames : tuple of int
        Numbers of the frames.
    pictures : tuple of bytes
        One JPEG a frame: the image where there is one, the first component, the angle where there is one.
    draw_legend : callable
        Makes a matplotlib Figure with the colour bars.
    panels : tuple of str
        What the panels show, from left to right.
    width : str
        Of a panel, with its unit, between the middles of its first and its last pixel.
    """

    frames: tuple[int, ...]
    pictures: tuple[bytes, ...]
    draw_legend: Callable[[], Any]
    panels: tuple[str, ...]
    width: str


def film(descriptors: xr.Dataset, images: xr.Dataset | None = None, *, most: int = _MOST_FRAMES) -> Film:
    """Draw evenly spread frames.

    Parameters
    ----------
    descriptors : xarray.Dataset
        ``descriptors/1`` along ``sample``, with ``frame``, ``position_y`` and ``position_x`` as coordinates.
    images : xarray.Dataset, optional
        ``images/1`` that the crops were cut from, in the same units; frames are read one by one.
    most : int
        Frames at most.

    Raises
    ------
    DataError
        Nothing says where the samples are.
    """
    if not {"frame", "position_y", "position_x"} <= set(descriptors.coords) or not descriptors.sizes["sample"]:
        raise DataError("nothing says where the samples are", where="descriptors")
    frame = descriptors["frame"].values
    numbers = np.unique(frame)
    shown = numbers[np.unique(np.linspace(0, len(numbers) - 1, min(most, len(numbers))).astype(int))].tolist()
    points = np.stack([descriptors[f"position_{axis}"].values.astype(float) for axis in ("y", "x")], 1)
    low, step, shape = _canvas(points, images)
    first = points[frame == numbers[0]]
    spacing = float(np.median(cKDTree(first).query(first, k=2)[0][:, 1])) if len(first) > 1 else 10 * step
    radius = min(max(0.45 * spacing / step, 1.5), 12.0)
    layers = _layers(descriptors)
    pictures = []
    for number in shown:
        here = frame == number
        where = (points[here] - low) / step
        panels = [] if images is None else [_gray(images, int(number), shape)]
        panels += [_discs(where, colours[here], radius, shape) for colours in (layer[1] for layer in layers)]
        pictures.append(_jpeg(panels))
    names = (*(("image",) if images is not None else ()), *(layer[0] for layer in layers))
    units = str(descriptors["position_x"].attrs.get("units", "pixel"))
    width = length_text(float(f"{step * (shape[1] - 1):.3g}"), units)
    return Film(tuple(map(int, shown)), tuple(pictures), lambda: _legend(layers), names, width)


Layer = tuple[str, NDArray[np.uint8], Any, Any]
"""Label, colour of every sample, colour map and norm."""


def _layers(descriptors: xr.Dataset) -> list[Layer]:
    name = str(descriptors["component"].values[0])
    z = descriptors["z"].values[:, 0].astype(float)
    norm, cmap = scale_of(z)
    made = [_layer(name, z, cmap, norm)]
    if "angle" in descriptors:
        period = 360 / usual_fold(descriptors)
        folded = (np.rad2deg(descriptors["angle"].values.astype(float)) + period / 2) % period - period / 2
        made.append(
            _layer(f"angle from x to y, modulo {period:g}° [°]", folded, "twilight", Normalize(-period / 2, period / 2))
        )
    return made


def _layer(label: str, values: NDArray[np.float64], cmap: str, norm: Any) -> Layer:
    colours = (colormap(cmap)(norm(np.nan_to_num(values)))[:, :3] * 255).astype(np.uint8)
    colours[~np.isfinite(values)] = _UNKNOWN
    return label, colours, cmap, norm


def _canvas(
    points: NDArray[np.float64], images: xr.Dataset | None
) -> tuple[NDArray[np.float64], float, tuple[int, int]]:
    """Position (y, x) of the first pixel, length of a pixel, rows and columns of a panel."""
    if images is None:
        low, high = points.min(0), points.max(0)
    else:
        ends = [
            images[dim].values[[0, -1]] if dim in images.coords else (0, images.sizes[dim] - 1) for dim in ("y", "x")
        ]
        low, high = np.array(ends, float).T
    size = np.maximum(high - low, 1e-9)
    step = float(size.max()) / (_PANEL_PX - 1)
    rows, columns = (max(2, round(float(length) / step) + 1) for length in size)
    return low, step, (rows, columns)


def _gray(images: xr.Dataset, number: int, shape: tuple[int, int]) -> Any:
    from PIL import Image

    values = np.asarray(images["intensity"].sel(frame=number).values, float)
    low, high = robust_limits(values, tail_percent=0.5)
    levels = (np.clip((np.nan_to_num(values, nan=low) - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(levels).resize(shape[::-1], Image.Resampling.BOX).convert("RGB")


def _discs(where: NDArray[np.float64], colours: NDArray[np.uint8], radius: float, shape: tuple[int, int]) -> Any:
    from PIL import Image, ImageDraw

    # Drawn at twice the size, since PIL knows no smooth edges.
    panel = Image.new("RGB", (2 * shape[1], 2 * shape[0]), _GROUND)
    pen = ImageDraw.Draw(panel)
    for (y, x), colour in zip((2 * where).tolist(), colours.tolist(), strict=True):
        pen.ellipse((x - 2 * radius, y - 2 * radius, x + 2 * radius, y + 2 * radius), fill=tuple(colour))
    return panel.resize(shape[::-1], Image.Resampling.BOX)


def _jpeg(panels: list[Any]) -> bytes:
    from PIL import Image

    width = sum(panel.width for panel in panels) + _GAP_PX * (len(panels) - 1)
    sheet = Image.new("RGB", (width, panels[0].height), _PAPER)
    left = 0
    for panel in panels:
        sheet.paste(panel, (left, 0))
        left += panel.width + _GAP_PX
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _legend(layers: list[Layer]) -> Any:
    figure = new_figure(3.4 * len(layers), 0.6)
    axes = figure.subplots(1, len(layers), squeeze=False)[0]
    for ax, (label, _, cmap, norm) in zip(axes, layers, strict=True):
        bar = figure.colorbar(ScalarMappable(norm, colormap(cmap)), cax=ax, orientation="horizontal")
        bar.set_label(label, fontsize="small")
        bar.ax.tick_params(labelsize="x-small")
    return figure

"""Figures without global state, and images drawn on their coordinates."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, Locator, MaxNLocator
from numpy.typing import NDArray

from ronchi.plot.labels import titled

__all__ = [
    "CATEGORIES",
    "DOUBLE_LINE",
    "OUTLINE",
    "RING",
    "WIDE_RATIO",
    "add_colorbar",
    "axes_or_new",
    "beyond",
    "box_ratio",
    "category_colour",
    "colormap",
    "draw_image",
    "extent_of",
    "legend_outside",
    "new_figure",
    "panels",
    "round_ticks",
    "show_axes",
]

CATEGORIES = ("#56B4E9", "#E69F00", "#CC79A7", "#F0E442", "#009E73", "#D55E00", "#0072B2", "#999999")
"""Colours for categories, told apart with any colour vision (Okabe and Ito, 2008)."""

_SHADES = (0.0, 0.55, -0.45)
"""Towards white or, below 0, black: of further categories than there are colours."""

OUTLINE = "0.1"
"""Dark edge of what is drawn in a light colour over an image."""

DOUBLE_LINE: dict[str, Any] = {"color": "white", "path_effects": [withStroke(linewidth=3.2, foreground="black")]}
"""White line within a black one, to be seen on the brightest disk and on the darkest background."""

RING: dict[str, Any] = {
    "marker": "o",
    "fillstyle": "none",
    "markersize": 6.5,
    "markeredgewidth": 1.1,
    "color": CATEGORIES[0],
    "path_effects": [withStroke(linewidth=2.2, foreground=OUTLINE)],
}
"""Ring around a detected disk, to be seen on black and on white."""

WIDE_RATIO = 2.0
"""Images longer than this are put below each other, the others side by side."""

MAX_RATIO = 8.0
"""A longer image is stretched across, and says so: one row of 256 would be a hair line."""

_MISSING = {"gray": "#7f6d8f"}


def category_colour(number: int) -> str:
    """Colour of a class: those of `CATEGORIES`, then lighter and darker ones; from 24 on they come again."""
    shade = _SHADES[number // len(CATEGORIES) % len(_SHADES)]
    rgb = np.array(to_rgb(CATEGORIES[number % len(CATEGORIES)]))
    return to_hex(rgb + (1 - rgb) * shade if shade > 0 else rgb * (1 + shade))


def new_figure(width_in: float, height_in: float) -> Figure:
    """A figure that belongs to no backend and no pyplot state."""
    return Figure(figsize=(width_in, height_in), layout="constrained")


def axes_or_new(ax: Any, width_in: float = 4.2, height_in: float = 3.8) -> Any:
    """``ax``, or the axes of a new figure."""
    return new_figure(width_in, height_in).add_subplot() if ax is None else ax


def legend_outside(ax: Any, *, above: bool = False) -> None:
    """Put the legend where it lies on no line: beside the axes, or above them in one row."""
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1, 1)}
    if above:
        place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1), "ncols": 4, "columnspacing": 1.2}
    ax.legend(fontsize="x-small", frameon=False, **place)


def colormap(name: str) -> Any:
    """A colour map that draws missing values in grey (in mauve where the map itself is grey)."""
    return colormaps[name].with_extremes(bad=_MISSING.get(name, "0.6"))


def _step(coordinate: xr.DataArray) -> float | None:
    values = np.asarray(coordinate.values, float)
    return float(values[-1] - values[0]) / (len(values) - 1) if len(values) > 1 else None


def extent_of(y: xr.DataArray, x: xr.DataArray) -> tuple[float, float, float, float]:
    """``(left, right, bottom, top)`` with row 0 at the top; a lone row or column gets square pixels."""
    y_step, x_step = _step(y), _step(x)
    half_y, half_x = (y_step or x_step or 1.0) / 2, (x_step or y_step or 1.0) / 2
    return float(x[0]) - half_x, float(x[-1]) + half_x, float(y[-1]) + half_y, float(y[0]) - half_y


def _true_ratio(y: xr.DataArray, x: xr.DataArray) -> float:
    left, right, bottom, top = extent_of(y, x)
    return (right - left) / (bottom - top)


def box_ratio(y: xr.DataArray, x: xr.DataArray) -> float:
    """Width over height of an image on these coordinates as it is drawn, at most `MAX_RATIO` either way."""
    return float(np.clip(_true_ratio(y, x), 1 / MAX_RATIO, MAX_RATIO))


def draw_image(ax: Any, image: xr.DataArray, *, cmap: str, norm: Any, values: NDArray[Any] | None = None) -> Any:
    """Draw a 2-D array with y downwards, on its coordinates, without interpolation.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    image : (y, x) DataArray
        With 1-D coordinates, which become those of the axes.
    cmap : str
    norm : matplotlib.colors.Normalize
    values : (y, x) or (y, x, rgb) array, optional
        Drawn in place of the image's own values, e.g. in other units.

    Returns
    -------
    matplotlib.image.AxesImage
    """
    y, x = (image[dim] for dim in image.dims)
    stretch = _true_ratio(y, x) / box_ratio(y, x)
    shown = ax.imshow(
        np.asarray(image.values if values is None else values),
        extent=extent_of(y, x),
        origin="upper",
        interpolation="none",
        cmap=colormap(cmap),
        norm=norm,
        aspect=stretch,
    )
    ax.set(xticks=[], yticks=[])
    if not np.isclose(stretch, 1.0):
        along, times = ("y", stretch) if stretch > 1 else ("x", 1 / stretch)
        ax.set_xlabel(f"drawn {times:.2g}× longer along {along}", fontsize="x-small", loc="right", labelpad=1)
    return shown


def show_axes(ax: Any, image: xr.DataArray, *, y: bool = True, x: bool = True) -> None:
    """Ticks and labels in the unit of the coordinates, so that positions can be read off and used as parameters.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Of `draw_image`, whose remark on a stretched axis is kept.
    image : (y, x) DataArray
    y, x : bool
        Which axes to show.
    """
    dim_y, dim_x = image.dims
    if x:
        wide = box_ratio(image[dim_y], image[dim_x]) >= WIDE_RATIO
        ax.xaxis.set_major_locator(_locator(image[dim_x], 8 if wide else 4))
        label = titled(str(dim_x), str(image[dim_x].attrs.get("units", "")))
        ax.set_xlabel("; ".join(filter(None, (label, ax.get_xlabel()))), fontsize="small", loc="center", labelpad=1)
    if y:
        ax.yaxis.set_major_locator(_locator(image[dim_y], 4))
        ax.set_ylabel(titled(str(dim_y), str(image[dim_y].attrs.get("units", ""))), fontsize="small", labelpad=1)
    ax.tick_params(labelsize="x-small", length=2)


def _locator(coordinate: xr.DataArray, most: int) -> Locator:
    """Round numbers, or the positions themselves where there are few."""
    values = np.asarray(coordinate.values, float)
    return FixedLocator(list(values)) if len(values) < most else round_ticks(most)


def round_ticks(most: int) -> Locator:
    """At most so many intervals between ticks at round numbers."""
    return MaxNLocator(most, steps=[1, 2, 2.5, 5, 10])


def count_ticks(*axes: Any) -> None:
    """Ticks at whole numbers alone: of frames, atoms and rings there are no halves."""
    for axis in axes:
        axis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))


def beyond(*shown: Any) -> str:
    """Ends of a colour bar that need an arrow, since values drawn with it lie beyond: matplotlib's ``extend``."""
    low = high = False
    for drawn in shown:
        values = np.ma.masked_invalid(np.ma.asarray(drawn.get_array())).compressed()
        if values.size:
            # Rounding is no excess.
            slack = 1e-6 * max(abs(drawn.norm.vmin), abs(drawn.norm.vmax))
            low |= bool(values.min() < drawn.norm.vmin - slack)
            high |= bool(values.max() > drawn.norm.vmax + slack)
    return {(False, False): "neither", (True, False): "min", (False, True): "max"}.get((low, high), "both")


def add_colorbar(shown: Any, ax: Any, **options: Any) -> Any:
    """Colour bar to the right of an image, exactly as tall as the image is drawn."""
    width, height = (abs(high - low) for low, high in (ax.get_xlim(), ax.get_ylim()))
    ratio = width / (height * float(ax.get_aspect()))
    beside = ax.inset_axes((1 + max(0.03 / max(ratio, 0.4), 0.008), 0, max(0.05 / max(ratio, 0.2), 0.014), 1))
    bar = ax.figure.colorbar(shown, cax=beside, extend=beyond(shown), **options)
    # A logarithmic bar of less than a decade has labels at minor ticks only.
    bar.ax.tick_params(which="both", labelsize="x-small")
    return bar


def panels(n: int, ratio: float, figure: Any = None, most_columns: int = 4) -> tuple[Any, list[Any]]:
    """Axes for ``n`` images of one width over height, each with a title and a colour bar.

    Parameters
    ----------
    n : int
    ratio : float
        Of `box_ratio`.
    figure : matplotlib Figure or SubFigure, optional
        A new one, of a size that suits the images, by default.
    most_columns : int

    Returns
    -------
    figure, axes
    """
    columns = 1 if ratio >= WIDE_RATIO else min(n, most_columns)
    rows = -(-n // columns)
    if figure is None:
        width = 8.0 if columns == 1 and ratio >= WIDE_RATIO else min(10.0, 3.6 * columns)
        each = (width / columns - 0.6) / ratio
        figure = new_figure(width, rows * (min(each, 5.0) + 0.45))
    return figure, [figure.add_subplot(rows, columns, number + 1) for number in range(n)]

"""One image: a diffraction pattern, or a quantity over the scan."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr
from matplotlib.colors import Normalize
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from ronchi.errors import DataError
from ronchi.plot.canvas import (
    DOUBLE_LINE,
    OUTLINE,
    WIDE_RATIO,
    add_colorbar,
    axes_or_new,
    box_ratio,
    draw_image,
    panels,
)
from ronchi.plot.inputs import check_dataset, check_image
from ronchi.plot.labels import literal, titled
from ronchi.plot.limits import Scaling, intensity_norm, intensity_ticks, robust_limits, symmetric_limit
from ronchi.plot.scalebar import add_scale_bar

__all__ = ["add_scan_scale_bar", "panel_size", "pattern", "scan_image", "scan_images"]

Kind = Literal["sequential", "diverging", "cyclic"]
_TITLE_WIDTH = 32
_SIGNED = 0.1
"""A map has both signs if the smaller side reaches this share of the larger one."""

_STRAIN = re.compile(r"(se_)?e_(xx|yy|xy)\w*")
_CMAPS = {"sequential": "viridis", "diverging": "RdBu_r", "cyclic": "twilight"}


def pattern(
    image: xr.DataArray,
    *,
    ax: Any = None,
    scaling: Scaling = 0.25,
    bad_pixel: Any = None,
    circles: Sequence[tuple[float, float, float]] = (),
    title: str | None = None,
    cmap: str = "inferno",
    colorbar: bool = True,
) -> Any:
    """Draw a diffraction pattern: robust limits, scale bar, a cross at q = 0.

    Parameters
    ----------
    image : (qy, qx) DataArray
        With its coordinates, in ``1/angstrom`` or ``pixel``.
    ax : matplotlib.axes.Axes, optional
        A new figure's axes by default.
    scaling : float or "log"
        Exponent of the intensity, or the logarithm; the title says which.
    bad_pixel : (qy, qx) array, optional
        Where it is not 0, the pixel is drawn in grey and has no say in the limits.
    circles : sequence of (y, x, radius)
        In the units of q: a probe, the edges of a virtual detector.
    title : str, optional
        The quantity; ``long_name`` by default.
    cmap : str
    colorbar : bool

    Returns
    -------
    matplotlib.axes.Axes
    """
    check_image(image, ("qy", "qx"))
    ax = axes_or_new(ax)
    values = np.asarray(image.values, float)
    bad = None if bad_pixel is None else np.asarray(bad_pixel) != 0
    norm, scaling_name = intensity_norm(values, scaling, bad)
    shown = draw_image(ax, image, cmap=cmap, norm=norm, values=values if bad is None else np.where(bad, np.nan, values))
    over: dict[str, Any] = {"color": "white", "path_effects": [withStroke(linewidth=1.6, foreground=OUTLINE)]}
    # q = 0 may lie outside of a part of a pattern, which stays as large as it is.
    ax.plot(0, 0, "+", markersize=6, markeredgewidth=0.8, scalex=False, scaley=False, **over)
    for y, x, radius in circles:
        ax.add_patch(Circle((x, y), radius, fill=False, linewidth=1.2, **DOUBLE_LINE))
    add_scale_bar(ax, str(image[image.dims[1]].attrs["units"]))
    ax.set_title(
        titled(_quantity(image) if title is None else title, str(image.attrs.get("units", "")), scaling_name),
        fontsize="medium",
        loc="left",
    )
    if colorbar:
        ticks = intensity_ticks(norm, values)
        add_colorbar(shown, ax, ticks=ticks, **({} if ticks is None else {"format": "%g"}))
    return ax


def scan_image(
    image: xr.DataArray,
    *,
    ax: Any = None,
    kind: Kind = "sequential",
    cmap: str | None = None,
    title: str | None = None,
    limits: tuple[float, float] | None = None,
    colorbar: bool = True,
) -> Any:
    """Draw a quantity over the scan.

    Parameters
    ----------
    image : (scan_y, scan_x) DataArray
        NaN is drawn in grey.
    ax : matplotlib.axes.Axes, optional
    kind : {"sequential", "diverging", "cyclic"}
        Chooses the colour map and the limits: robust, symmetric about 0, or one turn (rad).
    cmap : str, optional
        Another colour map; ``"gray"`` for virtual images.
    title : str, optional
        The quantity; ``long_name`` by default.
    limits : tuple of float, optional
        ``(low, high)``, for images that are to be compared.
    colorbar : bool

    Returns
    -------
    matplotlib.axes.Axes
    """
    check_image(image, ("scan_y", "scan_x"))
    y, x = (image[dim] for dim in image.dims)
    ratio = box_ratio(y, x)
    ax = axes_or_new(ax, *panel_size(ratio))
    values = np.asarray(image.values, float)
    if limits is None:
        half = symmetric_limit(values) if kind == "diverging" else np.pi
        limits = robust_limits(values) if kind == "sequential" else (-half, half)
    shown = draw_image(ax, image, cmap=cmap or _CMAPS[kind], norm=Normalize(*limits), values=values)
    add_scan_scale_bar(ax, image)
    words = titled(_quantity(image) if title is None else title, str(image.attrs.get("units", "")))
    if ratio < WIDE_RATIO and len(words) > _TITLE_WIDTH:
        words = textwrap.fill(words, _TITLE_WIDTH, break_long_words=False)
    ax.set_title(words, fontsize="medium", loc="left")
    if colorbar:
        add_colorbar(shown, ax)
    return ax


def _quantity(image: xr.DataArray) -> str:
    name = str(image.attrs.get("long_name", image.name or ""))
    return literal(name[:1].upper() + name[1:])


def scan_images(maps: xr.Dataset, names: Sequence[str] | None = None, *, figure: Any = None) -> Any:
    """Draw several quantities over the scan, each on its own scale.

    Angles (``rad`` with an ``n_fold``) are drawn with a cyclic colour map, what has both signs with a diverging one.
    Strains are drawn in percent.

    Parameters
    ----------
    maps : xarray.Dataset
    names : sequence of str, optional
        Variables over ``(scan_y, scan_x)``; all of them by default.
    figure : matplotlib Figure or SubFigure, optional

    Returns
    -------
    matplotlib Figure or SubFigure
    """
    check_dataset(maps, ("scan_y", "scan_x", *(names or ())), "maps", "pass a result over the scan, and names in it")
    chosen = names or [str(name) for name, v in maps.data_vars.items() if v.dims == ("scan_y", "scan_x")]
    if not chosen:
        raise DataError("no variable lies over the scan", where="maps", fix="pass a result over (scan_y, scan_x)")
    figure, axes = panels(len(chosen), box_ratio(maps["scan_y"], maps["scan_x"]), figure)
    for ax, name in zip(axes, chosen, strict=True):
        image = _in_percent(maps[name]) if _STRAIN.fullmatch(name) else maps[name]
        if "n_fold" in image.attrs:
            n_fold = int(image.attrs["n_fold"])
            half = np.pi / n_fold
            wrapped = image.copy(data=(image.values + half) % (2 * half) - half)
            title = _quantity(image) + (f", {n_fold}-fold" if n_fold > 1 else "")
            scan_image(wrapped, ax=ax, kind="cyclic", limits=(-half, half), title=title)
        else:
            low, high = robust_limits(np.asarray(image.values, float))
            signed = min(-low, high) > _SIGNED * max(-low, high)
            scan_image(image, ax=ax, kind="diverging" if signed else "sequential")
    return figure


def _in_percent(image: xr.DataArray) -> xr.DataArray:
    return image.copy(data=image.values * 100).assign_attrs(units="%")


def add_scan_scale_bar(ax: Any, image: xr.DataArray) -> None:
    """Scale bar of a map over the scan; a single position has no scale."""
    if image.size > 1:
        add_scale_bar(ax, str(image[image.dims[1]].attrs.get("units", "pixel")))


def panel_size(ratio: float, longest_in: float = 6.5) -> tuple[float, float]:
    """Width and height in inches of a figure with one image of this width over height, a title and a colour bar."""
    width = min(longest_in, 3.2 * max(ratio, 0.35) ** 0.5 if ratio < 4 else longest_in)
    return width + 0.7, min(width / ratio, longest_in) + 0.6

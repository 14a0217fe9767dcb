"""Centre of mass or the field from it: components, magnitude and direction over the scan, and what is derived."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.colors import hsv_to_rgb
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from ronchi.errors import DataError
from ronchi.plot.canvas import axes_or_new, box_ratio, draw_image, panels
from ronchi.plot.images import Kind, add_scan_scale_bar, panel_size, scan_image
from ronchi.plot.labels import unit_text
from ronchi.plot.limits import symmetric_limit

__all__ = ["com_maps", "vector_field"]

_DERIVED: dict[str, Kind] = {"divergence": "diverging", "curl": "diverging", "phase": "sequential"}


def com_maps(com: xr.Dataset, *, figure: Any = None, relative: bool = True) -> Any:
    """Draw the centre of mass: x and y on one symmetric scale, magnitude, direction, and what is derived from them.

    Parameters
    ----------
    com : xarray.Dataset
        With ``com_y`` and ``com_x`` (scan_y, scan_x), which are along the axes of the detector. With ``field_y`` and
        ``field_x``, along those of the scan, these are drawn in their place, for what is derived follows from them;
        ``divergence``, ``curl`` and ``phase`` where known.
    figure : matplotlib Figure or SubFigure, optional
    relative : bool
        Show the deflection from the median over the scan, which the title then states.

    Returns
    -------
    matplotlib Figure or SubFigure
        Axes in this order: x, y, magnitude, direction, and those that are derived.

    Raises
    ------
    DataError
        There is no centre of mass in ``com``.
    """
    missing = [name for name in ("com_y", "com_x") if name not in com]
    if missing:
        raise DataError(
            f"no variable {' and '.join(missing)} to draw", where="com", fix="pass a result of a centre-of-mass step"
        )
    of_field = {"field_y", "field_x"} <= set(com.data_vars)
    y, x, words = _deflection(com, "field" if of_field else "com", relative=relative)
    what, axis = ("Field", "scan {}") if of_field else ("Centre of mass", "q{}")
    derived = [name for name in _DERIVED if name in com]
    ratio = box_ratio(com["scan_y"], com["scan_x"])
    figure, axes = panels(4 + len(derived), ratio, figure)
    half = symmetric_limit(y.values, x.values)
    scan_image(x, ax=axes[0], kind="diverging", limits=(-half, half), title=f"{what}, {axis.format('x')}")
    scan_image(y, ax=axes[1], kind="diverging", limits=(-half, half), title=f"{what}, {axis.format('y')}")
    scan_image(x.copy(data=np.hypot(x.values, y.values)), ax=axes[2], title="Magnitude")
    vector_field(y, x, ax=axes[3], names=(axis.format("y"), axis.format("x")))
    for ax, name in zip(axes[4:], derived, strict=True):
        scan_image(com[name], ax=ax, kind=_DERIVED[name])
    if words:
        figure.suptitle(words, fontsize="medium")
    return figure


def vector_field(y: xr.DataArray, x: xr.DataArray, *, ax: Any = None, names: tuple[str, str] = ("y", "x")) -> Any:
    """Draw a vector over the scan as colour: direction as hue, magnitude as brightness.

    Parameters
    ----------
    y, x : (scan_y, scan_x) DataArray
        Components; NaN is drawn in grey.
    ax : matplotlib.axes.Axes, optional
    names : tuple of str
        Of the two axes that the components are along.

    Returns
    -------
    matplotlib.axes.Axes
        With a wheel beside it that shows which colour points where, y downwards.
    """
    ratio = box_ratio(*(x[dim] for dim in x.dims))
    ax = axes_or_new(ax, *panel_size(ratio))
    magnitude = np.hypot(y.values, x.values)
    full = symmetric_limit(magnitude)
    colours = _hue_of_direction(y.values, x.values, full)
    colours[~np.isfinite(magnitude)] = 0.6
    draw_image(ax, x, cmap="twilight", norm=None, values=colours)
    add_scan_scale_bar(ax, x)
    ax.set_title("Direction", fontsize="medium", loc="left")
    beside = ax.get_figure(root=True).dpi_scale_trans + ScaledTranslation(1, 0.5, ax.transAxes)
    wheel = ax.inset_axes((0.15, -0.27, 0.5, 0.5), transform=beside)
    grid = np.linspace(-1, 1, 65)
    rows, columns = np.meshgrid(grid, grid, indexing="ij")
    disk = _hue_of_direction(rows, columns, 1.0)
    disk[np.hypot(rows, columns) > 1] = 1.0
    wheel.imshow(disk, extent=(-1, 1, 1, -1), interpolation="none")
    wheel.text(1.15, 0, names[1], va="center", fontsize="x-small")
    wheel.text(0, 1.2, names[0], ha="center", va="top", fontsize="x-small")
    wheel.set_title(f"{full:.2g} {unit_text(str(x.attrs.get('units', '')))}", fontsize="x-small", pad=2)
    wheel.set_axis_off()
    return ax


def _deflection(com: xr.Dataset, name: str, *, relative: bool) -> tuple[xr.DataArray, xr.DataArray, str]:
    y, x = com[f"{name}_y"], com[f"{name}_x"]
    centre = [float(np.nanmedian(v.values)) if np.isfinite(v.values).any() else 0.0 for v in (y, x)]
    if not relative:
        return y, x, ""
    units = unit_text(str(x.attrs.get("units", "")))
    words = f"relative to the median, x = {centre[1]:.4g}, y = {centre[0]:.4g} {units}"
    return y.copy(data=y.values - centre[0]), x.copy(data=x.values - centre[1]), words


def _hue_of_direction(y: NDArray[Any], x: NDArray[Any], full: float) -> NDArray[np.float64]:
    """(…, 3) colours; red along +x, turning with the angle from x towards y."""
    hue = np.nan_to_num(np.arctan2(y, x)) / (2 * np.pi) % 1
    value = np.nan_to_num(np.hypot(y, x) / full).clip(0, 1)
    return np.asarray(hsv_to_rgb(np.stack([hue, np.ones_like(hue), value], axis=-1)))

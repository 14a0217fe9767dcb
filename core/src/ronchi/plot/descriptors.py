"""Descriptors: on the scan or on the atoms that they are of, their distributions, classes and training curves."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm, Normalize
from numpy.typing import NDArray

from ronchi.errors import DataError
from ronchi.plot.canvas import (
    CATEGORIES,
    add_colorbar,
    beyond,
    box_ratio,
    category_colour,
    colormap,
    count_ticks,
    draw_image,
    legend_outside,
    new_figure,
    panels,
    round_ticks,
)
from ronchi.plot.images import add_scan_scale_bar
from ronchi.plot.labels import titled
from ronchi.plot.limits import robust_limits, symmetric_limit
from ronchi.plot.scalebar import add_scale_bar
from ronchi.schema.descriptors import usual_fold

__all__ = ["angle_map", "atom_maps", "class_map", "latent_histograms", "scale_of", "training_curves"]

_MOST_FRAMES = 4
_MOST_COMPONENTS = 8
_UNKNOWN = "0.75"
"""Colour of scan positions without a value, and of samples without a class."""
_GROUND, _CROSS = "0.74", "0.4"
"""Behind atoms, where the white middle of diverging colours has to be seen; and crosses for atoms without a value."""


def angle_map(descriptors: xr.Dataset, *, n_fold: int | None = None, figure: Any = None) -> Any:
    """Draw the angle in cyclic colours, folded to the symmetry that the title states.

    Parameters
    ----------
    descriptors : xarray.Dataset
        ``descriptors/1`` with ``angle``, over a scan or over atoms with their positions.
    n_fold : int, optional
        Draw modulo 360 / ``n_fold`` degrees; by default the symmetry that most samples have. 6 shows the lattice of
        graphene, whose two sublattices are 60 degrees apart.
    figure : matplotlib Figure or SubFigure, optional

    Returns
    -------
    matplotlib Figure or SubFigure
        One axes for a scan, one a frame for atoms, of four frames at most.

    Raises
    ------
    DataError
        There is no angle, or nothing says where the samples are.
    """
    angle = _drawn(descriptors, "angle")
    shared = int(angle.attrs.get("n_fold", 1))
    n_fold = n_fold or usual_fold(descriptors)
    period = 360.0 / n_fold
    folded = (np.rad2deg(angle.values.astype(float)) + period / 2) % period - period / 2
    defined = ", defined" if n_fold == shared else ""
    title = f"Angle{defined} modulo {period:g}°" + (f" ({n_fold}-fold symmetry)" if n_fold > 1 else "")
    norm = Normalize(-period / 2, period / 2)
    ticks = np.linspace(-period / 2, period / 2, 5)
    figure = _draw_places(descriptors, folded, "twilight", norm, figure, "angle from x to y [°]", ticks)
    figure.suptitle(title, fontsize="medium")
    return figure


def class_map(descriptors: xr.Dataset, *, figure: Any = None) -> Any:
    """Draw the class of every sample, in colours that are told apart with any colour vision.

    Parameters
    ----------
    descriptors : xarray.Dataset
        ``descriptors/1`` with ``label``, over a scan or over atoms with their positions.
    figure : matplotlib Figure or SubFigure, optional

    Returns
    -------
    matplotlib Figure or SubFigure
        One axes for a scan, one a frame for atoms; the colour bar numbers the classes.

    Raises
    ------
    DataError
        There are no labels, or nothing says where the samples are.
    """
    label = _drawn(descriptors, "label").values.astype(float)
    n = int(max(1, label.max(initial=0) + 1))
    colours = ListedColormap([category_colour(k) for k in range(n)]).with_extremes(bad=_UNKNOWN)
    norm = BoundaryNorm(np.arange(n + 1) - 0.5, n)
    values = np.where(label < 0, np.nan, label)
    figure = _draw_places(descriptors, values, colours, norm, figure, "class", np.arange(n))
    figure.suptitle("Classes" + ("; grey: none" if (label < 0).any() else ""), fontsize="medium")
    return figure


def atom_maps(descriptors: xr.Dataset, component: str, *, figure: Any = None) -> Any:
    """Draw one component on the atoms of some frames.

    Parameters
    ----------
    descriptors : xarray.Dataset
        ``descriptors/1`` along ``sample``, with the positions of the crops as coordinates.
    component : str
    figure : matplotlib Figure or SubFigure, optional

    Returns
    -------
    matplotlib Figure or SubFigure
        One axes a frame, of four frames at most, on one scale.
    """
    values = descriptors["z"].sel(component=component).values.astype(float)
    norm, cmap = scale_of(values)
    label = titled(component, str(descriptors["z"].attrs.get("units", "1")))
    figure = _draw_places(descriptors, values, cmap, norm, figure, label, None)
    figure.suptitle(f"Descriptor {component}", fontsize="medium")
    return figure


def _drawn(descriptors: xr.Dataset, name: str) -> xr.DataArray:
    if name not in descriptors:
        raise DataError(f"no variable {name!r} to draw", where="descriptors")
    return descriptors[name]


def scale_of(values: NDArray[Any]) -> tuple[Any, str]:
    """Norm and colour map of a component: diverging about 0 where it has both signs."""
    low, high = robust_limits(values, tail_percent=1.0)
    if -low > 0.2 * high > 0:
        half = symmetric_limit(values)
        return Normalize(-half, half), "RdBu_r"
    return Normalize(low, high), "viridis"


def _draw_places(
    descriptors: xr.Dataset, values: NDArray[Any], cmap: Any, norm: Any, figure: Any, label: str, ticks: Any
) -> Any:
    colours = colormap(cmap) if isinstance(cmap, str) else cmap
    if values.ndim == 2 and {"scan_y", "scan_x"} <= set(descriptors.dims):
        image = xr.DataArray(
            values, {d: descriptors[d] for d in ("scan_y", "scan_x") if d in descriptors}, ("scan_y", "scan_x")
        )
        figure, (ax,) = panels(1, box_ratio(image["scan_y"], image["scan_x"]), figure)
        shown = draw_image(ax, image, cmap="viridis", norm=norm)
        shown.set_cmap(colours)
        add_scan_scale_bar(ax, image)
        add_colorbar(shown, ax, ticks=ticks, label=label)
        return figure
    missing = [name for name in ("frame", "position_y", "position_x") if name not in descriptors.coords]
    if missing:
        raise DataError(f"nothing says where the samples are: no {', '.join(missing)}", where="descriptors")
    frames = np.unique(descriptors["frame"].values)
    if not len(frames):
        raise DataError("there are no samples to draw", where="descriptors")
    chosen = frames[np.unique(np.linspace(0, len(frames) - 1, min(len(frames), _MOST_FRAMES)).astype(int))]
    y, x = descriptors["position_y"].values, descriptors["position_x"].values
    columns = 2 if len(chosen) == _MOST_FRAMES else len(chosen)
    rows = len(chosen) // columns
    figure = figure or new_figure(3.9 * columns + 0.9, 3.9 * rows + 0.3)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for ax, frame in zip(axes, chosen, strict=True):
        inside = descriptors["frame"].values == frame
        # About as large as the atoms are apart, so that neighbours touch.
        size = float(np.clip(4.5e4 / max(1, int(inside.sum())), 2.0, 60.0))
        known = np.isfinite(values)
        ax.set_facecolor(_GROUND)
        ax.scatter(x[inside & ~known], y[inside & ~known], s=size, color=_CROSS, marker="x", linewidths=0.8)
        shown = ax.scatter(
            x[inside & known],
            y[inside & known],
            s=size,
            c=values[inside & known],
            cmap=colours,
            norm=norm,
            linewidths=0,
        )
        ax.set(aspect="equal", xticks=[], yticks=[])
        ax.set_title(f"frame {frame}", fontsize="small", loc="left")
    axes[0].invert_yaxis()
    if np.ptp(x) > 0:
        add_scale_bar(axes[0], str(descriptors["position_x"].attrs.get("units", "pixel")))
    bar = figure.colorbar(shown, ax=list(axes), ticks=ticks, fraction=0.03, pad=0.02, extend=beyond(shown))
    bar.set_label(label, fontsize="small")
    bar.ax.tick_params(labelsize="x-small")
    return figure


def latent_histograms(descriptors: xr.Dataset, *, figure: Any = None, bins: int = 60) -> Any:
    """Draw the distribution of each component: against the frame where there are several, by class where known.

    Parameters
    ----------
    descriptors : xarray.Dataset
        ``descriptors/1``; of more than eight components the first.
    figure : matplotlib Figure or SubFigure, optional
    bins : int
        Values beyond their range are counted in the last ones.

    Returns
    -------
    matplotlib Figure or SubFigure
        One axes a component.
    """
    names = [str(name) for name in descriptors["component"].values][:_MOST_COMPONENTS]
    columns = min(len(names), 4)
    rows = -(-len(names) // columns)
    figure = figure or new_figure(2.6 * columns + 0.4, 2.2 * rows + 0.3)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    frame = descriptors["frame"].values if "frame" in descriptors.coords else np.zeros(0)
    by_frame = frame.size > 0 and len(np.unique(frame)) > 1 and frame.shape == descriptors["z"].shape[:-1]
    label = descriptors["label"].values.ravel() if "label" in descriptors else None
    for ax, name in zip(axes, names, strict=False):
        z = descriptors["z"].sel(component=name).values.astype(float).ravel()
        good = np.isfinite(z)
        low, high = robust_limits(z, tail_percent=0.5)
        z = np.clip(z, low, high)
        edges = np.linspace(low, high, bins + 1)
        if by_frame:
            _against_frame(ax, z[good], frame[good], edges)
        elif label is not None:
            numbers = range(-1 if (label < 0).any() else 0, int(label.max(initial=-1)) + 1)
            groups = [z[good & (label == k)] for k in numbers]
            colours = [category_colour(k) if k >= 0 else _UNKNOWN for k in numbers]
            ax.hist(groups, edges, stacked=True, color=colours)
        else:
            ax.hist(z[good], edges, color="0.35")
        ax.xaxis.set_major_locator(round_ticks(4))
        count_ticks(ax.yaxis)
        ax.set_title(titled(name, str(descriptors["z"].attrs.get("units", "1"))), fontsize="small", loc="left")
        ax.tick_params(labelsize="x-small")
    for ax in axes[len(names) :]:
        ax.set_axis_off()
    axes[0].set_ylabel("frame" if by_frame else "samples", fontsize="small")
    return figure


def _against_frame(ax: Any, z: NDArray[Any], frame: NDArray[Any], edges: NDArray[Any]) -> None:
    # Frames that are not in the data stay empty, and are not stretched over.
    steps = np.arange(frame.min(), frame.max() + 2) - 0.5
    counts = np.histogram2d(frame, z, (steps, edges))[0]
    norm = LogNorm(1, max(2.0, float(counts.max(initial=2))))
    ax.pcolormesh(edges, steps, np.where(counts > 0, counts, np.nan), cmap="viridis", norm=norm)
    ax.invert_yaxis()


def training_curves(descriptors: xr.Dataset, *, figure: Any = None) -> Any:
    """Draw what was followed while fitting: variables along ``epoch``, and BIC against the number of classes.

    Parameters
    ----------
    descriptors : xarray.Dataset
        ``descriptors/1`` with at least one variable along ``epoch`` or ``n_classes``.
    figure : matplotlib Figure or SubFigure, optional

    Returns
    -------
    matplotlib Figure or SubFigure
        One axes for what was followed by the epoch, one for what was by the number of classes.

    Raises
    ------
    DataError
        There is none.
    """
    groups = {dim: [str(name) for name, v in descriptors.data_vars.items() if v.dims == (dim,)] for dim in _CURVES}
    drawn = {dim: names for dim, names in groups.items() if names}
    if not drawn:
        raise DataError("no training curves to draw", where="training curves")
    figure = figure or new_figure(4.8 * len(drawn), 2.8)
    axes = figure.subplots(1, len(drawn), squeeze=False)[0]
    for ax, (dim, names) in zip(axes, drawn.items(), strict=True):
        at = descriptors[dim].values if dim in descriptors.coords else np.arange(1, descriptors.sizes[dim] + 1)
        for k, name in enumerate(names):
            colour = CATEGORIES[(6, 5, 4, 2)[k % 4]]
            marker = "o" if len(at) <= 30 else ""
            ax.plot(at, descriptors[name].values, color=colour, label=name, marker=marker, markersize=3, linewidth=1.2)
        ax.set_xlabel(_CURVES[dim], fontsize="small")
        legend_outside(ax)
        ax.tick_params(labelsize="x-small")
    return figure


_CURVES = {"epoch": "epoch", "n_classes": "number of classes"}
"""Dimensions of curves to the words at their axis."""

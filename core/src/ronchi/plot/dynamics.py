"""What a movie does in time: histograms by the frame, class fractions, transitions, times in a class, rings."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.errors import DataError
from ronchi.plot.canvas import CATEGORIES, category_colour, colormap, count_ticks, legend_outside, new_figure
from ronchi.plot.labels import titled

__all__ = [
    "angles_in_time",
    "dwell_curves",
    "fractions_in_time",
    "latents_in_time",
    "rings_in_time",
    "transition_matrix",
]

_MOST_COMPONENTS = 8
_MOST_NUMBERS = 8
"""Matrices of more classes have no room for numbers."""
_RING_COLOURS = {3: 7, 4: 2, 5: 6, 6: 3, 7: 5, 8: 4}
_BAND = 0.25


def latents_in_time(dynamics: xr.Dataset, *, figure: Any = None) -> Any:
    """Draw the distribution of each component against the frame.

    Parameters
    ----------
    dynamics : xarray.Dataset
        ``dynamics/1`` with histograms of the components; of more than eight the first.
    figure : matplotlib Figure or SubFigure, optional

    Returns
    -------
    matplotlib Figure or SubFigure
        One axes a component, on one scale of counts.
    """
    counts = _needed(dynamics, "latent_counts").values
    names = [str(name) for name in dynamics["component"].values][:_MOST_COMPONENTS]
    columns = min(len(names), 4)
    rows = -(-len(names) // columns)
    figure = figure or new_figure(3.0 * columns + 0.8, 2.6 * rows + 0.3)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    most = float(max(1, counts[:, : len(names)].max(initial=1)))
    for number, (ax, name) in enumerate(zip(axes, names, strict=False)):
        shown = _heat(ax, dynamics, counts[:, number], dynamics["latent_edges"].values[number], most)
        ax.set_title(titled(name, str(dynamics["latent_edges"].attrs["units"])), fontsize="small", loc="left")
    for ax in axes[len(names) :]:
        ax.set_axis_off()
    _counts_bar(figure, shown, axes[: len(names)])
    return figure


def angles_in_time(dynamics: xr.Dataset, *, figure: Any = None) -> Any:
    """Draw the distribution of the angle over all frames, and against the frame.

    Parameters
    ----------
    dynamics : xarray.Dataset
        ``dynamics/1`` with a histogram of the angle.
    figure : matplotlib Figure or SubFigure, optional

    Returns
    -------
    matplotlib Figure or SubFigure
        Two axes; the period of the angle is in the title.
    """
    counts = _needed(dynamics, "angle_counts")
    edges = np.rad2deg(dynamics["angle_edges"].values)
    figure = figure or new_figure(7.2, 2.9)
    whole, against = figure.subplots(1, 2, width_ratios=(1, 1.3))
    colours = colormap("twilight")((np.arange(len(edges) - 1) + 0.5) / (len(edges) - 1))
    whole.bar(edges[:-1], counts.values.sum(0), np.diff(edges), align="edge", color=colours)
    whole.plot(edges, np.append(counts.values.sum(0), np.nan), color="0.3", linewidth=0.8, drawstyle="steps-post")
    whole.set(xlim=(edges[0], edges[-1]))
    whole.set_xlabel("angle from x to y [°]", fontsize="small")
    whole.set_ylabel("atoms, all frames", fontsize="small")
    whole.tick_params(labelsize="x-small")
    shown = _heat(against, dynamics, counts.values, edges, float(max(1, counts.values.max(initial=1))))
    against.set_ylabel("angle [°]", fontsize="small")
    _counts_bar(figure, shown, [against])
    n_fold = int(counts.attrs["n_fold"])
    fold = f" ({n_fold}-fold symmetry)" if n_fold > 1 else ""
    figure.suptitle(f"Angle modulo {360 / n_fold:g}°{fold}", fontsize="medium")
    return figure


def _heat(ax: Any, dynamics: xr.Dataset, counts: NDArray[Any], edges: NDArray[Any], most: float) -> Any:
    steps, row = _frame_edges(dynamics)
    # Frames that are not in the data stay empty, and are not stretched over.
    table = np.full((len(steps) - 1, len(edges) - 1), np.nan)
    table[row] = counts
    shown = ax.pcolormesh(steps, edges, table.T, cmap=colormap("viridis"), vmin=0, vmax=most)
    ax.set_xlabel("frame", fontsize="small")
    count_ticks(ax.xaxis)
    ax.tick_params(labelsize="x-small")
    return shown


def _frame_edges(dynamics: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Edges of the frames, as wide as the frames are apart where every k-th of a movie was taken, and where each is."""
    frames = dynamics["frame"].values.astype(np.int64)
    if not len(frames):
        raise DataError("there are no frames to draw", where="dynamics")
    step = max(1, int(np.gcd.reduce(np.diff(frames), initial=0)))
    row = (frames - frames[0]) // step
    edges: NDArray[np.float64] = frames[0] + step * (np.arange(row[-1] + 2) - 0.5)
    return edges, row


def _counts_bar(figure: Any, shown: Any, axes: Any) -> None:
    bar = figure.colorbar(shown, ax=list(axes), fraction=0.03, pad=0.02)
    bar.set_label("atoms", fontsize="small")
    bar.ax.tick_params(labelsize="x-small")


def fractions_in_time(dynamics: xr.Dataset, *, figure: Any = None) -> Any:
    """Draw the part of the atoms in each class against the frame, with its interval as a band.

    Parameters
    ----------
    dynamics : xarray.Dataset
        ``dynamics/1`` with fractions.
    figure : matplotlib Figure or SubFigure, optional

    Returns
    -------
    matplotlib Figure or SubFigure
        One axes; classes have the colours of `class_map`.
    """
    fraction = _needed(dynamics, "fraction")
    figure = figure or new_figure(6.4, 3.0)
    ax = figure.subplots()
    frames = dynamics["frame"].values
    for k, name in enumerate(dynamics["class"].values):
        low, high = (dynamics[f"fraction_{end}"].values[:, k] for end in ("low", "high"))
        _line(ax, frames, fraction.values[:, k], low, high, category_colour(k), f"class {name}")
    ax.set_ylim(bottom=0)
    _finish(ax, "frame", "part of the atoms")
    return figure


def transition_matrix(dynamics: xr.Dataset, *, figure: Any = None) -> Any:
    """Draw the probabilities of transitions from one frame to the next, with intervals and counts as numbers.

    Parameters
    ----------
    dynamics : xarray.Dataset
        ``dynamics/1`` with transitions.
    figure : matplotlib Figure or SubFigure, optional

    Returns
    -------
    matplotlib Figure or SubFigure
        One axes: rows from, columns to.
    """
    share = _needed(dynamics, "transition").values
    low, high, counts = (dynamics[name].values for name in ("transition_low", "transition_high", "transition_counts"))
    n = len(share)
    side = float(np.clip(1.05 * n, 2.4, 7.5))
    # Beside the matrix a bar a twelfth as wide, and the numbers and names of both.
    figure = figure or new_figure(1.08 * side + 1.4, side + 0.5)
    ax = figure.subplots()
    shown = ax.imshow(share, cmap=colormap("Blues"), vmin=0, vmax=1, interpolation="none")
    if n <= _MOST_NUMBERS:
        for (row, column), value in np.ndenumerate(share):
            if np.isfinite(value):
                text = f"{value:.3f}\n{low[row, column]:.3f}–{high[row, column]:.3f}\nn = {counts[row, column]}"
                colour = "white" if value > 0.6 else "black"
                ax.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    ticks = np.arange(n)
    ax.set_xticks(ticks, dynamics["class_to"].values, fontsize="x-small")
    ax.set_yticks(ticks, dynamics["class"].values, fontsize="x-small")
    ax.set_xlabel(str(dynamics["class_to"].attrs.get("long_name", "class a frame later")), fontsize="small")
    ax.set_ylabel("class", fontsize="small")
    bar = figure.colorbar(shown, ax=ax, fraction=0.046, pad=0.03)
    bar.set_label("probability", fontsize="small")
    bar.ax.tick_params(labelsize="x-small")
    return figure


def dwell_curves(dynamics: xr.Dataset, *, figure: Any = None) -> Any:
    """Draw the probability to stay in a class for longer than a time, with its interval as a band.

    Parameters
    ----------
    dynamics : xarray.Dataset
        ``dynamics/1`` with times in a class.
    figure : matplotlib Figure or SubFigure, optional

    Returns
    -------
    matplotlib Figure or SubFigure
        One axes; the legend counts the stays whose end was seen, of all.
    """
    survival = _needed(dynamics, "survival").values
    figure = figure or new_figure(7.0, 3.0)
    ax = figure.subplots()
    dwell = dynamics["dwell"].values
    ended, censored = dynamics["n_ended"].values, dynamics["n_censored"].values
    for k, name in enumerate(dynamics["class"].values):
        if ended[k] + censored[k]:
            label = f"class {name}: {ended[k]} of {ended[k] + censored[k]} ended"
            low, high = (dynamics[f"survival_{end}"].values[k] for end in ("low", "high"))
            _line(ax, dwell, survival[k], low, high, category_colour(k), label, steps=True)
    ax.set_ylim(0, 1.02)
    if not ended.any():
        ax.set_xlim(0, max(1, int(dwell.max(initial=0))))
        ax.text(0.5, 0.5, "no stay ended within the movie", ha="center", va="center", color="0.4")
    _finish(ax, "frames in the class", "probability to stay longer")
    return figure


def rings_in_time(dynamics: xr.Dataset, *, figure: Any = None) -> Any:
    """Draw the numbers of rings against the frame: hexagons beside all others.

    Parameters
    ----------
    dynamics : xarray.Dataset
        ``dynamics/1`` with counts of rings.
    figure : matplotlib Figure or SubFigure, optional

    Returns
    -------
    matplotlib Figure or SubFigure
        Two axes, both from 0.
    """
    counts = _needed(dynamics, "ring_counts")
    figure = figure or new_figure(7.6, 2.9)
    hexagons, others = figure.subplots(1, 2, width_ratios=(1, 1.3))
    frames = dynamics["frame"].values
    marker = "o" if len(frames) <= 30 else ""
    for size, values in zip(dynamics["ring_size"].values.tolist(), counts.values.T, strict=True):
        colour = CATEGORIES[_RING_COLOURS.get(size, 7)] if size != 6 else "0.3"
        if size == 6 or values.any():
            ax = hexagons if size == 6 else others
            ax.plot(frames, values, color=colour, marker=marker, markersize=3, linewidth=1.2, label=str(size))
    if "n_larger" in dynamics and dynamics["n_larger"].values.any():
        values = dynamics["n_larger"].values
        others.plot(frames, values, "--", color="0.5", linewidth=1.2, label="larger")
    for ax, name in ((hexagons, "6-rings"), (others, "other rings")):
        ax.set_ylim(bottom=0)
        count_ticks(ax.yaxis)
        _finish(ax, "frame", name, legend=ax is others)
    return figure


def _line(
    ax: Any, x: NDArray[Any], y: NDArray[Any], low: NDArray[Any], high: NDArray[Any], colour: str, label: str,
    *, steps: bool = False,
) -> None:  # fmt: skip
    step = "post" if steps else None
    ax.fill_between(x, low, high, color=colour, alpha=_BAND, linewidth=0, step=step)
    style = {"drawstyle": "steps-post"} if steps else {"marker": "o" if len(x) <= 30 else "", "markersize": 3}
    ax.plot(x, y, color=colour, linewidth=1.4, label=label, **style)


def _finish(ax: Any, x: str, y: str, *, legend: bool = True) -> None:
    ax.set_xlabel(x, fontsize="small")
    count_ticks(ax.xaxis)
    ax.set_ylabel(y, fontsize="small")
    ax.tick_params(labelsize="x-small")
    if legend and ax.get_legend_handles_labels()[0]:
        legend_outside(ax)


def _needed(dynamics: xr.Dataset, name: str) -> xr.DataArray:
    if name not in dynamics:
        raise DataError(f"no variable {name!r} to draw", where="dynamics")
    return dynamics[name]

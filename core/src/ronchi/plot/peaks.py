"""Bragg peaks: all of them in one picture, and why candidates were kept or rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from ronchi.errors import DataError
from ronchi.plot.canvas import CATEGORIES, OUTLINE, RING, add_colorbar, axes_or_new, draw_image, new_figure
from ronchi.plot.inputs import check_dataset
from ronchi.plot.labels import titled
from ronchi.plot.limits import Scaling, intensity_norm, intensity_ticks
from ronchi.plot.scalebar import add_scale_bar
from ronchi.schema.common import variable

__all__ = ["preview", "vector_histogram", "vector_map"]

_MARKERS = "xs^vD1+*<>"


def vector_histogram(
    peaks: xr.Dataset, bins_per_px: float = 1.0, weight: Literal["count", "intensity"] = "count"
) -> xr.DataArray:
    """Two-dimensional histogram of all scattering vectors.

    Parameters
    ----------
    peaks : xarray.Dataset
        ``peaks/1``.
    bins_per_px : float
        Bins along a pixel of the detector.
    weight : {"count", "intensity"}
        What a peak adds to its bin.

    Returns
    -------
    (qy, qx) DataArray
        On the axes of the patterns, or around the peaks if the size of the patterns is not known.
    """
    check_dataset(peaks, ("qy", "qx", "q_step"), "peaks", "pass peaks: ronchi.detect(data), or a file of them")
    edges, centres = {}, {}
    for axis, dim in enumerate(("qy", "qx")):
        step, origin, size = (float(peaks.attrs[name][axis]) for name in ("q_step", "q_origin_px", "q_shape"))
        values = peaks[dim].values
        if size:
            low, high = -(origin + 0.5) * step, (size - origin - 0.5) * step
        else:
            low, high = (values.min() - step, values.max() + step) if len(values) else (-step, step)
        edges[dim] = np.linspace(low, high, max(1, round((high - low) / step * bins_per_px)) + 1)
        middle = (edges[dim][1:] + edges[dim][:-1]) / 2
        centres[dim] = variable(dim, middle, str(peaks[dim].attrs["units"]), f"scattering vector, {dim[-1]}")
    weights = peaks["intensity"].values if weight == "intensity" else None
    counts, *_ = np.histogram2d(
        peaks["qy"].values, peaks["qx"].values, bins=[edges["qy"], edges["qx"]], weights=weights
    )
    name, units = (
        ("Intensity of the peaks", peaks["intensity"].attrs["units"]) if weight == "intensity" else ("Peaks", "per bin")
    )
    return xr.DataArray(counts, centres, ("qy", "qx"), attrs={"long_name": name, "units": units})


def vector_map(
    peaks: xr.Dataset,
    *,
    lattice: xr.Dataset | None = None,
    ax: Any = None,
    scaling: Scaling = 0.25,
    bins_per_px: float = 1.0,
    weight: Literal["count", "intensity"] = "count",
) -> Any:
    """Draw the Bragg vector map: every peak of every position in one histogram.

    Parameters
    ----------
    peaks : xarray.Dataset
        ``peaks/1``.
    lattice : xarray.Dataset, optional
        ``lattice/1``; its median basis is drawn as arrows from the median origin.
    ax : matplotlib.axes.Axes, optional
    scaling : float or "log"
    bins_per_px, weight
        As in `vector_histogram`.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = axes_or_new(ax, 5.6, 5.2)
    histogram = vector_histogram(peaks, bins_per_px, weight)
    norm, scaling_name = intensity_norm(histogram.values, scaling)
    shown = draw_image(ax, histogram, cmap="inferno", norm=norm)
    add_scale_bar(ax, str(histogram["qx"].attrs["units"]))
    title = f"{histogram.attrs['long_name']} [{histogram.attrs['units']}]"
    ax.set_title(f"{title}, {scaling_name}".rstrip(", "), fontsize="medium", loc="left")
    add_colorbar(shown, ax, ticks=intensity_ticks(norm, histogram.values))
    if lattice is not None:
        _draw_basis(ax, lattice)
    return ax


def _draw_basis(ax: Any, lattice: xr.Dataset) -> None:
    origin, *basis = (_median_vector(lattice[name]) for name in ("origin", "g1", "g2"))
    halo = [withStroke(linewidth=3, foreground=OUTLINE)]
    for number, (vector, colour) in enumerate(zip(basis, ("#56B4E9", "#F0E442"), strict=True), 1):
        if not np.isfinite([*origin, *vector]).all():
            continue
        tip = origin + vector
        for style in ({"color": OUTLINE, "linewidth": 3.4}, {"color": colour, "linewidth": 1.6}):
            arrow = {"arrowstyle": "->,head_width=0.3,head_length=0.5", "shrinkA": 0, "shrinkB": 0, **style}
            ax.annotate("", tip[::-1], origin[::-1], arrowprops=arrow)
        direction = vector / np.hypot(*vector)
        ax.annotate(
            f"$g_{number}$", tip[::-1], xytext=(11 * direction[1], -11 * direction[0]), textcoords="offset points",
            ha="center", va="center", color=colour, fontsize="large", path_effects=halo,
        )  # fmt: skip


def _median_vector(vectors: xr.DataArray) -> NDArray[np.float64]:
    flat = vectors.values.reshape(-1, 2)
    flat = flat[np.isfinite(flat).all(1)]
    return np.median(flat, axis=0) if len(flat) else np.full(2, np.nan)


def preview(
    frames: NDArray[Any],
    candidates: Mapping[str, Any],
    reason_names: Sequence[str] | None = None,
    *,
    labels: Sequence[str] | None = None,
    axes: xr.Dataset | None = None,
    hide: Sequence[str] = ("weak",),
    figure: Any = None,
    scaling: Scaling = 0.25,
    n_columns: int | None = None,
) -> Any:
    """Draw what a disk detector saw: accepted candidates as rings, rejected ones by reason.

    Parameters
    ----------
    frames : (n, qy, qx) array
    candidates : mapping
        From a detector's ``explain(frames)``: ``counts`` (n,), and flat ``qy_px``, ``qx_px`` and
        ``reason``, the index of the verdict in ``reason_names``; 0 is accepted.
    reason_names : sequence of str, optional
        ``candidates["reasons"]`` by default.
    labels : sequence of str, optional
        One for each frame.
    axes : xarray.Dataset, optional
        Anything with the coordinates ``qy`` and ``qx`` of the frames, for a scale bar in their unit; pixels without.
    hide : sequence of str
        Reasons that are counted and not drawn; ``weak`` are those that nobody takes for disks.
    figure : matplotlib Figure or SubFigure, optional
    scaling : float or "log"
    n_columns : int, optional

    Returns
    -------
    matplotlib Figure or SubFigure
        Its legend counts every candidate once.

    Raises
    ------
    DataError
        ``candidates`` does not belong to ``frames``.
    """
    counts = np.asarray(candidates["counts"])
    if len(counts) != len(frames) or counts.sum() != len(candidates["reason"]):
        raise DataError(
            f"{len(frames)} frames, but candidates of {len(counts)}; they add up to {counts.sum()}, "
            f"and {len(candidates['reason'])} are listed",
            where="candidates",
            fix="pass what `explain` returned for these very frames",
        )
    reasons = tuple(candidates["reasons"] if reason_names is None else reason_names)
    columns = n_columns or (2 if len(frames) in (2, 4) else min(3, len(frames)))
    rows = -(-len(frames) // columns)
    figure = figure or new_figure(3.0 * columns + 0.2, 3.2 * rows + 0.8)
    norm, scaling_name = intensity_norm(np.asarray(frames, float), scaling)
    edges = np.concatenate([[0], np.cumsum(counts)])
    coords = {
        dim: variable(dim, np.arange(n), "pixel", dim) if axes is None else axes[dim].variable
        for dim, n in zip(("qy", "qx"), frames.shape[1:], strict=True)
    }
    hidden = [code for code, reason in enumerate(reasons) if reason in hide]
    for number, frame in enumerate(frames):
        ax = figure.add_subplot(rows, columns, number + 1)
        draw_image(ax, xr.DataArray(frame, coords, ("qy", "qx")), cmap="gray", norm=norm)
        own = slice(edges[number], edges[number + 1])
        y, x = (
            np.interp(np.asarray(candidates[f"{dim}_px"])[own], np.arange(coords[dim].size), coords[dim].values)
            for dim in ("qy", "qx")
        )
        verdicts = np.asarray(candidates["reason"])[own]
        shown = ~np.isin(verdicts, hidden)
        _draw_verdicts(ax, y[shown], x[shown], verdicts[shown])
        name = f"frame {number}" if labels is None else labels[number]
        kept = int((np.asarray(candidates["reason"])[own] == 0).sum())
        ax.set_title(f"{name}: {kept} of {counts[number]} kept", fontsize="small", loc="left")
        if number == 0:
            add_scale_bar(ax, str(coords["qx"].attrs["units"]))
    tally = np.bincount(np.asarray(candidates["reason"], int), minlength=len(reasons))
    entries = [
        (_handle(code), f"{reasons[code]} {n}" + (", not drawn" if code in hidden else ""))
        for code, n in enumerate(tally)
        if n or code == 0
    ]
    figure.suptitle(titled(f"{tally.sum()} candidates", "1", scaling_name), fontsize="medium")
    figure.legend(
        *zip(*entries, strict=True),
        loc="outside lower center",
        ncols=min(len(entries), 2 * columns),
        fontsize="medium",
        markerscale=1.5,
        handletextpad=0.1,
        facecolor="0.1",
        framealpha=1,
        labelcolor="white",
    )
    return figure


def _style(code: int) -> dict[str, Any]:
    if code == 0:
        return RING
    marker = _MARKERS[(code - 1) % len(_MARKERS)]
    colour = CATEGORIES[1 + (code - 1) % (len(CATEGORIES) - 1)]
    return {"marker": marker, "fillstyle": "none", "markersize": 4, "markeredgewidth": 0.9, "color": colour}


def _handle(code: int) -> Any:
    return Line2D([], [], linestyle="none", **_style(code))


def _draw_verdicts(ax: Any, y: NDArray[Any], x: NDArray[Any], reason: NDArray[Any]) -> None:
    for code in np.unique(reason):
        of_code = reason == code
        ax.plot(x[of_code], y[of_code], linestyle="none", zorder=3 if code == 0 else 2, **_style(int(code)))

"""Atoms of a movie on its frames, and what their tracks say of the sheet."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.errors import DataError
from ronchi.plot.canvas import CATEGORIES, colormap, count_ticks, legend_outside, new_figure
from ronchi.plot.labels import titled
from ronchi.plot.limits import robust_limits
from ronchi.plot.scalebar import add_scale_bar

__all__ = ["atom_frames", "atom_rings", "track_summary"]

_MOST_FRAMES = 6
_SPECIES_COLOURS = (0, 5, 3, 4, 2, 6, 1)
_GROUND = "0.15"
_DOT, _RING = 1.2e4, 2.8e4
"""Areas of all dots and of all rings of a frame in square points: half as wide and as wide as atoms are apart."""
_LEGEND = 7.0
"""Width of a dot or ring in the legend, in points."""
_RINGS = (("hexagons only", "0.55"), ("pentagon", CATEGORIES[6]), ("heptagon", CATEGORIES[5]),
          ("pentagon and heptagon", CATEGORIES[2]), ("another ring", CATEGORIES[4]),
          ("no whole ring", "0.8"))  # fmt: skip


def atom_frames(
    atoms: xr.Dataset, images: xr.Dataset | None = None, *, n: int = _MOST_FRAMES, figure: Any = None
) -> Any:
    """Draw the atoms on evenly spread frames, coloured by species.

    Parameters
    ----------
    atoms : xarray.Dataset
        ``atoms/1``.
    images : xarray.Dataset, optional
        ``images/1`` that they were found in; only the frames that are drawn are read. Left out where atoms are in
        angstrom and images in pixels: nothing tells where one lies on the other.
    n : int
        At most so many frames.
    figure : matplotlib Figure or SubFigure, optional

    Returns
    -------
    matplotlib Figure or SubFigure
        One axes a frame, titled with its number and that of the atoms.
    """
    species = atoms["species"].values
    names = str(atoms.attrs.get("species_meanings", "")).split()
    kinds = np.unique(species).tolist()
    groups = [
        (
            names[kind] if 0 <= kind < len(names) else f"species {kind}",
            CATEGORIES[_SPECIES_COLOURS[kind % len(_SPECIES_COLOURS)]],
            np.asarray(species == kind),
        )
        for kind in kinds
    ]
    return _frames_with_groups(atoms, images, groups, n, figure)


def atom_rings(atoms: xr.Dataset, *, n: int = 4, figure: Any = None) -> Any:
    """Draw the atoms on evenly spread frames, coloured by the rings that they are on.

    Parameters
    ----------
    atoms : xarray.Dataset
        ``atoms/1`` with ``rings`` (atom, ring_size).
    n : int
        At most so many frames.
    figure : matplotlib Figure or SubFigure, optional

    Returns
    -------
    matplotlib Figure or SubFigure
        One axes a frame; chains of pentagons and heptagons show boundaries of grains.
    """
    if "rings" not in atoms:
        raise DataError("no variable 'rings' to draw", where="atoms")
    rings = atoms["rings"]
    on = {int(size): rings.values[:, k] > 0 for k, size in enumerate(atoms["ring_size"].values)}
    none = np.zeros(atoms.sizes["atom"], bool)
    six, five, seven = (on.pop(size, none) for size in (6, 5, 7))
    other = np.any([none, *on.values()], axis=0) & ~five & ~seven
    chosen = (
        six & ~five & ~seven & ~other, five & ~seven, seven & ~five, five & seven, other,
        ~(six | five | seven | other),
    )  # fmt: skip
    groups = [
        (name, colour, np.asarray(mine)) for (name, colour), mine in zip(_RINGS, chosen, strict=True) if mine.any()
    ]
    return _frames_with_groups(atoms, None, groups, n, figure)


def _frames_with_groups(
    atoms: xr.Dataset,
    images: xr.Dataset | None,
    groups: list[tuple[str, str, NDArray[np.bool_]]],
    n: int,
    figure: Any,
) -> Any:
    frame = atoms["frame"].values
    numbers = np.unique(frame)
    if not len(numbers):
        raise DataError("there are no atoms to draw", where="atoms")
    shown = numbers[np.unique(np.linspace(0, len(numbers) - 1, min(n, len(numbers))).astype(int))]
    columns = min(3, len(shown)) if len(shown) != 4 else 2
    rows = -(-len(shown) // columns)
    figure = figure or new_figure(3.3 * columns, 3.4 * rows + 0.4)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    y, x = atoms["y"].values, atoms["x"].values
    per_frame = max(1, len(y) / len(numbers))
    size = float(np.clip(_DOT / per_frame, 1.0, 25.0))
    for ax, number in zip(axes, shown, strict=False):
        here = frame == number
        style: dict[str, Any] = {"linewidths": 0}
        if _draw_frame(ax, images, int(number), in_px=atoms["x"].attrs.get("units", "pixel") == "pixel"):
            # Rings, so that the atoms themselves are to be seen; about as wide as atoms are apart.
            size = float(np.clip(_RING / per_frame, 4.0, 80.0))
            style = {"facecolors": "none", "linewidths": float(np.clip(0.12 * size**0.5, 0.4, 1.0))}
        for name, colour, mine in groups:
            ax.scatter(x[here & mine], y[here & mine], s=size, label=name, **{"color": colour, **style})
        ax.set(aspect="equal", xticks=[], yticks=[])
        ax.set_title(f"frame {number}: {int(here.sum())} atoms", fontsize="small", loc="left")
    for ax in axes[len(shown) :]:
        ax.set_axis_off()
    if not axes[0].yaxis_inverted():
        axes[0].invert_yaxis()
    add_scale_bar(axes[0], str(atoms["x"].attrs.get("units", "pixel")))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=5, fontsize="small", frameon=False,
        markerscale=_LEGEND / size**0.5,
    )  # fmt: skip
    return figure


def _draw_frame(ax: Any, images: xr.Dataset | None, number: int, *, in_px: bool) -> bool:
    """Draw the image of a frame, if there is one that the atoms lie on; says whether."""
    ax.set_facecolor(_GROUND)
    if images is None or number not in images["frame"].values:
        return False
    if not in_px and images["x"].attrs.get("units", "pixel") == "pixel":
        return False
    image = images["intensity"].sel(frame=number)
    low, high = robust_limits(values := np.asarray(image.values, float), tail_percent=0.5)
    # Atoms in px of images that are not calibrated lie where these say; of calibrated ones they count from the corner.
    counted = in_px and images["x"].attrs.get("units", "pixel") != "pixel"
    y, x = (_along(images, dim, counted) for dim in ("y", "x"))
    half_y, half_x = (float(axis[1] - axis[0]) / 2 if len(axis) > 1 else 0.5 for axis in (y, x))
    extent = (x[0] - half_x, x[-1] + half_x, y[-1] + half_y, y[0] - half_y)
    ax.imshow(values, cmap=colormap("gray"), vmin=low, vmax=high, extent=extent, interpolation="none")
    return True


def _along(images: xr.Dataset, dim: str, counted: bool) -> NDArray[np.float64]:
    values = np.arange(images.sizes[dim]) if counted or dim not in images.coords else images[dim].values
    return np.asarray(values, np.float64)


def track_summary(atoms: xr.Dataset, *, figure: Any = None) -> Any:
    """Draw how the sheet moves, how many atoms there are, and how long they are followed.

    Parameters
    ----------
    atoms : xarray.Dataset
        ``atoms/1`` with ``track``; with ``drift_y`` and ``drift_x`` along ``movie_frame`` the drift is drawn.
    figure : matplotlib Figure or SubFigure, optional

    Returns
    -------
    matplotlib Figure or SubFigure
        Two or three axes.

    Raises
    ------
    DataError
        There are no tracks.
    """
    if "track" not in atoms:
        raise DataError("no variable 'track' to draw", where="atoms")
    moving = {"drift_y", "drift_x", "movie_frame"} <= set(atoms.variables)
    figure = figure or new_figure(3.3 * (2 + moving), 2.7)
    *first, counts, lengths = figure.subplots(1, 2 + moving)
    if moving:
        _draw_drift(first[0], atoms)
    track, frame = atoms["track"].values, atoms["frame"].values
    followed = track >= 0
    numbers, n_atoms = np.unique(frame, return_counts=True)
    counts.plot(numbers, n_atoms, color="0.3", linewidth=1.4, label="atoms")
    order = np.lexsort((frame[followed], track[followed]))
    ids, starts, length = np.unique(track[followed][order], return_index=True, return_counts=True)
    if len(ids):
        begins = frame[followed][order][starts]
        lost = frame[followed][order][starts + length - 1]
        for name, when, colour in (("new", begins[begins > numbers[0]], 4), ("lost", lost[lost < numbers[-1]] + 1, 5)):
            at, how_many = np.unique(when, return_counts=True)
            counts.plot(at, how_many, "o", markersize=3, color=CATEGORIES[colour], label=name)
        lengths.hist(length, np.arange(1, length.max() + 2) - 0.5, color="0.4")
        lengths.set_yscale("log")
    counts.set_ylim(bottom=0)
    for ax, x, y in ((counts, "frame", "atoms"), (lengths, "atoms of a track", "tracks")):
        ax.set_xlabel(x, fontsize="small")
        ax.set_ylabel(y, fontsize="small")
        count_ticks(ax.xaxis)
        ax.tick_params(labelsize="x-small")
    legend_outside(counts, above=True)
    return figure


def _draw_drift(ax: Any, atoms: xr.Dataset) -> None:
    frames = atoms["movie_frame"].values
    for name, colour in (("y", 5), ("x", 6)):
        ax.plot(
            frames, atoms[f"drift_{name}"].values, color=CATEGORIES[colour], linewidth=1.4, label=f"drift along {name}"
        )
    ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    ax.set_xlabel("frame", fontsize="small")
    count_ticks(ax.xaxis)
    ax.set_ylabel(titled("drift", str(atoms["drift_y"].attrs.get("units", "pixel"))), fontsize="small")
    ax.tick_params(labelsize="x-small")
    legend_outside(ax, above=True)

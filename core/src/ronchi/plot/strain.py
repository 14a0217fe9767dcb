"""Strain maps with their frame and sign convention, and how far they are to be trusted."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from ronchi.errors import DataError
from ronchi.plot.canvas import WIDE_RATIO, beyond, box_ratio, draw_image, new_figure, panels, round_ticks, show_axes
from ronchi.plot.images import add_scan_scale_bar, scan_image
from ronchi.plot.inputs import check_dataset
from ronchi.plot.labels import titled
from ronchi.plot.limits import symmetric_limit
from ronchi.schema.strain import COMPONENTS

__all__ = [
    "DISPLAY",
    "STRAINS",
    "check_strain",
    "displayed",
    "reference_mask",
    "strain_histograms",
    "strain_maps",
    "strain_quality",
]

DISPLAY: dict[str, tuple[str, str, float]] = {
    "e_xx": (r"$\varepsilon_{xx}$", "%", 100.0),
    "e_yy": (r"$\varepsilon_{yy}$", "%", 100.0),
    "e_xy": (r"$\varepsilon_{xy}$", "%", 100.0),
    "theta": (r"$\theta$", "deg", 180 / np.pi),
}
"""Component to its symbol, the unit that it is shown in, and the factor from the stored unit."""

STRAINS = COMPONENTS[:3]
_CMAPS = {**dict.fromkeys(STRAINS, "RdBu_r"), "theta": "PuOr_r"}
_FOOT_IN = 0.6

Reference = Mapping[str, Sequence[float]]
"""Ranges: ``scan_y``, ``scan_x`` in coordinates, both ends included; ``rows``, ``columns`` as start and stop."""


def check_strain(strain: Any, *more: str) -> None:
    """Raise a `DataError` for what is no ``strain/1``, or lacks one of the variables."""
    fix = "pass the result of a strain solver: ronchi.strain(peaks), or a file of it by ronchi.read"
    check_dataset(strain, ("scan_y", "scan_x", *COMPONENTS, *more), "strain", fix)


def displayed(strain: xr.Dataset, name: str) -> NDArray[np.float64]:
    """Values of a component, or of its error ``se_…``, in the unit that it is shown in: percent or degrees."""
    return np.asarray(strain[name].values, np.float64) * DISPLAY[name.removeprefix("se_")][2]


def reference_mask(strain: xr.Dataset, reference: Reference) -> NDArray[np.bool_]:
    """(scan_y, scan_x) positions within all of the ranges, e.g. ``{"scan_x": (190, 240)}`` or ``{"rows": (0, 4)}``.

    Raises
    ------
    DataError
        A range has another name than ``scan_y``, ``scan_x``, ``rows`` and ``columns``.
    """
    inside = np.ones(strain["e_xx"].shape, bool)
    for name, (low, high) in reference.items():
        if name in ("scan_y", "scan_x"):
            within = (strain[name].values >= low) & (strain[name].values <= high)
        elif name in ("rows", "columns"):
            index = np.arange(inside.shape[name == "columns"])
            within = (index >= low) & (index < high)
        else:
            raise DataError(f"unknown range {name!r}", where="reference", fix="use scan_y, scan_x, rows or columns")
        inside &= within[:, None] if name in ("scan_y", "rows") else within
    return inside


def strain_maps(
    strain: xr.Dataset,
    *,
    figure: Any = None,
    reference: Reference | None = None,
    strain_limit_percent: float | None = None,
    theta_limit_deg: float | None = None,
) -> Any:
    """Draw the four components of strain: one scale for the three strains, one for the rotation.

    Parameters
    ----------
    strain : xarray.Dataset
        ``strain/1``; NaN is drawn in grey. Truth is accepted too.
    figure : matplotlib Figure or SubFigure, optional
    reference : mapping, optional
        Region that the strain is relative to, as in `reference_mask`; outlined.
    strain_limit_percent, theta_limit_deg : float, optional
        Half-ranges of the two scales, symmetric about 0; by default they hold 99 % of the values.

    Returns
    -------
    matplotlib Figure or SubFigure
    """
    check_strain(strain)
    ratio = box_ratio(strain["scan_y"], strain["scan_x"])
    wide = ratio >= WIDE_RATIO
    if figure is None:
        size = (8.0, 4 * (6.7 / ratio + 0.28) + 0.5) if wide else (10.0, min(2.3 / ratio, 5.0) + 1.3)
        figure = new_figure(size[0], size[1] + _FOOT_IN)
    height_in = figure.bbox.height / figure.get_figure(root=True).dpi
    maps, foot = figure.subfigures(2, 1, height_ratios=(max(height_in - _FOOT_IN, _FOOT_IN), _FOOT_IN))
    axes = maps.subplots(*((4, 1) if wide else (1, 4)))
    half = strain_limit_percent or symmetric_limit(*(displayed(strain, name) for name in STRAINS))
    limits = {**dict.fromkeys(STRAINS, half), "theta": theta_limit_deg or symmetric_limit(displayed(strain, "theta"))}
    shown = {}
    for ax, name in zip(axes, COMPONENTS, strict=True):
        norm = Normalize(-limits[name], limits[name])
        shown[name] = draw_image(ax, strain[name], cmap=_CMAPS[name], norm=norm, values=displayed(strain, name))
        ax.set_title(titled(*DISPLAY[name][:2]), fontsize="medium", loc="left", pad=3)
        if reference:
            _outline(ax, shown[name].get_extent(), reference_mask(strain, reference))
        if wide and ax is not axes[-1]:
            ax.set_xlabel("")
        show_axes(ax, strain[name], y=wide or ax is axes[0], x=not wide or ax is axes[-1])
    add_scan_scale_bar(axes[0], strain["e_xx"])
    side: dict[str, Any] = (
        {"location": "right", "pad": 0.01} if wide else {"location": "bottom", "pad": 0.02, "shrink": 0.9}
    )
    for group, label in ((axes[:3], "strain [%]"), (axes[3:], "rotation [°]")):
        name = "e_xx" if len(group) == 3 else "theta"
        long_side = (3 if name == "e_xx" else 1) * (7.0 / ratio if wide else 2.3)
        ends = beyond(*(shown[key] for key in (STRAINS if name == "e_xx" else ("theta",))))
        bar = maps.colorbar(shown[name], ax=list(group), aspect=long_side / 0.11, fraction=0.05, extend=ends, **side)
        bar.set_label(label, fontsize="small")
        bar.ax.tick_params(labelsize="x-small")
    _describe_frame(foot, strain, outlined=bool(reference))
    return figure


def _outline(ax: Any, extent: Sequence[float], mask: NDArray[np.bool_]) -> None:
    """Draw the edges of the pixels where a mask begins and ends."""
    left, right, bottom, top = extent
    padded = np.pad(mask, 1)
    rows, columns = mask.shape
    x, y = np.linspace(left, right, columns + 1), np.linspace(top, bottom, rows + 1)
    level = [((x[j], y[i]), (x[j + 1], y[i])) for i, j in np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])]
    upright = [((x[j], y[i]), (x[j], y[i + 1])) for i, j in np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])]
    ax.add_collection(
        LineCollection([*level, *upright], colors="black", linewidths=1.4, gid="reference"), autolim=False
    )


def _describe_frame(foot: Any, strain: xr.Dataset, *, outlined: bool) -> None:
    """Glyph of the axes, and in words the frame, the signs and the reference."""
    glyph, words = foot.subplots(1, 2, width_ratios=(1, 14))
    glyph.set(xlim=(-0.5, 1.9), ylim=(1.7, -0.6), aspect="equal")
    for tip, name in (((1, 0), "x"), ((0, 1), "y")):
        glyph.annotate("", tip, (0, 0), arrowprops={"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "color": "black"})
        glyph.text(1.35 * tip[0], 1.45 * tip[1], name, ha="center", va="center", fontsize="small")
    frame = str(strain.attrs.get("frame", ""))
    named = f"{frame.capitalize()} frame" if frame else "Frame not stated"
    if frame == "detector":
        named += " (the rotation between scan and detector is not known)"
    outline = " (outlined)" if outlined else ""
    lines = [
        f"{named}. Relative to: {strain.attrs.get('reference', 'not stated')}{outline}. Grey: no fit.",
        f"Convention: {strain.attrs.get('sign_convention', 'not stated')}.",
    ]
    width = int(17 * foot.bbox.width / foot.get_figure(root=True).dpi)
    wrapped = "\n".join(textwrap.fill(line.replace("$", r"\$"), width) for line in lines)
    words.text(0, 0.5, wrapped, va="center", fontsize="x-small", linespacing=1.3, transform=words.transAxes)
    for ax in (glyph, words):
        ax.set_axis_off()


def strain_histograms(strain: xr.Dataset, *, figure: Any = None, bins: int = 48) -> Any:
    """Draw the distribution of each component over the fitted positions.

    Parameters
    ----------
    strain : xarray.Dataset
        ``strain/1``.
    figure : matplotlib Figure or SubFigure, optional
    bins : int
        Over a range that holds 99 % of the values; those beyond are counted in the last bins.

    Returns
    -------
    matplotlib Figure or SubFigure
    """
    check_strain(strain)
    figure = figure or new_figure(10.0, 2.3)
    axes = figure.subplots(1, 4)
    for ax, name in zip(axes, COMPONENTS, strict=True):
        values = displayed(strain, name)
        values = values[np.isfinite(values)]
        limit = symmetric_limit(values)
        ax.hist(np.clip(values, -limit, limit), bins=np.linspace(-limit, limit, bins + 1), color="0.35")
        ax.axvline(0, color="0.6", linewidth=0.8, zorder=0)
        symbol, unit, _ = DISPLAY[name]
        ax.set_title(titled(symbol, unit), fontsize="medium", loc="left")
        if len(values):
            middle = float(np.median(values))
            spread = 1.4826 * float(np.median(np.abs(values - middle)))
            ax.axvline(middle, color="#D55E00", linewidth=1.2)
            ax.set_xlabel(f"median {middle:+.2g}, robust s.d. {spread:.2g}", fontsize="small")
        else:
            ax.set_xlabel("no position was fitted", fontsize="small")
        ax.xaxis.set_major_locator(round_ticks(4))
        ax.tick_params(labelsize="x-small")
    axes[0].set_ylabel("positions", fontsize="small")
    return figure


def strain_quality(strain: xr.Dataset, *, lattice: xr.Dataset | None = None, figure: Any = None) -> Any:
    """Draw where a strain map is to be trusted: residual, peaks used, standard error, and chi-squared.

    Parameters
    ----------
    strain : xarray.Dataset
        ``strain/1``.
    lattice : xarray.Dataset, optional
        ``lattice/1`` of the same scan, for its chi-squared.
    figure : matplotlib Figure or SubFigure, optional

    Returns
    -------
    matplotlib Figure or SubFigure
    """
    check_strain(strain, "se_e_xx", "residual", "n_used")
    error = strain["se_e_xx"].copy(data=displayed(strain, "se_e_xx"))
    error.attrs = {"units": "%"}
    shown = {"Residual": strain["residual"], "Peaks used": strain["n_used"]}
    shown[r"Standard error of $\varepsilon_{xx}$"] = error
    if lattice is not None:
        shown[r"Reduced $\chi^2$"] = lattice["chi2"]
    figure, axes = panels(len(shown), box_ratio(strain["scan_y"], strain["scan_x"]), figure)
    for ax, (title, image) in zip(axes, shown.items(), strict=True):
        scan_image(image, ax=ax, title=title)
    return figure

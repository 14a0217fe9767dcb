"""Strain along a line of the scan, with its uncertainty and the truth where it is known."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.errors import DataError
from ronchi.plot.canvas import new_figure, round_ticks
from ronchi.plot.labels import titled
from ronchi.plot.strain import DISPLAY, check_strain, displayed
from ronchi.schema.strain import COMPONENTS

__all__ = ["average_profile", "strain_profiles"]

Along = Literal["scan_x", "scan_y"]
_BAND = "#0072B2"
_TRUTH = "#D55E00"
_MOST_LINES = 8


def average_profile(
    values: NDArray[np.float64], errors: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean over lines and its standard error.

    Parameters
    ----------
    values, errors : (line, position) float
        A quantity and its standard errors; a value that is NaN takes no part.

    Returns
    -------
    mean, error : (position,) float
        NaN where no line has a value; the errors of the lines are taken as independent.
    """
    good = np.isfinite(values)
    n = good.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(good, values, 0).sum(0) / n
        error = np.sqrt(np.where(good, errors**2, 0).sum(0)) / n
    return np.where(n, mean, np.nan), np.where(n, error, np.nan)


def strain_profiles(
    strain: xr.Dataset,
    *,
    truth: xr.Dataset | None = None,
    along: Along | None = None,
    lines: slice | None = None,
    figure: Any = None,
) -> Any:
    """Draw the components along the scan: mean over a few lines with a band of one standard error.

    Each component has a scale of its own, which the numbers at its axis give.

    Parameters
    ----------
    strain : xarray.Dataset
        ``strain/1``.
    truth : xarray.Dataset, optional
        ``strain/1`` on the same scan; its ``e_xx_probe`` (and so on), the strain
        averaged over the probe, is drawn too where it has one.
    along : {"scan_x", "scan_y"}, optional
        The axis with more positions by default.
    lines : slice, optional
        Index range across the profile; all of up to eight lines, else the middle five.
    figure : matplotlib Figure or SubFigure, optional

    Returns
    -------
    matplotlib Figure or SubFigure
    """
    check_strain(strain, *(f"se_{name}" for name in COMPONENTS))
    if along not in (None, "scan_x", "scan_y"):
        raise DataError(f"{along!r} is no axis of the scan", where="along", fix="scan_x or scan_y")
    along = along or ("scan_x" if strain.sizes["scan_x"] >= strain.sizes["scan_y"] else "scan_y")
    across = "scan_y" if along == "scan_x" else "scan_x"
    total = strain.sizes[across]
    chosen = lines or (slice(0, total) if total <= _MOST_LINES else slice(total // 2 - 2, total // 2 + 3))
    cut = strain.isel({across: chosen}).transpose(across, along, ...)
    units = str(strain[along].attrs.get("units", "pixel"))
    position = np.asarray(strain[along].values, float)

    figure = figure or new_figure(8.0, 6.4)
    axes = figure.subplots(4, 1, sharex=True)
    for ax, name in zip(axes, COMPONENTS, strict=True):
        mean, error = average_profile(displayed(cut, name), displayed(cut, f"se_{name}"))
        ax.axhline(0, color="0.75", linewidth=0.8)
        ax.fill_between(
            position, mean - error, mean + error, color=_BAND, alpha=0.3, linewidth=0, label="± 1 standard error"
        )
        ax.plot(position, mean, ".-", color=_BAND, markersize=4, linewidth=1, label="measured")
        if truth is not None:
            fitted = np.isfinite(cut[name].values)
            _draw_truth(ax, truth.isel({across: chosen}).transpose(across, along, ...), name, position, fitted)
        ax.set_title(titled(*DISPLAY[name][:2]), fontsize="medium", loc="left", pad=3)
        ax.tick_params(labelsize="small")
        ax.margins(x=0.01)
        ax.yaxis.set_major_locator(round_ticks(4))
    axes[-1].set_xlabel(titled(along, units))
    first, last, _ = chosen.indices(total)
    name = "row" if across == "scan_y" else "column"
    which = f"{name} {first}" if last - first == 1 else f"mean of {name}s {first} to {last - 1}"
    axes[0].set_title(f"{which}, of {total}", fontsize="small", loc="right", pad=3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize="small", frameon=False)
    return figure


def _draw_truth(
    ax: Any, truth: xr.Dataset, name: str, position: NDArray[np.float64], fitted: NDArray[np.bool_]
) -> None:
    """Mean over the positions (across, along) that are fitted, as that of the measured strain is."""
    style: dict[str, Any] = {"color": _TRUTH, "zorder": 1.5, "drawstyle": "steps-mid"}
    label = "truth" if truth.attrs.get("is_truth") else "compared with"
    ax.plot(position, _mean_where(fitted, displayed(truth, name)), "-", linewidth=1.4, label=label, **style)
    if f"{name}_probe" in truth:
        values = _mean_where(fitted, truth[f"{name}_probe"].values * DISPLAY[name][2])
        ax.plot(position, values, ":", linewidth=1.4, label="truth averaged over the probe", color="0.2", zorder=1.6)


def _mean_where(fitted: NDArray[np.bool_], values: NDArray[np.float64]) -> NDArray[np.float64]:
    kept = fitted & np.isfinite(values)
    number = kept.sum(0)
    return np.where(number > 0, np.where(kept, values, 0.0).sum(0) / np.maximum(number, 1), np.nan)

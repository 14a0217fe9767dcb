"""Figures of a benchmark: against a factor, against time, and pair by pair."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from ronchi.benchmark.stats import Difference, Summary
from ronchi.plot.canvas import CATEGORIES, new_figure

__all__ = ["draw_against", "draw_costs", "draw_forest"]

_MARKERS = "osD^vP*X"
_COLOURS = [CATEGORIES[number] for number in (6, 5, 4, 1, 2, 0, 7)]
"""Those next to each other differ most; yellow is left out, it cannot be seen on white."""
_LOG_RANGE, _LOG_RANGE_X = 20.0, 3.0
"""Values that span more are drawn on a logarithmic axis; doses and times sooner than what is measured."""
_MOST_COLUMNS = 3
_BESIDE = 0.012
"""Part of the axis that lies between two entries at one place."""


def draw_against(
    summaries: Sequence[Summary], figures: Sequence[str], factor: str, entries: Sequence[str], better: Mapping[str, str]
) -> Any:
    """Median with interval against a numeric factor, a line an entry, a panel a figure.

    Parameters
    ----------
    summaries : sequence of Summary
        By entry and factor, in this order; by the factor alone where nothing is compared.
    figures : sequence of str
    factor : str
    entries : sequence of str
        In the order in which they have their colours; ``""`` alone where nothing is compared.
    better : mapping of str to str
        Figure to ``"lower"``, ``"higher"`` or ``""``; what is better the higher it is has no logarithmic axis.
    """
    figure, panels = _panels(figures)
    levels = sorted({_level(each) for each in summaries})
    for name, ax in zip(figures, panels, strict=False):
        for number, entry in enumerate(entries):
            own = [each for each in summaries if each.figure == name and _entry(each) == entry]
            own = sorted((each for each in own if math.isfinite(each.median)), key=_level)
            beside = dict(zip(levels, _beside(levels, number, len(entries)), strict=True))
            x, y = np.array([beside[_level(each)] for each in own]), np.array([each.median for each in own])
            ax.errorbar(x, y, _bars(own), label=entry or None, capsize=2.5, lw=1.4, ms=5, **_look(number))
        _scale(ax, "x", levels)
        if better.get(name) != "higher":
            _scale(ax, "y", [each.median for each in summaries if each.figure == name])
        ax.set(xlabel=factor, ylabel=name)
    _legend(figure, panels, entries)
    return figure


def draw_costs(
    summaries: Sequence[Summary],
    figures: Sequence[str],
    cost: str,
    unit: str,
    entries: Sequence[str],
    better: Mapping[str, str],
) -> Any:
    """Median of a figure against that of a cost, with intervals of both, a panel a figure.

    Parameters
    ----------
    summaries : sequence of Summary
        By entry.
    cost, unit : str
        Figure of the horizontal axis, and its unit.
    entries, better
        As for `draw_against`.
    """
    figure, panels = _panels(figures)
    at = {(each.factors[0], each.figure): each for each in summaries}
    for name, ax in zip(figures, panels, strict=False):
        for number, entry in enumerate(entries):
            accuracy, spent = at.get((entry, name)), at.get((entry, cost))
            if accuracy is None or spent is None:
                continue
            ax.errorbar(
                [spent.median], [accuracy.median], _bars([accuracy]), _bars([spent]),
                label=entry, capsize=2.5, lw=1.4, ms=7, **(_look(number) | {"ls": "none"}),
            )  # fmt: skip
        _scale(ax, "x", [each.median for each in summaries if each.figure == cost])
        if better.get(name) != "higher":
            _scale(ax, "y", [each.median for each in summaries if each.figure == name])
        ax.set(xlabel=f"{cost} [{unit}]", ylabel=name)
    _legend(figure, panels, entries)
    return figure


def draw_forest(
    pooled: Sequence[Difference],
    single: Sequence[Difference],
    factors: Sequence[str],
    figure_name: str,
    baseline: str,
    entries: Sequence[str],
) -> Any:
    """Paired differences from the baseline with intervals: all pairs together first, then each combination.

    Parameters
    ----------
    pooled, single : sequence of Difference
        Of one figure.
    factors : sequence of str
        Names of the factors besides the compared one.
    entries : sequence of str
        As for `draw_against`, the baseline among them.
    """
    rows: list[tuple[str, Difference, int]] = []
    for number, entry in enumerate(entries):
        rows += [(f"{entry}: all", each, number) for each in pooled if each.entry == entry]
        own = [each for each in single if each.entry == entry and each.others]
        rows += [(", ".join(each.others), each, number) for each in own if len(own) > 1]
    figure = new_figure(7.5, 0.9 + 0.24 * len(rows))
    ax = figure.add_subplot()
    for at, (label, each, number) in enumerate(rows):
        together = label.endswith(": all")
        look = _look(number) | {"ls": "none"}
        ax.errorbar([each.median], [at], xerr=_bars([each]), capsize=2.5, lw=2.2 if together else 1.2,
                    ms=7 if together else 4.5, **look)  # fmt: skip
    ax.axvline(0, color="0.4", lw=0.8)
    ax.set_yticks(range(len(rows)), [label for label, *_ in rows], fontsize="small")
    for tick, (label, *_) in zip(ax.get_yticklabels(), rows, strict=True):
        tick.set_fontweight("bold" if label.endswith(": all") else "normal")
    ax.set(xlabel=f"{figure_name}: difference from {baseline}", ylim=(len(rows) - 0.5, -0.5))
    if len(rows) > len(pooled):
        ax.set_ylabel(", ".join(factors))
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return figure


def _entry(summary: Summary) -> str:
    return summary.factors[0] if len(summary.factors) > 1 else ""


def _level(summary: Summary) -> float:
    return float(summary.factors[-1])


def _look(number: int) -> dict[str, Any]:
    """Colour and marker of an entry."""
    again = number // len(_COLOURS) % 2
    line = {"ls": "--", "mfc": "white"} if again else {"ls": "-"}
    return {"color": _COLOURS[number % len(_COLOURS)], "marker": _MARKERS[number % len(_MARKERS)], **line}


def _bars(listed: Sequence[Summary] | Sequence[Difference]) -> Any:
    """(2, n) lengths of error bars; none where there is no interval."""
    below = [each.median - each.low for each in listed]
    above = [each.high - each.median for each in listed]
    return np.nan_to_num(np.array([below, above])).clip(0)


def _scale(ax: Any, axis: str, values: Sequence[float]) -> None:
    if not _is_log(axis, values):
        return
    finite = [value for value in values if math.isfinite(value)]
    ax.set(**{f"{axis}scale": "log"})
    one = getattr(ax, f"{axis}axis")
    decades = math.log10(max(finite) / min(finite))
    one.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 1.5 else (1.0,)))
    one.set_major_formatter(FuncFormatter(lambda value, _: _number(value)))
    one.set_minor_formatter(NullFormatter())


def _number(value: float) -> str:
    """As it is written: 0.02, 5000, but 2·10⁵."""
    if 1e-3 <= abs(value) < 1e4:
        return f"{value:g}"
    mantissa, _, exponent = f"{value:.0e}".partition("e")
    power = f"$10^{{{int(exponent)}}}$"
    return power if mantissa == "1" else f"{mantissa}·{power}"


def _beside(levels: Sequence[float], number: int, n: int) -> NDArray[np.float64]:
    """Levels a little to the side, so that the intervals of entries do not hide each other."""
    low, high = min(levels), max(levels)
    aside = _BESIDE * (number - (n - 1) / 2)
    if _is_log("x", levels):
        return np.array(levels) * (high / low) ** aside
    return np.array(levels) + (high - low) * aside


def _is_log(axis: str, values: Sequence[float]) -> bool:
    finite = [value for value in values if math.isfinite(value)]
    most = _LOG_RANGE if axis == "y" else _LOG_RANGE_X
    return bool(finite) and min(finite) > 0 and max(finite) > most * min(finite)


def _panels(figures: Sequence[str]) -> tuple[Any, list[Any]]:
    # Four are a square, not a row and a straggler.
    columns = 2 if len(figures) == 4 else min(len(figures), _MOST_COLUMNS)
    rows = -(-len(figures) // columns)
    figure = new_figure(3.6 * columns + 0.6, 3.1 * rows + 0.4)
    axes = [figure.add_subplot(rows, columns, number + 1) for number in range(len(figures))]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.3, lw=0.6)
    return figure, axes


def _legend(figure: Any, panels: Sequence[Any], entries: Sequence[str]) -> None:
    if any(entries):
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="outside upper center",
            ncols=min(len(entries), 1 + min(len(panels), _MOST_COLUMNS)),
            frameon=False,
        )

"""The summary of a benchmark: medians with intervals and paired differences, as CSV and as text."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ronchi.benchmark.figure_sides import Side, absent_figures, side_of
from ronchi.benchmark.leaderboard import standings
from ronchi.benchmark.outcome import FINISHED
from ronchi.benchmark.run import BenchResult
from ronchi.benchmark.stats import Difference, Summary, differences, summaries
from ronchi.benchmark.table import COSTS, RATES
from ronchi.pipeline.cache import write_atomically

__all__ = [
    "FIGURE_COLUMNS",
    "better_of",
    "chosen_of",
    "compared_of",
    "confidence_of",
    "interval",
    "print_leaderboard",
    "print_summary",
    "shown_of",
    "unscored",
    "verdict",
    "write_summary",
]

FIGURE_COLUMNS = ("figure", "better", "n", "median", "low", "high")
"""Columns of ``summary.csv`` after the factors."""


def better_of(result: BenchResult) -> dict[str, Side]:
    """Whether more or less of each figure is better."""
    return {figure: side_of(result.better, figure) for figure in result.table.figures()}


def write_summary(result: BenchResult) -> None:
    """Write ``summary.csv``, ``differences.csv`` and ``bench.json``, what it was made with."""
    better = better_of(result)
    rows = [[*s.factors, s.figure, better[s.figure], s.n, *map(repr, (s.median, s.low, s.high))] for s in _all(result)]
    _write(result, "summary.csv", [*result.table.factors, *FIGURE_COLUMNS], rows)
    compared, baseline = compared_of(result)
    if compared:
        others = [name for name in result.table.factors if name != compared]
        pairs = differences(result.table, compared, baseline, confidence_of(result))
        lines = [
            [d.entry, baseline, *d.others, d.figure, better[d.figure], d.n, *map(repr, (d.median, d.low, d.high))]
            for d in pairs
        ]
        _write(result, "differences.csv", [compared, "baseline", *others, *FIGURE_COLUMNS], lines)
    told = {
        "schema": "ronchi.benchmark-record/1",
        "name": result.config.name,
        "config": result.config.source.data,
        "config_sha256": result.config_sha256,
        "versions": dict(result.versions),
        "environment": dict(result.environment),
        "keys": {str(number): dict(keys) for number, keys in result.keys.items()},
        "citations": list(result.citations),
        "tuned": [_null_if_not_finite(asdict(each)) for each in result.tuned],
    }
    # JSON has no infinite numbers, which parameters may have: as text they are still what a parameter accepts.
    told = json.loads(json.dumps(told), parse_constant=str)
    write_atomically(result.out_dir / "bench.json", (json.dumps(told, indent=1, allow_nan=False) + "\n").encode())


def _null_if_not_finite(tuned: dict[str, Any]) -> dict[str, Any]:
    """With None for the figures that there are not: of trials that did not finish."""
    tuned["trials"] = [{**trial, "value": _finite(trial["value"])} for trial in tuned["trials"]]
    return {**tuned, "value": _finite(tuned["value"])}


def _finite(figure: float) -> float | None:
    return figure if math.isfinite(figure) else None


def print_summary(result: BenchResult) -> str:
    """Medians by combination, paired differences, and combinations that did not finish, as text."""
    figures = shown_of(result)
    head = [*result.table.factors, "figure", "median", "interval", "n"]
    lines = [
        [*s.factors, s.figure, f"{s.median:.4g}", interval(s), str(s.n)] for s in _all(result) if s.figure in figures
    ]
    parts = [_columns(head, lines)]
    compared, baseline = compared_of(result)
    if compared:
        confidence, better = confidence_of(result), better_of(result)
        pairs = differences(result.table, compared, baseline, confidence, pooled=True)
        rows = [[d.entry, d.figure, f"{d.median:+.4g}", interval(d, "+"), verdict(d, better, confidence), str(d.n)]
                for d in pairs if d.figure in figures and d.figure not in RATES]  # fmt: skip
        title = f"\ndifferences from {baseline}, pair by pair"
        parts += [title, _columns([compared, "figure", "median", "interval", "", "pairs"], rows)] if rows else []
    rows = [[entry, str(cells), error] for entry, cells, error in unscored(result)]
    if rows:
        parts += ["\nnot scored by every metric", _columns([compared or "entry", "combinations", "why"], rows)]
    parts += [f"\n{told}" for told in absent_figures(chosen_of(result), result.table.figures())]
    lost = [each for each in result.table.cells if each[2] not in FINISHED]
    if lost:
        rows = [
            [*values, str(repeat), status, error.partition("\n")[0][:100]] for values, repeat, status, error in lost
        ]
        parts += ["\nnot finished", _columns([*result.table.factors, "repeat", "status", "why"], rows)]
    return "\n".join(parts)


def print_leaderboard(result: BenchResult) -> str:
    """Ranks of the entries of the compared step, as text."""
    compared, _ = compared_of(result)
    better = better_of(result)
    sides = {figure: better[figure] for figure in shown_of(result)}
    found = standings(result.table, compared, sides) if compared else []
    if not found:
        return "nothing to rank: a benchmark needs `compare`, and figures of which more or less is better"
    rows = [[each.entry, f"{each.mean_rank:.2f}", f"{each.first:.0%}", f"{each.finished:.0%}"] for each in found]
    races = f"{found[0].races} races: every figure on every data set and repeat"
    return f"{_columns([compared, 'mean rank', 'first', 'finished'], rows)}\n\n{races}"


def _all(result: BenchResult) -> list[Summary]:
    return summaries(result.table, confidence_of(result))


def shown_of(result: BenchResult) -> list[str]:
    """Figures that are compared: those of ``compare``, else all of which more or less is better; then costs."""
    better = better_of(result)
    chosen = chosen_of(result)
    return [
        figure
        for figure in result.table.figures()
        if figure in COSTS or (figure in chosen if chosen else better[figure])
    ]


def chosen_of(result: BenchResult) -> list[str]:
    """Figures of ``compare``; none stand for all."""
    return result.config.compare.figures if result.config.compare else []


def confidence_of(result: BenchResult) -> float:
    """Of the intervals."""
    return result.config.compare.confidence if result.config.compare else 0.95


def compared_of(result: BenchResult) -> tuple[str, str]:
    """Slot with several entries that is compared, and its baseline; empty if there is none."""
    compare = result.config.compare
    if compare is None or compare.slot not in result.table.factors:
        return "", ""
    return compare.slot, compare.baseline or result.config.slots[compare.slot].entries[0].label


def unscored(result: BenchResult) -> list[tuple[str, int, str]]:
    """What metrics could not score: entry of the compared step, number of its cells, and why, a line each."""
    compared, _ = compared_of(result)
    counts: dict[tuple[str, str], int] = {}
    for factors, _, status, error in result.table.cells:
        entry = factors[result.table.factors.index(compared)] if compared else ""
        for line in error.splitlines() if status == "partial" else ():
            if not line.lstrip().startswith("->"):
                counts[entry, line] = counts.get((entry, line), 0) + 1
    return [(entry, cells, error) for (entry, error), cells in counts.items()]


def verdict(difference: Difference, better: Mapping[str, str], confidence: float) -> str:
    """``better`` or ``worse`` where the interval leaves out 0 and there are pairs enough to say so.

    With few pairs all may lie on one side by chance, once in 2^(n - 1) times: 95 % take six.
    """
    side = better.get(difference.figure, "")
    enough = 2.0 ** (1 - difference.n) <= 1 - confidence
    if not side or not enough or not math.isfinite(difference.low) or difference.low <= 0 <= difference.high:
        return ""
    return "better" if (difference.median < 0) == (side == "lower") else "worse"


def interval(each: Summary | Difference, sign: str = "") -> str:
    """``low to high``, or a dash where there are too few values for it."""
    return f"{each.low:{sign}.4g} to {each.high:{sign}.4g}" if math.isfinite(each.low) else "—"


def _columns(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in [head, *lines]) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in [head, *lines]
    )


def _write(result: BenchResult, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_atomically(result.out_dir / name, text.getvalue().encode())

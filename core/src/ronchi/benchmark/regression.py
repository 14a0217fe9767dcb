"""A summary against an earlier one: what became worse by more than noise explains."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from ronchi.benchmark.summary import FIGURE_COLUMNS
from ronchi.errors import ReadError

__all__ = ["LEAST_CHANGE", "SummaryRows", "read_summary", "regressions"]

LEAST_CHANGE = 0.1
"""Share of the baseline's median below which a change is no regression."""

SummaryRows = dict[tuple[str, ...], dict[str, str]]
"""Factors and figure to the row of ``summary.csv``."""


def regressions(now: SummaryRows, before: SummaryRows) -> list[str]:
    """Figures of ``now`` that are worse than ``before``, in words.

    A figure is worse if its median is so by more than `LEAST_CHANGE`, and outside the interval of the baseline where
    there is one. One that is gone, is no number any more, or comes from fewer repeats, is worse too.
    """
    found = []
    for key, old in before.items():
        if not old["better"] or not math.isfinite(float(old["median"])):
            continue
        name = " ".join(key)
        new = now.get(key)
        if new is None or not math.isfinite(float(new["median"])):
            found.append(f"{name}: was {float(old['median']):.4g}, is not there any more")
            continue
        if int(new["n"]) < int(old["n"]):
            found.append(f"{name}: was made of {old['n']} values, is of {new['n']}")
        was, value = float(old["median"]), float(new["median"])
        sign = 1 if old["better"] == "lower" else -1
        bound = float(old["high"] if sign > 0 else old["low"])
        outside = not math.isfinite(bound) or sign * (value - bound) > 0
        if outside and sign * (value - was) > LEAST_CHANGE * abs(was):
            found.append(f"{name}: was {was:.4g}, is {value:.4g}")
    return found


def read_summary(path: Path) -> SummaryRows:
    """Read ``summary.csv``.

    Raises
    ------
    ReadError
        The file is absent, or is no summary of a benchmark.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ReadError(f"the summary cannot be read: {why}", where=str(path), fix="give a summary.csv") from error
    if not rows or not set(FIGURE_COLUMNS) <= set(rows[0]):
        raise ReadError("this is no summary of a benchmark", where=str(path), fix="give the summary.csv of a run")
    keys = [name for name in rows[0] if name not in FIGURE_COLUMNS]
    return {(*[row[name] for name in keys], row["figure"]): row for row in rows}

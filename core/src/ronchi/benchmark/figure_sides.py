"""Whether more or less of a figure is better, and figures that nobody knows."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Literal

from ronchi.benchmark.table import COSTS, SECONDS
from ronchi.config.source import did_you_mean

__all__ = ["Side", "absent_figures", "side_of", "unjudged_figures"]

Side = Literal["lower", "higher", ""]


def side_of(better: Mapping[str, Mapping[str, str]], figure: str) -> Side:
    """What the metrics' specs say about a figure; ``""`` where neither is better.

    Parameters
    ----------
    better : mapping
        Metric step to names of figures, with ``*``, to ``"lower"`` or ``"higher"``.
    figure : str
        ``step.figure``, or one of the costs. Memory and rates are told and not judged: some MB are the allocator's,
        and rates are the time again.
    """
    step, _, name = figure.partition(".")
    rules = {SECONDS: "lower"} if figure == SECONDS else better.get(step, {})
    found = [side for pattern, side in rules.items() if fnmatch.fnmatchcase(name or figure, pattern)]
    return "lower" if found[:1] == ["lower"] else "higher" if found[:1] == ["higher"] else ""


def unjudged_figures(better: Mapping[str, Mapping[str, str]], chosen: Iterable[str]) -> list[str]:
    """Figures of ``compare`` of which no metric says a side, in words: misspelt perhaps, which shows before a run."""
    told = []
    for figure in chosen:
        if figure in COSTS or side_of(better, figure):
            continue
        step = figure.partition(".")[0]
        known = [f"{step}.{name}" for name in better.get(step, {})]
        meant = did_you_mean(figure, known, f"of these it is known: {', '.join(known) or 'none'}")
        told.append(f"compare.figures: nothing says whether more or less of {figure!r} is better; {meant}")
    return told


def absent_figures(chosen: Iterable[str], have: Iterable[str]) -> list[str]:
    """Figures of ``compare`` that a metric which has scored does not give, in words."""
    told, given = [], list(have)
    for figure in chosen:
        of_metric = [name for name in given if name.partition(".")[0] == figure.partition(".")[0]]
        if of_metric and figure not in of_metric:
            meant = did_you_mean(figure, of_metric, f"there are: {', '.join(of_metric)}")
            told.append(f"compare.figures: nothing is called {figure!r}; {meant}")
    return told

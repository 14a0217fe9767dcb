"""Whether more or less of a figure is better."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Literal

from ronchi.bench.table import SECONDS

__all__ = ["Side", "side_of"]

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

"""Who comes first: the ranks of the entries over all data and figures."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ronchi.benchmark.stats import of_data
from ronchi.benchmark.table import COSTS, Table

__all__ = ["Standing", "standings"]


@dataclass(frozen=True)
class Standing:
    """How an entry does against the others.

    Parameters
    ----------
    entry : str
    mean_rank : float
        1 is the first of all; equal values share the mean of their ranks, what is missing comes last.
    first : float
        Part of the races in which no other is better.
    finished : float
        Part of the races in which it has a value.
    races : int
        Combinations of data, repeat and figure; options of the run make no data of their own.
    """

    entry: str
    mean_rank: float
    first: float
    finished: float
    races: int


def standings(table: Table, slot: str, sides: Mapping[str, str]) -> list[Standing]:
    """Rank the entries of a step in every combination of data, repeat and figure; best mean rank first.

    Parameters
    ----------
    slot : str
        Factor whose values are the entries.
    sides : mapping
        Figures that count to ``"lower"`` or ``"higher"``, whichever is better; costs do not count.
    """
    at = table.factors.index(slot)
    entries = list(dict.fromkeys(factors[at] for factors, *_ in table.cells))
    apart = of_data(table, [at])
    data = list(dict.fromkeys((_at(apart, factors), repeat) for factors, repeat, *_ in table.cells))
    races = []
    for figure in (name for name, side in sides.items() if side and name not in COSTS):
        found: dict[tuple[tuple[str, ...], int, str], list[float]] = {}
        for (factors, repeat), values in table.values(figure).items():
            finite = [value for value in values if math.isfinite(value)]
            found.setdefault((_at(apart, factors), repeat, factors[at]), []).extend(finite)
        sign = 1 if sides[figure] == "lower" else -1
        for place in data:
            own = {entry: found.get((*place, entry)) for entry in entries}
            races.append({entry: sign * statistics.median(values) if values else math.inf
                          for entry, values in own.items()})  # fmt: skip
    if not races:
        return []
    n = len(races)
    made = [
        Standing(
            entry,
            sum(_rank(race, entry) for race in races) / n,
            sum(race[entry] == min(race.values()) < math.inf for race in races) / n,
            sum(race[entry] < math.inf for race in races) / n,
            n,
        )
        for entry in entries
    ]
    return sorted(made, key=lambda each: each.mean_rank)


def _at(numbers: Sequence[int], factors: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(factors[number] for number in numbers)


def _rank(race: Mapping[str, float], entry: str) -> float:
    before = sum(value < race[entry] for value in race.values())
    equal = sum(value == race[entry] for value in race.values())
    return before + (equal + 1) / 2

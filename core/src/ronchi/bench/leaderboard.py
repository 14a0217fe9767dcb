"""Who comes first: the ranks of the entries over all data and figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ronchi.bench.table import COSTS, Table

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
        Combinations of data, repeat and figure.
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
    data = list(dict.fromkeys(((*factors[:at], *factors[at + 1 :]), repeat) for factors, repeat, *_ in table.cells))
    races = []
    for figure in (name for name, side in sides.items() if side and name not in COSTS):
        values = table.values(figure)
        sign = 1 if sides[figure] == "lower" else -1
        for others, repeat in data:
            places = {entry: ((*others[:at], entry, *others[at:]), repeat) for entry in entries}
            found = {entry: values.get(place, [math.nan])[0] for entry, place in places.items()}
            races.append({entry: sign * value if math.isfinite(value) else math.inf for entry, value in found.items()})
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


def _rank(race: Mapping[str, float], entry: str) -> float:
    before = sum(value < race[entry] for value in race.values())
    equal = sum(value == race[entry] for value in race.values())
    return before + (equal + 1) / 2

"""Medians with intervals, and paired differences: what a table says once its noise is taken into account."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ronchi.benchmark.table import COSTS, Table

__all__ = ["Difference", "Summary", "bootstrap_interval", "differences", "summaries"]

Array = NDArray[np.float64]
_RESAMPLES = 4000
_Group = TypeVar("_Group", bound=tuple[Any, ...])


@dataclass(frozen=True)
class Summary:
    """A figure over the repeats of one combination; ``low`` and ``high`` bound the median."""

    factors: tuple[str, ...]
    figure: str
    n: int
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """A figure of an entry minus that of the baseline, on the same data.

    Parameters
    ----------
    entry : str
    others : tuple of str
        Values of the factors other than the slot; empty over all of them.
    figure : str
    n : int
        Pairs.
    median, low, high : float
    """

    entry: str
    others: tuple[str, ...]
    figure: str
    n: int
    median: float
    low: float
    high: float


def bootstrap_interval(values: Array, confidence: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval of the median, by 4000 seeded resamples; NaN for fewer than two values.

    Efron & Tibshirani, An introduction to the bootstrap (1993), chapter 13.
    """
    values = np.asarray(values, float)
    if len(values) < 2:
        return np.nan, np.nan
    rng = np.random.default_rng(0)
    medians = np.median(values[rng.integers(len(values), size=(_RESAMPLES, len(values)))], axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    return float(low), float(high)


def summaries(table: Table, confidence: float = 0.95, by: Sequence[str] | None = None) -> list[Summary]:
    """One summary a combination and figure, over repeats; NaN are left out, and what is the same measurement is one.

    Parameters
    ----------
    by : sequence of str, optional
        Factors that are told apart, in this order; over the others it is taken together. All by default.
    """
    kept = [table.factors.index(name) for name in (table.factors if by is None else by)]
    data = of_data(table, kept)
    made = []
    for figure in table.figures():
        values = [
            (tuple(factors[at] for at in kept), tuple(factors[at] for at in data), repeat, value)
            for (factors, repeat), listed in table.values(figure).items()
            for value in listed
        ]
        grouped = _measured(table, figure, values)
        made += [Summary(factors, figure, *_located(found, confidence)) for factors, found in grouped.items()]
    return made


def differences(
    table: Table, slot: str, baseline: str, confidence: float = 0.95, *, pooled: bool = False
) -> list[Difference]:
    """Paired differences of all entries of a slot from one of them; the same measurement twice is one pair.

    Parameters
    ----------
    slot : str
        Factor whose values are the entries.
    pooled : bool
        Over all other factors together, instead of for each combination of them.

    Raises
    ------
    ValueError
        The table has no such factor.
    """
    at = table.factors.index(slot)
    data = of_data(table, [at])
    made = []
    for figure in table.figures():
        by_pair: dict[tuple[Any, ...], dict[str, float]] = {}
        for (factors, repeat), values in table.values(figure).items():
            others = factors[:at] + factors[at + 1 :]
            same = tuple(factors[number] for number in data)
            by_pair.setdefault((others, same, repeat), {})[factors[at]] = float(np.median(values))
        gaps = [
            ((entry, () if pooled else others), same, repeat, value - entries[baseline])
            for (others, same, repeat), entries in by_pair.items()
            for entry, value in entries.items()
            if entry != baseline and baseline in entries
        ]
        made += [
            Difference(entry, others, figure, *_located(values, confidence))
            for (entry, others), values in _measured(table, figure, gaps).items()
        ]
    return made


def of_data(table: Table, apart: Sequence[int]) -> list[int]:
    """Numbers of the factors besides some that are told apart, but for options of the run: they change no data."""
    return [at for at, name in enumerate(table.factors) if at not in apart and not name.startswith("run.")]


def _measured(
    table: Table, figure: str, values: Iterable[tuple[_Group, tuple[str, ...], int, float]]
) -> dict[_Group, list[float]]:
    """Values by group, of which each is a measurement of its own.

    Parameters
    ----------
    values : iterable of tuple
        Group, what tells the data apart within it, repeat, value. Of equal data and repeat there is the median, but of
        costs; and of repeats on the same files one value if they are all the same number.
    """
    made: dict[_Group, list[float]] = {}
    gathered: dict[_Group, dict[tuple[str, ...], dict[int, list[float]]]] = {}
    for group, data, repeat, value in values:
        if figure in COSTS:
            made.setdefault(group, []).append(value)
        else:
            gathered.setdefault(group, {}).setdefault(data, {}).setdefault(repeat, []).append(value)
    for group, by_data in gathered.items():
        for by_repeat in by_data.values():
            medians = [_located(listed, 0.5)[1] for listed in by_repeat.values()]
            same = table.of_files and len(set(medians)) == 1
            made.setdefault(group, []).extend(medians[:1] if same else medians)
    return made


def _located(values: list[float], confidence: float) -> tuple[int, float, float, float]:
    kept = np.array([value for value in values if np.isfinite(value)])
    if not len(kept):
        return 0, np.nan, np.nan, np.nan
    return len(kept), float(np.median(kept)), *bootstrap_interval(kept, confidence)

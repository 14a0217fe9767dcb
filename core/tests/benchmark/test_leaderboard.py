"""Ranks over races: who is first, who shares a place, who did not arrive."""

from __future__ import annotations

import math

import pytest

from ronchi.benchmark.leaderboard import standings
from ronchi.benchmark.table import Row, Table


def _table(values: dict[tuple[str, str, str], float]) -> Table:
    rows = tuple(Row((dose, entry), 0, figure, value) for (dose, entry, figure), value in values.items())
    places = dict.fromkeys((dose, entry) for dose, entry, _ in values)
    return Table(("load.dose_e", "find"), rows, tuple((place, 0, "done", "") for place in places))


def test_the_better_side_is_that_of_the_figure() -> None:
    rms = {("1", "a", "s.rms"): 1.0, ("1", "b", "s.rms"): 2.0}
    f1 = {("1", "a", "s.f1"): 0.9, ("1", "b", "s.f1"): 0.8}
    first, second = standings(_table(rms | f1), "find", {"s.rms": "lower", "s.f1": "higher"})
    assert (first.entry, first.mean_rank, first.first, first.races) == ("a", 1.0, 1.0, 2)
    assert (second.entry, second.mean_rank, second.first) == ("b", 2.0, 0.0)


def test_equal_values_share_their_ranks_and_what_is_missing_comes_last() -> None:
    table = _table(
        {
            ("1", "a", "s.rms"): 1.0, ("1", "b", "s.rms"): 1.0, ("1", "c", "s.rms"): 3.0,
            ("2", "a", "s.rms"): 1.0, ("2", "b", "s.rms"): math.nan, ("2", "c", "s.rms"): 3.0,
        }
    )  # fmt: skip
    found = {each.entry: each for each in standings(table, "find", {"s.rms": "lower"})}
    assert found["a"].mean_rank == pytest.approx((1.5 + 1) / 2)
    assert found["b"].mean_rank == pytest.approx((1.5 + 3) / 2)
    assert found["c"].mean_rank == pytest.approx((3 + 2) / 2)
    assert (found["a"].first, found["b"].first, found["b"].finished) == (1.0, 0.5, 0.5)


def test_costs_and_figures_without_a_better_side_do_not_race() -> None:
    seconds = {("1", "a", "seconds"): 1.0, ("1", "b", "seconds"): 2.0}
    counts = {("1", "a", "s.n"): 1.0, ("1", "b", "s.n"): 2.0}
    assert standings(_table(seconds | counts), "find", {"seconds": "lower", "s.n": ""}) == []


def test_options_of_the_run_make_no_races_of_their_own() -> None:
    rms = {("a", "10", "1"): 1.0, ("a", "10", "4"): 1.0, ("b", "10", "1"): 2.0, ("b", "10", "4"): 2.0,
           ("a", "20", "1"): 4.0, ("a", "20", "4"): math.nan, ("b", "20", "1"): 3.0, ("b", "20", "4"): 3.0}  # fmt: skip
    rows = tuple(Row(place, 0, "s.rms", value) for place, value in rms.items())
    table = Table(("find", "load.dose_e", "run.workers"), rows, tuple((place, 0, "done", "") for place in rms))
    found = standings(table, "find", {"s.rms": "lower"})
    assert [(each.races, each.mean_rank, each.first, each.finished) for each in found] == [(2, 1.5, 0.5, 1.0)] * 2

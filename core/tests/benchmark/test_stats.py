"""Intervals and paired differences against what they should cover."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ronchi.benchmark.stats import Difference, bootstrap_interval, differences, summaries
from ronchi.benchmark.summary import verdict
from ronchi.benchmark.table import Row, Table


def _table(values: dict[tuple[str, str], list[float]]) -> Table:
    rows = [
        Row((dose, entry), repeat, "score.rms", value)
        for (dose, entry), listed in values.items()
        for repeat, value in enumerate(listed)
    ]
    return Table(("load.dose_e", "find"), tuple(rows), ())


def test_the_interval_covers_the_true_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        low, high = bootstrap_interval(rng.normal(3.0, 1.0, 25), 0.9)
        covered += low <= 3.0 <= high
    # 270 are expected; binomial spread 5, and the percentile interval of a median is a little wide.
    assert 255 <= covered <= 297


def test_pairs_remove_what_the_data_have_in_common() -> None:
    rng = np.random.default_rng(1)
    shared = rng.normal(0, 10, 20)
    table = _table({("1", "a"): list(shared), ("1", "b"): list(shared + 0.5 + rng.normal(0, 0.01, 20))})
    (difference,) = differences(table, "find", "a")
    assert (difference.entry, difference.others, difference.n) == ("b", ("1",), 20)
    assert 0.48 < difference.low < difference.median < difference.high < 0.52


def test_pooled_differences_are_over_all_other_factors() -> None:
    table = _table({("1", "a"): [1.0, 1.0], ("1", "b"): [2.0, 2.0], ("2", "a"): [5.0], ("2", "b"): [6.0]})
    (difference,) = differences(table, "find", "a", pooled=True)
    assert (difference.n, difference.median) == (3, 1.0)


def test_numbers_that_are_none_are_left_out_and_counted() -> None:
    (summary,) = summaries(_table({("1", "a"): [1.0, np.nan, 3.0]}))
    assert (summary.n, summary.median) == (2, 2.0)
    (empty,) = summaries(_table({("1", "a"): [np.nan]}))
    assert empty.n == 0
    assert np.isnan(empty.median)


@pytest.mark.parametrize(("n", "told"), [(5, ""), (6, "worse")])
def test_a_verdict_takes_as_many_pairs_as_chance_does_not_put_on_one_side(n: int, told: str) -> None:
    difference = Difference("b", (), "score.rms", n, 0.5, 0.4, 0.6)
    assert verdict(difference, {"score.rms": "lower"}, 0.95) == told
    assert verdict(difference, {}, 0.95) == ""
    improved = replace(difference, median=-0.5, low=-0.6, high=-0.4)
    assert verdict(improved, {"score.rms": "lower"}, 0.95) == told.replace("worse", "better")
    assert verdict(replace(difference, low=-0.1), {"score.rms": "lower"}, 0.95) == ""


@pytest.mark.parametrize("figure", ["score.rms", "seconds"])
def test_options_of_the_run_are_no_pairs_of_their_own_but_for_costs(figure: str) -> None:
    workers, entries = ("1", "2", "3", "4", "6", "8"), {"a": 1.0, "b": 0.9}
    rows = [Row((entry, n), 0, figure, value) for n in workers for entry, value in entries.items()]
    table = Table(("find", "run.workers"), tuple(rows), ())
    (pooled,) = differences(table, "find", "a", pooled=True)
    expected = 6 if figure == "seconds" else 1
    assert pooled.n == expected
    assert pooled.median == pytest.approx(-0.1)
    assert verdict(pooled, {figure: "lower"}, 0.95) == ("better" if expected == 6 else "")
    assert [each.n for each in summaries(table, by=["find"])] == [expected] * 2
    single = differences(table, "find", "a")
    assert sorted(each.others for each in single) == [(n,) for n in workers]


def test_repeats_on_the_same_files_are_one_measurement_unless_they_differ() -> None:
    listed = {("1", "a"): [0.5] * 8, ("1", "b"): [0.4] * 8, ("1", "c"): list(np.linspace(0.3, 0.4, 8))}
    of_files = replace(_table(listed), of_files=True)
    assert {each.entry: each.n for each in differences(of_files, "find", "a")} == {"b": 1, "c": 8}
    assert [each.n for each in summaries(of_files)] == [1, 1, 8]
    assert {each.n for each in differences(_table(listed), "find", "a")} == {8}

"""Intervals and paired differences against what they should cover."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ronchi.bench.stats import Difference, bootstrap_interval, differences, summaries
from ronchi.bench.summary import verdict
from ronchi.bench.table import Row, Table


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

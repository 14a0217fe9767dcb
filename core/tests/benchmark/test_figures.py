"""What the figures of a benchmark show, read off their axes."""

from __future__ import annotations

import numpy as np

from ronchi.benchmark.figures import draw_against, draw_costs, draw_forest
from ronchi.benchmark.stats import Difference, Summary

ENTRIES = [f"entry {number}" for number in range(9)]


def test_each_entry_has_its_line_of_medians_against_the_factor() -> None:
    summaries = [
        Summary((entry, dose), "score.rms", 3, 1.0 + number + float(dose), 0.5, 900.0)
        for number, entry in enumerate(ENTRIES)
        for dose in ("100", "10", "1")
    ]
    figure = draw_against(summaries, ["score.rms"], "scan.dose_e", ENTRIES, {})
    (ax,) = figure.axes
    assert (ax.get_xscale(), ax.get_xlabel(), ax.get_ylabel()) == ("log", "scan.dose_e", "score.rms")
    assert len(ax.containers) == len(ENTRIES)
    for number, container in enumerate(ax.containers):
        x, y = container.lines[0].get_data()
        # Each stands a little beside the one before, so that intervals do not hide each other.
        np.testing.assert_allclose(x, np.array([1, 10, 100]) * 100 ** (0.012 * (number - 4)))
        np.testing.assert_allclose(y, 1.0 + number + np.array([1, 10, 100]))
    looks = {(line.lines[0].get_color(), line.lines[0].get_marker()) for line in ax.containers}
    assert len(looks) == len(ENTRIES)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ENTRIES


def test_shares_that_come_near_zero_stay_on_a_linear_axis() -> None:
    summaries = [Summary(("a", dose), "f", 1, value, 1, 1) for dose, value in (("1", 0.9), ("2", 0.01))]
    for side, scale in (("higher", "linear"), ("lower", "log")):
        (ax,) = draw_against(summaries, ["f"], "x", "a", {"f": side}).axes
        assert ax.get_yscale() == scale


def test_an_entry_has_the_same_look_in_all_figures() -> None:
    summaries = [Summary((entry, dose), "f", 1, 1.0, 1, 1) for entry in "ca" for dose in ("1", "2")]
    (against,) = draw_against(summaries, ["f"], "x", "abc", {}).axes
    (forest,) = draw_forest([Difference("c", (), "f", 4, 0.2, 0.1, 0.3)], [], [], "f", "a", "abc").axes
    assert [held.get_label() for held in against.containers] == ["a", "b", "c"]
    assert against.containers[2].lines[0].get_color() == forest.containers[0].lines[0].get_color()


def test_doses_are_written_as_powers() -> None:
    summaries = [Summary((entry, dose), "f", 1, 1.0, 1, 1) for entry in "ab" for dose in ("1000", "100000", "1e6")]
    (ax,) = draw_against(summaries, ["f"], "dose_e", "ab", {}).axes
    written = [ax.xaxis.get_major_formatter()(value) for value in (0.02, 1000, 1e4, 2e6)]
    assert written == ["0.02", "1000", "$10^{4}$", "2·$10^{6}$"]


def test_accuracy_stands_over_its_cost_and_what_has_none_is_left_out() -> None:
    summaries = [
        Summary(("a",), "score.rms", 3, 0.1, 0.08, 0.2), Summary(("a",), "seconds", 3, 2.0, 1.5, 2.5),
        Summary(("b",), "score.rms", 3, 0.3, np.nan, np.nan), Summary(("b",), "seconds", 3, 5.0, np.nan, np.nan),
        Summary(("c",), "score.rms", 3, 0.3, 0.2, 0.4),
    ]  # fmt: skip
    (ax,) = draw_costs(summaries, ["score.rms"], "seconds", "s", "abc", {}).axes
    points = [container.lines[0].get_xydata()[0].tolist() for container in ax.containers]
    assert points == [[2.0, 0.1], [5.0, 0.3]]
    assert ax.get_xlabel() == "seconds [s]"


def test_the_forest_has_all_pairs_first_and_zero_on_it() -> None:
    pooled = [Difference("b", (), "f", 4, 0.2, 0.1, 0.3)]
    single = [Difference("b", (dose,), "f", 2, 0.2, 0.1, 0.3) for dose in ("10", "100")]
    (ax,) = draw_forest(pooled, single, ["scan.dose_e"], "f", "a", "ab").axes
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["b: all", "10", "100"]
    assert ax.get_xlabel() == "f: difference from a"
    assert any(np.allclose(line.get_xdata(), 0) for line in ax.lines)

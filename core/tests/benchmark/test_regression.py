"""What counts as worse than a baseline, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from ronchi.benchmark.regression import SummaryRows, read_summary, regressions
from ronchi.errors import ReadError


def _rows(
    median: float, low: float = float("nan"), high: float = float("nan"), better: str = "lower", n: int = 5
) -> SummaryRows:
    row = {"better": better, "n": str(n), "median": repr(median), "low": repr(low), "high": repr(high)}
    return {("cross", "score.rms_px"): row}


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_a_fifth_worse_is_a_regression_and_a_fifth_better_is_none(better: str) -> None:
    before = _rows(0.5, 0.48, 0.52, better)
    worse, improved = (0.6, 0.4) if better == "lower" else (0.4, 0.6)
    (line,) = regressions(_rows(worse, better=better), before)
    assert line == f"cross score.rms_px: was 0.5, is {worse:g}"
    assert regressions(_rows(improved, better=better), before) == []
    assert regressions(before, before) == []


def test_small_and_noisy_changes_are_none() -> None:
    assert regressions(_rows(0.54), _rows(0.5, 0.499, 0.501)) == []
    assert regressions(_rows(0.6), _rows(0.5, 0.3, 0.7)) == []


def test_figures_that_neither_way_is_better_are_not_judged() -> None:
    assert regressions(_rows(5.0, better=""), _rows(0.5, better="")) == []


def test_what_is_gone_or_comes_from_fewer_repeats_is_worse() -> None:
    assert "is not there any more" in regressions({}, _rows(0.5))[0]
    assert "is not there any more" in regressions(_rows(float("nan")), _rows(0.5))[0]
    assert "was made of 5 values, is of 3" in regressions(_rows(0.5, n=3), _rows(0.5))[0]


def test_a_file_that_is_no_summary_is_told(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="cannot be read: No such file or directory\n"):
        read_summary(tmp_path / "absent.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ReadError, match="no summary"):
        read_summary(tmp_path / "other.csv")

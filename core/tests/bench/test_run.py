"""Benchmarks from end to end: rows for whatever happens, resume, equal bytes, regressions."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ronchi.bench.regression import regressions
from ronchi.bench.run import BenchResult, run_bench
from ronchi.bench.summary import print_summary, write_summary
from ronchi.cli.main import main
from ronchi.errors import ConfigError


def _run(bench: dict[str, Any], **options: Any) -> BenchResult:
    result = run_bench(bench, stream=io.StringIO(), **options)
    write_summary(result)
    return result


def test_two_runs_of_one_seed_agree_byte_for_byte_and_the_second_runs_nothing(small: dict[str, Any]) -> None:
    small["steps"]["load"]["vary"] = {"dose_e": [2000.0, 20000.0]}
    small["protocol"] = {"repeats": 2}
    first = _run(small, out="a")
    again = io.StringIO()
    run_bench(small, out="a", stream=again)
    assert again.getvalue() == "8 cells, 8 of them known\n"
    fresh = _run(small, out="b")
    for name in ("results.csv", "cells.csv", "summary.csv", "differences.csv"):
        assert (first.out_dir / name).read_bytes() == (fresh.out_dir / name).read_bytes()
    assert all(status == "done" for _, _, status, _ in first.table.cells)
    assert "score.median_px" in print_summary(first)
    assert "worse" in print_summary(first)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "status", "told"),
    [
        ("raise", "failed", "a planted fault"),
        ("hang", "timeout", "more than 30 s"),
        ("die", "crashed", "signal 9"),
        ("eat", "memory", "more than 1500"),
    ],
)
def test_a_cell_that_fails_is_a_row_and_the_rest_goes_on(
    small: dict[str, Any], how: str, status: str, told: str
) -> None:
    small["steps"]["find"]["disk_detector"].append({"name": "direct", "as": "bad", "params": {"how": how}})
    small["protocol"] = {"timeout_s": 30, "memory_mb": 1500}
    result = _run(small)
    ended = {factors[-1]: (state, error) for factors, _, state, error in result.table.cells}
    assert ended["near"][0] == ended["far"][0] == "done"
    assert ended["bad"][0] == status
    assert told in ended["bad"][1]
    assert status in print_summary(result)


def test_an_algorithm_that_is_not_installed_is_an_error_or_a_row(small: dict[str, Any]) -> None:
    small["steps"]["find"]["disk_detector"].append("absent-detector")
    with pytest.raises(ConfigError, match="absent-detector"):
        run_bench(small, stream=io.StringIO())
    result = _run(small, skip_missing=True)
    assert [status for _, _, status, _ in result.table.cells] == ["done", "done", "skipped"]


def test_wrong_parameters_are_told_before_anything_runs(small: dict[str, Any]) -> None:
    small["steps"]["find"]["disk_detector"][1]["params"] = {"ofset_px": 1.0}
    with pytest.raises(ConfigError, match="did you mean 'offset_px'"):
        run_bench(small, stream=io.StringIO())
    assert not Path("small-bench/rows").exists()


def test_time_is_measured_in_a_warm_process(small: dict[str, Any]) -> None:
    small["protocol"] = {"timings": 3}
    result = _run(small)
    times = result.table.values("seconds")
    assert [len(values) for values in times.values()] == [3, 3]
    assert all(0 < value < 20 for values in times.values() for value in values)


def test_a_planted_regression_is_caught_and_an_improvement_is_not(small: dict[str, Any], tmp_path: Path) -> None:
    before = _run(small, out="before").out_dir / "summary.csv"
    assert regressions(before, before) == []
    small["steps"]["find"]["disk_detector"][1]["params"] = {"offset_px": 0.65}
    worse = _run(small, out="worse").out_dir / "summary.csv"
    found = regressions(worse, before)
    assert any("far" in line and "median_px" in line for line in found)
    assert not any("near" in line for line in found)
    assert regressions(before, worse) == []


def test_the_command_prints_the_summary_and_fails_on_a_regression(
    small: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import yaml

    path = tmp_path / "bench.yaml"
    path.write_text(yaml.safe_dump(small))
    assert main(["bench", str(path), "-o", "one"]) == 0
    assert "median_px" in capsys.readouterr().out
    summary = Path("one/summary.csv")
    better = "\n".join(
        line.replace(",lower,", ",lower,", 1) if "median_px" not in line else _halved(line)
        for line in summary.read_text().splitlines()
    )
    Path("baseline.csv").write_text(better + "\n")
    assert main(["bench", str(path), "-o", "one", "--check", "baseline.csv"]) == 1
    assert "worse: far score.median_px" in capsys.readouterr().out


def _halved(line: str) -> str:
    *head, median, low, high = line.split(",")
    return ",".join([*head, *(repr(float(value) / 2) for value in (median, low, high))])


def test_repeats_differ_in_their_noise(small: dict[str, Any]) -> None:
    small["protocol"] = {"repeats": 2}
    values = _run(small).table.values("score.rms_px")
    pairs: dict[tuple[str, ...], list[float]] = {}
    for (factors, _), (value,) in values.items():
        pairs.setdefault(factors, []).append(value)
    assert any(not np.isclose(a, b) for a, b in pairs.values())

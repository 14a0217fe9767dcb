"""Tuning: equal trials, data of its own, the best parameters used, all of it on record; and its faults in the file."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ronchi.benchmark.cells import make_cells
from ronchi.benchmark.config import load_bench
from ronchi.benchmark.files import write_files
from ronchi.benchmark.model import BenchConfig
from ronchi.benchmark.run import median_of_all, run_bench
from ronchi.benchmark.summary import write_summary
from ronchi.benchmark.tuning import SEED_OFFSET, Tuned, tune
from ronchi.errors import ConfigError

pytest.importorskip("optuna", reason="tuning needs ronchi[tune]")


def _bench(**tuning: Any) -> dict[str, Any]:
    space = {"low_pass": {"low": 0.05, "high": 0.5}, "template": ["disk", "edge"]}
    return {
        "schema": "ronchi.benchmark/1",
        "name": "tuned",
        "seed": 3,
        "steps": {
            "load": {"simulator": "disks"},
            "find": {
                "disk_detector": [
                    {"name": "crosscorr", "tune": space},
                    {
                        "name": "crosscorr",
                        "as": "hybrid",
                        "params": {"mode": "hybrid"},
                        "tune": {"power": {"low": 0, "high": 1}},
                    },
                    {"name": "crosscorr", "as": "fixed", "params": {"min_snr": 5}},
                ],
                "data": "load",
            },
            "score": {"metric": "peak-rmse", "result": "find", "truth": "load.truth_peaks"},
        },
        "protocol": {"repeats": 2, "tuning": {"trials": 15, "figure": "score.rms_px", **tuning}},
        "compare": {"slot": "find"},
    }


def _params(config: BenchConfig) -> dict[str, Any]:
    (cell, *_) = make_cells(config)
    return dict(cell.pipeline["steps"]["find"].get("params", {}))


@pytest.mark.parametrize("higher", [False, True])
def test_every_entry_with_a_space_gets_its_trials_on_data_of_its_own(higher: bool) -> None:
    config = load_bench({**_bench(repeats=3), "run": {"executor": "process", "vary": {"workers": [1, 2]}}})
    seeds: set[int] = set()
    calls: dict[str, int] = {}

    def evaluate(trial: BenchConfig) -> float:
        cells = make_cells(trial)
        assert len(cells) == 3  # a repeat each, and not one for every number of workers
        seeds.update(cell.pipeline["seed"] for cell in cells)
        params = _params(trial)
        label = params.get("mode", "crosscorr")
        calls[label] = calls.get(label, 0) + 1
        worth = (params.get("low_pass", 0.0) - 0.2) ** 2 + (params.get("template") == "edge")
        worth += (params.get("power", 0.7) - 0.7) ** 2
        return -worth if higher else worth

    tuned_config, tuned = tune(config, higher=higher, evaluate=evaluate)
    assert calls == {"crosscorr": 15, "hybrid": 15}
    assert seeds == {3 + SEED_OFFSET + repeat for repeat in range(3)}
    assert seeds.isdisjoint(cell.pipeline["seed"] for cell in make_cells(tuned_config))
    first, second = tuned
    assert first.params["template"] == "disk"
    # The best of 15 trials over a range of 0.45: one of 15 random ones would be as near on average.
    assert abs(first.params["low_pass"] - 0.2) < 0.1
    assert len(first.trials) == 15
    used = {cell.factors["find"]: cell.pipeline["steps"]["find"]["params"] for cell in make_cells(tuned_config)}
    assert used["crosscorr"] == dict(first.params)
    assert used["hybrid"] == {"mode": "hybrid", **second.params}
    assert used["fixed"] == {"min_snr": 5}


def test_trials_that_fail_are_kept_and_not_chosen() -> None:
    config = load_bench(_bench())

    def evaluate(trial: BenchConfig) -> float:
        return {"disk": math.nan, "edge": 1.0}.get(_params(trial).get("template"), 2.0)

    _, (first, _) = tune(config, higher=False, evaluate=evaluate)
    assert first.params["template"] == "edge"
    assert any(math.isnan(each["value"]) for each in first.trials)
    unchanged, (first, _) = tune(config, higher=False, evaluate=lambda trial: math.nan)
    assert first.params == {}
    assert _params(unchanged) == {}


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_who_fails_on_a_part_of_the_data_has_no_median(missing: int) -> None:
    values = [0.1, 0.2, 0.3]
    assert median_of_all(values, 3) == 0.2
    assert math.isnan(median_of_all(values, 4))
    values[missing] = math.nan
    assert math.isnan(median_of_all(values, 3))


def test_what_no_trial_betters_stays_as_it_comes() -> None:
    config = load_bench(_bench())
    unchanged, (first, _) = tune(config, higher=True, evaluate=lambda trial: -float(len(_params(trial))))
    assert first.params == first.trials[0]["params"] == {}
    assert _params(unchanged) == {}


def test_the_same_seed_searches_the_same() -> None:
    config = load_bench(_bench())
    found = [tune(config, higher=False, evaluate=lambda trial: len(str(_params(trial))))[1] for _ in range(2)]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"protocol": {}}, "nothing says how it is tuned"),
        ({"protocol": {"tuning": {"trials": 5, "figure": "find.rms_px"}}}, "'find' is no metric step"),
        ({"protocol": {"tuning": {"trials": 0, "figure": "score.rms_px"}}}, "at least 1"),
        ({"compare": None}, "only entries of the compared step are tuned"),
    ],
)
def test_faults_are_told(change: dict[str, Any], told: str) -> None:
    bench = {**_bench(), **change}
    if bench["compare"] is None:
        del bench["compare"]
    with pytest.raises(ConfigError, match=told):
        load_bench(bench)


@pytest.mark.parametrize(
    ("space", "told"),
    [({"low": 1, "high": 0}, "low < high"), ({"low": 0, "high": 1, "log": True}, "low > 0 with log"), (3, "low_pass")],
)
def test_a_space_that_is_none_is_told(space: Any, told: str) -> None:
    bench = _bench()
    bench["steps"]["find"]["disk_detector"][0]["tune"] = {"low_pass": space}
    with pytest.raises(ConfigError, match=told):
        load_bench(bench)


@pytest.mark.slow
def test_a_detector_is_tuned_and_then_compared(small: dict[str, Any]) -> None:
    small["steps"]["find"]["disk_detector"] = [
        {"name": "direct", "params": {"offset_px": 0.8}},
        {"name": "direct", "as": "tuned", "tune": {"offset_px": [0.8, 0.0]}},
    ]
    small["protocol"] = {"tuning": {"trials": 3, "figure": "score.rms_px"}}
    result = run_bench(small, stream=(told := io.StringIO()))
    lines = [line for line in told.getvalue().splitlines() if line.startswith("tuning ")]
    assert [line.partition(":")[0] for line in lines] == [f"tuning tuned, trial {i} of 3" for i in (1, 2, 3)]
    write_files(result)
    record = json.loads(Path("small-bench/bench.json").read_text())["tuned"]
    assert record[0]["entry"] == "tuned"
    assert len(record[0]["trials"]) == 3
    assert "Found, and used" in Path("small-bench/report.html").read_text()
    values = {factors[0]: value[0] for (factors, _), value in result.table.values("score.rms_px").items()}
    assert values["tuned"] <= values["direct"]

    lost = Tuned("tuned", {"offset_px": math.inf}, math.nan, ({"params": {}, "value": math.nan},))
    write_summary(replace(result, tuned=(lost,)))
    record = json.loads(Path("small-bench/bench.json").read_text(), parse_constant=pytest.fail)
    assert record["tuned"][0] == {
        "entry": "tuned",
        "params": {"offset_px": "Infinity"},
        "value": None,
        "trials": [{"params": {}, "value": None}],
    }

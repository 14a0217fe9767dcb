"""Benchmark files: what they stand for, and what is wrong with them, by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ronchi.benchmark.cells import cell_source, make_cells
from ronchi.benchmark.config import _TOP, load_bench
from ronchi.benchmark.model import Protocol
from ronchi.cli.main import main
from ronchi.cli.schema import benchmark_schema
from ronchi.errors import ConfigError
from ronchi.pipeline.config import load_config

TEXT = """\
schema: ronchi.benchmark/1
name: doses
seed: 5
steps:
  load:
    simulator: disks
    vary: {dose_e: [100, 1000], radius_px: [4.0]}
  find:
    disk_detector:
      - crosscorr
      - {name: crosscorr, as: phase, params: {mode: phase}}
    data: load
    params: {max_peaks: 50}
  score: {metric: peak-f1, result: find, truth: load.truth_peaks}
protocol: {repeats: 3}
compare: {slot: find, baseline: crosscorr}
"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "bench.yaml"
    path.write_text(text)
    return path


def test_every_combination_is_a_cell_and_every_repeat_has_its_seed(tmp_path: Path) -> None:
    cells = make_cells(load_bench(_write(tmp_path, TEXT)))
    assert len(cells) == 2 * 2 * 3
    assert [cell.number for cell in cells] == list(range(12))
    assert {cell.pipeline["seed"] for cell in cells} == {5, 6, 7}
    assert cells[0].factors == {"load.dose_e": 100, "load.radius_px": 4.0, "find": "crosscorr"}
    phase = next(cell for cell in cells if cell.factors["find"] == "phase")
    assert phase.pipeline["steps"]["find"] == {
        "disk_detector": "crosscorr",
        "data": "load",
        "params": {"max_peaks": 50, "mode": "phase"},
    }


def test_options_of_the_run_vary_like_parameters(tmp_path: Path) -> None:
    text = TEXT.replace("seed: 5\n", "seed: 5\nrun: {executor: process, vary: {workers: [1, 2]}}\n")
    cells = make_cells(load_bench(_write(tmp_path, text)))
    assert len(cells) == 2 * 2 * 2 * 3
    assert {cell.factors["run.workers"] for cell in cells} == {1, 2}
    assert all(
        cell.pipeline["run"] == {"executor": "process", "workers": cell.factors["run.workers"]} for cell in cells
    )
    bad = load_bench(_write(tmp_path, text.replace("[1, 2]", "[1, two]")))
    with pytest.raises(ConfigError, match=r"bench\.yaml:4:46: run\.workers"):
        load_config(cell_source(bad, make_cells(bad)[-1]))
    with pytest.raises(ConfigError, match=r"run\.vary\.workers: expected a list of values, got 2"):
        load_bench(_write(tmp_path, text.replace("[1, 2]", "2")))
    with pytest.raises(ConfigError, match=r"yaml:4:\d+: run\.vary\.workers\.1: 2 is there twice"):
        load_bench(_write(tmp_path, text.replace("[1, 2]", "[2, 2]")))
    with pytest.raises(ConfigError, match=r"run\.vary\.workers: is fixed under `run` too"):
        load_bench(_write(tmp_path, text.replace("{executor", "{workers: 3, executor")))
    with pytest.raises(ConfigError, match=r"load\.vary\.radius_px: is fixed under `params` too"):
        load_bench(_write(tmp_path, TEXT.replace("    vary:", "    params: {radius_px: 3}\n    vary:")))


def test_a_run_in_which_nothing_varies_is_one(tmp_path: Path) -> None:
    for vary in ("{}", ""):
        text = TEXT.replace("seed: 5\n", f"seed: 5\nrun: {{threads: 1, vary: {vary}}}\n")
        config = load_bench(_write(tmp_path, text))
        cells = make_cells(config)
        assert len(cells) == 2 * 2 * 3
        load_config(cell_source(config, cells[0]))


def test_a_cell_is_a_pipeline_that_loads(tmp_path: Path) -> None:
    config = load_bench(_write(tmp_path, TEXT))
    for cell in make_cells(config):
        assert load_config(cell_source(config, cell)).seed == cell.pipeline["seed"]


def test_faults_of_a_cell_point_into_the_benchmark(tmp_path: Path) -> None:
    config = load_bench(_write(tmp_path, TEXT))
    cell = next(cell for cell in make_cells(config) if cell.factors["find"] == "phase")
    source = cell_source(config, cell)
    assert source.where(("steps", "find", "params", "mode")) == "bench.yaml:11:53"
    assert source.where(("steps", "find", "disk_detector")).startswith("bench.yaml:11:")
    assert source.where(("steps", "load", "params", "dose_e")) == "bench.yaml:7:21"
    assert source.where(("steps", "find", "params", "max_peaks")) == "bench.yaml:13:25"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("protocol:", "protocoll:", "did you mean 'protocol'"),
        ("slot: find", "slot: fnd", "did you mean 'find'"),
        (
            "slot: find",
            "slot: find, figures: [seconds, scor.f1]",
            "'scor' is no metric step\n  -> did you mean 'score'?",
        ),
        ("baseline: crosscorr", "baseline: cross", "did you mean 'crosscorr'"),
        ("as: phase, ", "", "two entries are called 'crosscorr'"),
        ("repeats: 3", "repeats: 0", "bench.yaml:15:"),
        ("dose_e: [100, 1000]", "dose_e: 100", "expected a list of values"),
        ("repeats: 3", "timings: 2, jobs: 2", "slow each other down"),
        ("params: {max_peaks: 50}", "params: {max_peaks: 50}\n    vary: {max_peaks: [1]}", "fixed under `params` too"),
        ("name: crosscorr, as", "nme: crosscorr, as", "expected an algorithm"),
        ("  score: {metric: peak-f1, result: find, truth: load.truth_peaks}\n", "", "no metric"),
        ("ronchi.benchmark/1", "ronchi.benchmark/2", "bench.yaml:1:"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in TEXT
    with pytest.raises(ConfigError) as caught:
        load_bench(_write(tmp_path, TEXT.replace(old, new)))
    assert told in str(caught.value)


def test_validate_checks_a_benchmark_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _write(tmp_path, TEXT)
    assert main(["validate", str(path)]) == 0
    assert "valid, 12 combinations" in capsys.readouterr().out
    assert main(["validate", str(_write(tmp_path, TEXT.replace("mode: phase", "mood: phase")))]) == 2
    assert "bench.yaml:11:" in capsys.readouterr().err


def test_the_json_schema_says_what_is_read(tmp_path: Path) -> None:
    schema = benchmark_schema()
    assert set(schema["properties"]) == set(_TOP)
    assert set(schema["properties"]["protocol"]["properties"]) == set(Protocol.model_fields)

"""Tuning: what is checked before, what is tried, what is stopped early, and what comes out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ronchi.cli.main import main
from ronchi.errors import ConfigError, OutputError, PluginError
from ronchi.manager import Manager, get_manager
from ronchi.training import load_training
from ronchi.tuning.config import load_tuning
from ronchi.tuning.record import Trial
from ronchi.tuning.search import run_tuning

CODE = """
from pathlib import Path
from ronchi.api import AlgorithmSpec, DataError, Field, Params, hookimpl


class P(Params):
    pass


class Inner(Params):
    width: int = Field(1, ge=1, le=9)


class T(Params):
    library: Path
    rate: float = Field(1.0, gt=0)
    inner: Inner = Inner()
    looks: int = 9
    fails: bool = False
    fails_late: bool = False


class Trainer:
    watch = staticmethod(lambda figures: None)

    def __init__(self, params):
        self.params = params

    def train(self, folder, ctx, create):
        p = self.params
        if p.fails:
            raise DataError("the loss is inf")
        for look in range(p.looks):
            self.watch({"loss": (p.rate - 0.1) ** 2 + abs(p.inner.width - 7) + 1 / (1 + look) - p.fails_late})
        if p.fails_late:
            raise DataError("the loss is inf")
        (folder / "done").write_text(str(p.library))
        return {}


class Silent(Trainer):
    watch = property()

    def train(self, folder, ctx, create):
        return {}


@hookimpl
def ronchi_disk_detectors():
    for name, trainer in (("learner", "Trainer"), ("silent", "Silent")):
        yield AlgorithmSpec(name=name, summary="Learns.", params=P, factory="toy_tuned:P",
                            trainer=f"toy_tuned:{trainer}", training=T, inputs={"data": "fourd/1"}, output="peaks/1")
"""
TEXT = """\
schema: ronchi.tuning/1
name: toy
seed: 4
trials: 12
grace: 2
search:
  inner.width: {low: 1, high: 9, whole: true}
  rate: {low: 0.001, high: 1.0, log: true}
params: {library: lib.zarr}
"""


@pytest.fixture
def manager(make_dist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manager:  # type: ignore[no-untyped-def]
    site = make_dist("ronchi-toy", "[ronchi.disk_detectors]\nlearner = toy_tuned\nsilent = toy_tuned\n")
    (site / "toy_tuned.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    found = Manager()
    for module in ("search", "trial"):
        monkeypatch.setattr(f"ronchi.tuning.{module}.get_manager", lambda: found)
    monkeypatch.setattr("ronchi.manager.get_manager", lambda: found)
    return found


def _config(**changes: Any) -> Path:
    path = Path("toy.yaml")
    path.write_text(yaml.safe_dump({**yaml.safe_load(TEXT), **changes}))
    return path


def test_a_search_that_is_stopped_has_left_what_it_learned(manager: Manager, tmp_path: Path) -> None:
    heard: list[Trial] = []

    def stop_after_two(trial: Trial) -> None:
        heard.append(trial)
        if len(heard) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_tuning(load_tuning("learner", _config(), manager=manager), tmp_path / "out", told=stop_after_two)
    assert len(json.loads((tmp_path / "out" / "tuning.json").read_text())) == 2


def test_trainings_that_never_look_are_no_search(manager: Manager, tmp_path: Path) -> None:
    config = load_tuning("learner", _config(params={"library": "l", "looks": 0}, trials=2), manager=manager)
    with pytest.raises(OutputError, match="no training came to its end: it never looked"):
        run_tuning(config, tmp_path / "out", told=lambda trial: None)
    assert not (tmp_path / "out" / "best.yaml").exists()


def test_a_search_finds_what_is_good_and_stops_what_is_not(manager: Manager, tmp_path: Path) -> None:
    told: list[Trial] = []
    trials = run_tuning(load_tuning("learner", _config(), manager=manager), tmp_path / "out", told=told.append)
    assert len(trials) == len(told) == 12
    assert [trial.loss for trial in trials] == sorted(trial.loss for trial in trials)
    assert trials[0].looks == 9
    assert min(trial.looks for trial in trials) in range(2, 9)  # seed 4: some are stopped, none before the grace
    assert abs(trials[0].params["inner.width"] - 7) <= 2
    kept = json.loads((tmp_path / "out" / "tuning.json").read_text())
    assert [each["loss"] for each in kept] == [trial.loss for trial in trials]
    best = load_training("learner", tmp_path / "out" / "best.yaml", manager=manager)
    assert best.params.inner.width == trials[0].params["inner.width"]  # type: ignore[attr-defined]
    # The file is in another folder than the one that named the library.
    assert best.params.library == tmp_path / "lib.zarr"  # type: ignore[attr-defined]
    assert best.seed == 4


def test_the_same_seed_tries_the_same(manager: Manager, tmp_path: Path) -> None:
    config = load_tuning("learner", _config(trials=4), manager=manager)
    runs = [run_tuning(config, tmp_path / name, told=lambda trial: None) for name in "ab"]
    assert runs[0] == runs[1]


def test_choices_may_be_anything(manager: Manager, tmp_path: Path) -> None:
    search = {"inner": [{"width": 7}, {"width": 2}], "looks": [3]}
    trials = run_tuning(
        load_tuning("learner", _config(search=search, trials=6), manager=manager),
        tmp_path / "o",
        told=lambda trial: None,
    )
    assert trials[0].params == {"inner": {"width": 7}, "looks": 3}


@pytest.mark.parametrize("fails", ["fails", "fails_late"])
def test_a_training_that_fails_is_a_bad_one(manager: Manager, tmp_path: Path, fails: str) -> None:
    config = load_tuning("learner", _config(search={fails: [True, False]}, trials=6), manager=manager)
    trials = run_tuning(config, tmp_path / "some", told=lambda trial: None)
    assert {bool(trial.error) for trial in trials} == {True, False}
    assert not trials[0].error, "whatever its looks before it failed"
    assert f"{fails}: true" not in (tmp_path / "some" / "best.yaml").read_text()
    config = load_tuning("learner", _config(search={fails: [True]}, trials=2), manager=manager)
    with pytest.raises(OutputError, match="the loss is inf"):
        run_tuning(config, tmp_path / "all", told=lambda trial: None)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"search": {"inner.widht": [1]}}, "widht"),
        ({"search": {"inner.width": {"low": 1, "high": 12, "whole": True}}}, "must be at most 9"),
        ({"search": {}}, "is missing"),
        ({"search": {"rate": {"low": 2, "high": 1}}}, "low < high"),
        ({"jobs": 2}, "engine: ray"),
        ({"engine": "hyperopt"}, "engine"),
        ({"trails": 3}, "trials"),
    ],
)
def test_faults_are_found_before_anything_is_trained(manager: Manager, changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        load_tuning("learner", _config(**changes), manager=manager)


def test_what_is_not_installed_or_tells_nothing_is_told(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PluginError, match="tells nothing"):
        run_tuning(load_tuning("silent", _config(), manager=manager), tmp_path / "s", told=lambda trial: None)
    for engine, module, extra in (("ray", "ray", "ray"), ("optuna", "optuna", "tune")):
        monkeypatch.setitem(sys.modules, module, None)
        config = load_tuning("learner", _config(engine=engine), manager=manager)
        with pytest.raises(PluginError, match=rf"ronchi\[{extra}\]"):
            run_tuning(config, tmp_path / engine, told=lambda trial: None)


def test_the_command(manager: Manager, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "learner", str(_config(trials=2)), "-o", "out"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("loss ") for line in lines) == 2
    assert lines[-1].endswith("best.yaml")


def test_what_learns_nothing_is_tuned_by_a_benchmark() -> None:
    pytest.importorskip("ronchi_crosscorr", reason="the plugin ronchi-crosscorr is not installed")
    with pytest.raises(ConfigError, match=r"nothing called 'crosscorr' can be trained[\s\S]*`protocol: \{tuning: …\}`"):
        load_tuning("crosscorr", {"schema": "ronchi.pipeline/1"}, manager=get_manager())

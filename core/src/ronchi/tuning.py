"""Search for the parameters of a training: many trainings, the worse of which are stopped early."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ronchi.atomic import all_or_nothing
from ronchi.bench.config import Range
from ronchi.bench.tuning import suggest
from ronchi.errors import DataError, OutputError, PluginError
from ronchi.manager import Manager, get_manager
from ronchi.pipeline.faults import note_validation_error, validated_head
from ronchi.pipeline.outputs import check_writable
from ronchi.pipeline.source import Source, read_source
from ronchi.training import SCHEMA as TRAINING
from ronchi.training import TrainingOptions, load_training, run_training

__all__ = ["REDUCTION", "SCHEMA", "Trial", "TuningConfig", "load_tuning", "run_trial", "run_tuning"]

SCHEMA = "ronchi.tuning/1"
_TOP = ("schema", "name", "seed", "run", "engine", "trials", "jobs", "grace", "search", "params")
REDUCTION = 3
"""Of trainings that come to the same number of looks, one in so many goes on."""

Space = Mapping[str, Range | list[Any]]


class _Head(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_: Literal["ronchi.tuning/1"] = Field(alias="schema")
    name: str = Field(default="tuning", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(default=0, ge=0)
    run: TrainingOptions = TrainingOptions()
    trials: int = Field(default=20, ge=1)
    engine: Literal["optuna", "ray"] = "optuna"
    jobs: int = Field(default=1, ge=1)
    grace: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _has_processes(self) -> Self:
        if self.jobs > 1 and self.engine == "optuna":
            raise ValueError("several `jobs` at a time need `engine: ray`")
        return self


@dataclass(frozen=True)
class TuningConfig:
    """A tuning file that was checked.

    Parameters
    ----------
    algorithm : str
        What is trained.
    training : mapping
        A training file without what is searched for.
    base : Path
        Where its relative paths start.
    space : mapping
        Dotted name of a parameter to a range or a list of choices.
    name, seed
    engine : str
        ``"optuna"``, one training after the other in this process; ``"ray"``, in processes of Ray's.
    trials, jobs : int
        Trainings in all, and at a time; Optuna has one.
    grace : int
        Looks at held-out data before a training may be stopped as one of the worse.
    """

    algorithm: str
    training: Mapping[str, Any]
    base: Path
    space: Space
    name: str
    seed: int
    engine: str
    trials: int
    jobs: int
    grace: int


@dataclass(frozen=True)
class Trial:
    """One training: lowest loss of its looks at held-out data, NaN if it failed before the first, and their number."""

    params: Mapping[str, Any]
    loss: float
    looks: int
    error: str = ""


def load_tuning(algorithm: str, origin: str | Path | Mapping[str, Any], *, manager: Manager) -> TuningConfig:
    """Read a tuning file and check it, the ends of all ranges and all choices included.

    Raises
    ------
    ConfigError
        With the field and what is allowed; or nothing of that name is trained.
    """
    source = read_source(origin)
    head = validated_head(source, _Head, _TOP, SCHEMA)
    space = _space(source)
    source.check()
    assert head is not None
    params = copy.deepcopy(source.data.get("params") or {})
    training = {"schema": TRAINING, "name": head.name, "seed": head.seed, "params": params,
                "run": head.run.model_dump()}  # fmt: skip
    made = TuningConfig(
        algorithm, training, source.base, space, head.name, head.seed, head.engine, head.trials, head.jobs, head.grace
    )
    first = {name: _extremes(span)[0] for name, span in space.items()}
    for name, span in space.items():
        for value in _extremes(span):
            load_training(algorithm, _training(made, {**first, name: value}), base=source.base, manager=manager)
    return made


def run_tuning(config: TuningConfig, out: Path, *, told: Callable[[Trial], None]) -> list[Trial]:
    """Search, and leave ``tuning.json`` with all trials and ``best.yaml``, a training file with the best parameters.

    Parameters are chosen by a tree of Parzen estimators, and the worse trainings stopped by asynchronous successive
    halving (Li et al., MLSys 2020, arXiv:1810.05934), whichever engine runs them.

    Parameters
    ----------
    out : Path
        Folder; those of the trainings are in it too.
    told : callable
        Called with every trial as it ends.

    Returns
    -------
    list of Trial
        Best first.

    Raises
    ------
    PluginError
        The engine is not installed, or what is trained tells nothing while it learns.
    OutputError
        No trial came to a look at held-out data.
    """
    check_writable(out, "-o")
    ended: list[Trial] = []

    def keep(trial: Trial) -> None:
        # At once: a search that is stopped after hours has what it learned.
        ended.append(trial)
        _write_trials(out, ended)
        told(trial)

    if config.engine == "ray":
        from ronchi.tuning_ray import search_with_ray

        trials = search_with_ray(config, out, keep)
    else:
        trials = _search_with_optuna(config, out, keep)
    trials.sort(key=lambda trial: trial.loss if math.isfinite(trial.loss) else math.inf)
    _write_trials(out, trials)
    if not math.isfinite(trials[0].loss):
        errors = next((trial.error for trial in trials if trial.error), "")
        what = f"no training came to a look at held-out data{': ' if errors else ''}{errors}"
        raise OutputError(what, where=str(out), fix="more steps, smaller ones, or data that can be read")
    _write_best(out, config, trials[0])
    return trials


def run_trial(
    config: TuningConfig, values: Mapping[str, Any], folder: Path, watch: Callable[[Mapping[str, float]], None]
) -> None:
    """One training with these parameters; `watch` may raise to stop it."""
    manager = get_manager()
    training = load_training(config.algorithm, _training(config, values), base=config.base, manager=manager)
    folder.mkdir(parents=True, exist_ok=True)
    run_training(training, folder, manager=manager, progress=False, watch=watch)


def _search_with_optuna(config: TuningConfig, out: Path, told: Callable[[Trial], None]) -> list[Trial]:
    """One training after the other, in this process."""
    try:
        import optuna
    except ImportError as error:
        raise PluginError("tuning needs Optuna, which is not installed", fix='pip install "ronchi[tune]"') from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="minimize",
        sampler=optuna.samplers.TPESampler(seed=config.seed),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=config.grace, reduction_factor=REDUCTION),
    )
    trials = []
    for number in range(config.trials):
        asked = study.ask()
        values = {name: suggest(asked, name, span) for name, span in config.space.items()}
        looks: list[float] = []

        def watch(figures: Mapping[str, float], asked: Any = asked, looks: list[float] = looks) -> None:
            looks.append(float(figures["loss"]))
            asked.report(looks[-1], len(looks))
            if asked.should_prune():
                raise optuna.TrialPruned

        state, failed = optuna.trial.TrialState.COMPLETE, ""
        try:
            run_trial(config, values, out / "trainings" / str(number), watch)
        except optuna.TrialPruned:
            state = optuna.trial.TrialState.PRUNED
        except DataError as error:
            # With too large steps the loss becomes infinite: a bad choice, after which the search goes on.
            state, failed = optuna.trial.TrialState.FAIL, str(error)
        if state is optuna.trial.TrialState.COMPLETE and not looks:
            state, failed = optuna.trial.TrialState.FAIL, "it never looked at held-out data"
        study.tell(asked, min(looks) if state is optuna.trial.TrialState.COMPLETE else None, state)
        trials.append(Trial(values, min(looks, default=math.nan), len(looks), failed))
        told(trials[-1])
    return trials


def _training(config: TuningConfig, values: Mapping[str, Any]) -> dict[str, Any]:
    """Training file with these parameters, by dotted names."""
    made: dict[str, Any] = copy.deepcopy(dict(config.training))
    for dotted, value in values.items():
        *path, last = dotted.split(".")
        at = made["params"]
        for part in path:
            at = at.setdefault(part, {})
        at[last] = value
    return made


def _space(source: Source) -> dict[str, Range | list[Any]]:
    raw = source.data.get("search")
    if not isinstance(raw, dict) or not raw:
        source.fault(("search",), "is missing", "search: {PARAMETER: {low: 0, high: 1}} or {PARAMETER: [a, b]}")
        return {}
    made: dict[str, Range | list[Any]] = {}
    for name, span in raw.items():
        if isinstance(span, list) and span:
            made[str(name)] = span
            continue
        try:
            made[str(name)] = Range.model_validate(span)
        except ValidationError as error:
            note_validation_error(source, ("search", name), error, Range)
    return made


def _extremes(span: Range | list[Any]) -> list[Any]:
    if isinstance(span, list):
        return span
    return [round(span.low), round(span.high)] if span.whole else [span.low, span.high]


def _write_trials(out: Path, trials: Sequence[Trial]) -> None:
    told = [{**asdict(trial), "loss": trial.loss if math.isfinite(trial.loss) else None} for trial in trials]
    _write(out / "tuning.json", json.dumps(told, indent=1, allow_nan=False) + "\n")


def _write_best(out: Path, config: TuningConfig, trial: Trial) -> None:
    best = _training(config, trial.params)
    # With the paths of the tuning file, which may lie elsewhere.
    params = load_training(config.algorithm, best, base=config.base, manager=get_manager()).params
    best["params"] = params.model_dump(mode="json")
    _write(out / "best.yaml", f"# ronchi train {config.algorithm} best.yaml\n" + yaml.safe_dump(best, sort_keys=False))


def _write(path: Path, text: str) -> None:
    with all_or_nothing(path, path.suffix, len(text)) as temporary:
        temporary.write_text(text, encoding="utf-8")

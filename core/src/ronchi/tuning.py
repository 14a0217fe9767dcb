"""Search for the parameters of a training: many trainings, the worse of which are stopped early."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ronchi.atomic import all_or_nothing
from ronchi.bench.model import Range
from ronchi.errors import DataError, OutputError
from ronchi.manager import Manager, get_manager
from ronchi.pipeline.faults import FILE_NAME, note_validation_error, validated_head
from ronchi.pipeline.outputs import check_writable, sole_writer
from ronchi.pipeline.source import Source, read_source
from ronchi.training import SCHEMA as TRAINING
from ronchi.training import TrainingOptions, load_training, run_training
from ronchi.tuning_record import Looks, Trial, begun, open_search, training_folder, write_trials
from ronchi.tuning_study import Space, Study

__all__ = ["SCHEMA", "Trial", "TuningConfig", "load_tuning", "run_trial", "run_tuning"]

SCHEMA = "ronchi.tuning/1"
_TOP = ("schema", "name", "seed", "run", "engine", "trials", "jobs", "grace", "search", "params")


class _Head(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_: Literal["ronchi.tuning/1"] = Field(alias="schema")
    name: str = Field(default="tuning", pattern=FILE_NAME)
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

    In the folder of a search that was stopped it goes on: trainings that ended are not repeated, one that was stopped
    goes on from its last checkpoint, and one after the other, what is tried is what would have been tried without the
    stop. Engine, number of trials and where the work is done may change on the way. While another search writes to the
    folder, it waits.

    Parameters
    ----------
    out : Path
        Folder; those of the trainings are in it too.
    told : callable
        Called with every trial as it ends, not with those that ended before.

    Returns
    -------
    list of Trial
        Best first, those that ended before included.

    Raises
    ------
    PluginError
        The engine is not installed, or what is trained tells nothing while it learns.
    OutputError
        The folder holds another search, or no trial came to a look at held-out data.
    """
    check_writable(out, "-o")
    with sole_writer(out, lambda note: sys.stderr.write(f"{note}\n")):
        study = Study(config.space, seed=config.seed, grace=config.grace)
        ended = open_search(out, _identity(config))
        for trial in ended:
            study.replay(trial)

        def keep(trial: Trial) -> None:
            study.tell(trial)
            ended.append(trial)
            # At once: a search that is stopped after hours has what it learned.
            write_trials(out, ended)
            told(trial)

        numbers = sorted(set(range(config.trials)) - {trial.number for trial in ended})
        if config.engine == "ray":
            from ronchi.tuning_ray import search_with_ray

            search_with_ray(config, out, numbers, study, keep)
        else:
            _search_in_turn(config, out, numbers, study, keep)
        trials = sorted(ended, key=lambda trial: trial.loss if math.isfinite(trial.loss) else math.inf)
        write_trials(out, trials)
        if not math.isfinite(trials[0].loss):
            errors = next((trial.error for trial in trials if trial.error), "")
            what = f"no training came to a look at held-out data{': ' if errors else ''}{errors}"
            raise OutputError(what, where=str(out), fix="more steps, smaller ones, or data that can be read")
        _write_best(out, config, trials[0])
        return trials


def run_trial(
    config: TuningConfig, values: Mapping[str, Any], folder: Path, watch: Callable[[Sequence[float]], None]
) -> None:
    """One training with these parameters, or the rest of it.

    Parameters
    ----------
    watch : callable
        Told the losses of all looks so far, after every look, and at once if there were some before; may raise to
        stop the training.
    """
    manager = get_manager()
    training = load_training(config.algorithm, _training(config, values), base=config.base, manager=manager)
    folder.mkdir(parents=True, exist_ok=True)
    looks = Looks(folder, values)
    if looks.losses:
        watch(looks.losses)

    def note(figures: Mapping[str, float]) -> None:
        looks.add(figures)
        watch(looks.losses)

    run_training(training, folder, manager=manager, progress=False, watch=note)


class _WorseError(Exception):
    """A training is one of the worse."""


def _search_in_turn(
    config: TuningConfig, out: Path, numbers: Sequence[int], study: Study, keep: Callable[[Trial], None]
) -> None:
    """One training after the other, in this process."""
    for number in numbers:
        folder = training_folder(out, number)
        values = study.ask(number, begun(folder))
        seen: list[float] = []

        def watch(losses: Sequence[float], number: int = number, seen: list[float] = seen) -> None:
            seen[:] = losses
            if study.is_worse(number, losses):
                raise _WorseError

        error, stopped = "", False
        try:
            run_trial(config, values, folder, watch)
        except _WorseError:
            stopped = True
        except (DataError, RuntimeError, MemoryError) as fault:
            # With too large steps the loss becomes infinite, with too large networks the memory ends: bad choices,
            # after which the search goes on. The trial is kept, or a search that is taken up would begin with it again.
            error = str(fault) or type(fault).__name__
        keep(Trial.of(number, values, seen, error=error, stopped=stopped))


def _identity(config: TuningConfig) -> dict[str, Any]:
    """All that trainings and their order depend on; how many there are and where they run may change."""
    first = {name: _extremes(span)[0] for name, span in config.space.items()}
    # With the paths as they are: the same file elsewhere may name other data.
    made = load_training(config.algorithm, _training(config, first), base=config.base, manager=get_manager()).params
    params = made.model_dump(mode="json", exclude_defaults=True)
    for dotted in config.space:
        *path, last = dotted.split(".")
        at = params
        for part in path:
            at = at.get(part, {})
        at.pop(last, None)
    return {
        "schema": SCHEMA,
        "algorithm": config.algorithm,
        "seed": config.seed,
        "grace": config.grace,
        "search": {name: span.model_dump() if isinstance(span, Range) else span for name, span in config.space.items()},
        "params": params,
    }


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


def _write_best(out: Path, config: TuningConfig, trial: Trial) -> None:
    best = _training(config, trial.params)
    # With the paths of the tuning file, which may lie elsewhere.
    params = load_training(config.algorithm, best, base=config.base, manager=get_manager()).params
    best["params"] = params.model_dump(mode="json")
    path = out / "best.yaml"
    text = f"# ronchi train {config.algorithm} {path.name}\n" + yaml.safe_dump(best, sort_keys=False)
    with all_or_nothing(path, path.suffix, len(text)) as temporary:
        temporary.write_text(text, encoding="utf-8")

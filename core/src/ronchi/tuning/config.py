"""The file of a search for training parameters, checked."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ronchi.benchmark.model import Range
from ronchi.config.faults import FILE_NAME, note_validation_error, validated_head
from ronchi.config.source import Source, read_source
from ronchi.manager import Manager
from ronchi.training import SCHEMA as TRAINING
from ronchi.training import TrainingOptions, load_training, trained_spec
from ronchi.tuning.study import Space

__all__ = ["SCHEMA", "TuningConfig", "TuningOptions", "extremes", "load_tuning", "training_with"]

SCHEMA = "ronchi.tuning/1"
_TOP = ("schema", "name", "seed", "run", "engine", "trials", "jobs", "grace", "search", "params")


class TuningOptions(BaseModel):
    """How a search is done, at the top of its file."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    trials: int = Field(default=20, ge=1, description="Trainings in all.")
    engine: Literal["optuna", "ray"] = Field(
        default="optuna",
        description="optuna: one training after the other; ray: several, in processes of Ray's.",
    )
    jobs: int = Field(default=1, ge=1, description="Trainings at a time, with `engine: ray`.")
    grace: int = Field(
        default=1,
        ge=1,
        description="Looks at held-out data before a training may be stopped as one of the worse.",
    )

    @model_validator(mode="after")
    def _has_processes(self) -> Self:
        if self.jobs > 1 and self.engine == "optuna":
            raise ValueError("several `jobs` at a time need `engine: ray`")
        return self


class _Head(TuningOptions):
    schema_: Literal["ronchi.tuning/1"] = Field(alias="schema")
    name: str = Field(default="tuning", pattern=FILE_NAME)
    seed: int = Field(default=0, ge=0)
    run: TrainingOptions = TrainingOptions()


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
    trained_spec(manager, algorithm)
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
    first = {name: extremes(span)[0] for name, span in space.items()}
    for name, span in space.items():
        for value in extremes(span):
            load_training(algorithm, training_with(made, {**first, name: value}), base=source.base, manager=manager)
    return made


def training_with(config: TuningConfig, values: Mapping[str, Any]) -> dict[str, Any]:
    """The training file with these values of what is searched for, by dotted names."""
    made: dict[str, Any] = copy.deepcopy(dict(config.training))
    for dotted, value in values.items():
        *path, last = dotted.split(".")
        at = made["params"]
        for part in path:
            at = at.setdefault(part, {})
        at[last] = value
    return made


def extremes(span: Range | list[Any]) -> list[Any]:
    """Both ends of a range, or all choices."""
    if isinstance(span, list):
        return span
    return [round(span.low), round(span.high)] if span.whole else [span.low, span.high]


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

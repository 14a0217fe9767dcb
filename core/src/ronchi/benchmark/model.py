"""What a benchmark file says, as data: steps with lists of entries, how they are measured, what is compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ronchi.config.source import Source

__all__ = ["BenchConfig", "Comparison", "Entry", "Protocol", "Range", "Slot", "Tuning"]


class Tuning(BaseModel):
    """The section ``protocol.tuning``: a search with the same number of trials for every entry that has a space."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: int = Field(ge=1, description="Trials an entry: as it comes, then by Optuna's seeded TPE sampler.")
    figure: str = Field(description="score.figure that is made better, over all data.")
    repeats: int = Field(default=1, ge=1, description="Repeats of a trial, with seeds that the benchmark does not use.")


class Range(BaseModel):
    """A range of a parameter to be searched, in the mapping ``tune`` of an entry; a list there is one of choices."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("needs low < high, and low > 0 with log")
        return self


class Protocol(BaseModel):
    """The section ``protocol``: how every combination is measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repeats: int = Field(default=1, ge=1, description="Times that a combination is run, each with a seed of its own.")
    timings: int = Field(
        default=0, ge=0, description="Times that the compared step is timed in a warm process; 0 measures no time."
    )
    warm_up: int = Field(default=1, ge=0, description="Runs of it before the timed ones: imports, compilation.")
    timeout_s: float = Field(default=600.0, gt=0, description="A combination that takes longer is a row that says so.")
    memory_mb: float | None = Field(default=None, gt=0, description="A combination that takes more is stopped.")
    jobs: int = Field(default=1, ge=1, description="Combinations at a time; with timings it must be 1.")
    tuning: Tuning | None = Field(default=None, description="Search for parameters before the comparison.")


class Comparison(BaseModel):
    """The section ``compare``: what is compared with what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slot: str = Field(description="Step whose entries are compared, and which is timed.")
    baseline: str | None = Field(default=None, description="Entry that the others are paired with; the first one.")
    figures: list[str] = Field(default_factory=list, description="score.figure names to compare; all if empty.")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Of the intervals.")


@dataclass(frozen=True)
class Entry:
    """One algorithm in a list, with its own parameters on top of the step's.

    Parameters
    ----------
    label : str
        Name in tables: ``as``, else the algorithm's.
    name : str
    params : mapping
    place : tuple
        Where it stands in the document.
    space : mapping
        Parameters that tuning may change, each a `Range` or a list of choices.
    """

    label: str
    name: str
    params: Mapping[str, Any]
    place: tuple[str | int, ...]
    space: Mapping[str, Range | list[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Slot:
    """A step as written: one kind, one or more algorithms, parameters that may vary."""

    step: str
    kind: str
    entries: tuple[Entry, ...]
    inputs: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    vary: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class BenchConfig:
    """A benchmark whose form is right; its pipelines are checked when they are made."""

    source: Source
    name: str
    about: str
    seed: int
    slots: Mapping[str, Slot]
    protocol: Protocol
    compare: Comparison | None
    run_vary: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Options of ``run`` that vary, such as ``workers``."""

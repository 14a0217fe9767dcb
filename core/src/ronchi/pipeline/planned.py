"""A pipeline whose meaning was checked: its steps, their algorithms and parameters, and the order in which they run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ronchi.api import AlgorithmSpec, Params
from ronchi.pipeline.config import PipelineConfig, StepConfig
from ronchi.pipeline.keys import params_json
from ronchi.pipeline.param_files import without_files
from ronchi.result import StepResult
from ronchi.writing import ChosenWriter

__all__ = ["Plan", "PlannedStep"]


@dataclass(frozen=True)
class PlannedStep:
    """A step with its algorithm found and its parameters checked.

    Parameters
    ----------
    config : StepConfig
    name : str
        Name of the algorithm; ``auto`` is resolved.
    spec : AlgorithmSpec
    dist, version : str
        Distribution that brings it.
    editable : pathlib.Path or None
        Its source folder, if it is installed in place.
    params : Params
        With paths made absolute.
    files : dict of str to pathlib.Path
        Place in the parameters to a file or folder whose content the result depends on, ``masks.0`` for the first of
        several; ``path+1``, ``path+2`` and so on are what a reader opens beside its ``path``.
    """

    config: StepConfig
    name: str
    spec: AlgorithmSpec
    dist: str
    version: str
    editable: Path | None
    params: Params
    files: Mapping[str, Path] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """Parameters that results and random numbers depend on, as JSON types.

        Of files their content counts, not where they lie, nor the name that they are called by.
        """
        params = without_files(self.params)
        return {name: value for name, value in params.items() if name not in self.files}

    def waiting(self) -> StepResult:
        """What a run tells of the step before it has begun."""
        return StepResult(
            step=self.config.step,
            kind=self.config.kind,
            name=self.name,
            summary=self.spec.summary,
            citation=self.spec.citation,
            dist=self.dist,
            version=self.version,
            params=params_json(self.params),
            inputs=dict(self.config.inputs),
        )


@dataclass(frozen=True)
class Plan:
    """A checked pipeline, its steps in an order in which they can run, and the writers of its outputs by name."""

    config: PipelineConfig
    steps: Mapping[str, PlannedStep]
    warnings: tuple[str, ...] = ()
    writers: Mapping[str, ChosenWriter] = field(default_factory=dict)

    def downstream(self, step: str) -> list[str]:
        """Steps that depend on ``step``, directly or not, in order."""
        reached = {step}
        for name, planned in self.steps.items():
            if any(ref.partition(".")[0] in reached for ref in planned.config.inputs.values()):
                reached.add(name)
        return [name for name in self.steps if name in reached and name != step]

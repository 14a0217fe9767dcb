"""The edges of a pipeline: which schemas an input takes, and which a step or a side may give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ronchi.api import AlgorithmSpec
from ronchi.config.source import Source, did_you_mean
from ronchi.pipeline.config import StepConfig

if TYPE_CHECKING:
    from ronchi.pipeline.planned import PlannedStep

__all__ = ["ANY_SCHEMA", "Port", "check_wires", "ports", "producers", "referred"]

ANY_SCHEMA = "*"
"""Schema of an input that takes, or a side that may be, anything."""


@dataclass(frozen=True)
class Port:
    """One input of an algorithm: the schemas it takes, and whether it may be left out."""

    schemas: frozenset[str]
    optional: bool


def ports(spec: AlgorithmSpec) -> dict[str, Port]:
    """Inputs of an algorithm by name."""
    return {name.removesuffix("?"): Port(_schemas(text), name.endswith("?")) for name, text in spec.inputs.items()}


def _schemas(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in (text or ANY_SCHEMA).split("|"))


def check_wires(
    source: Source, step: StepConfig, steps: Mapping[str, StepConfig], planned: Mapping[str, PlannedStep]
) -> None:
    """Note the inputs of a step that are unknown, missing, or of a schema that it does not take."""
    at = ("steps", step.step)
    known = ports(planned[step.step].spec) if step.step in planned else None
    for name, reference in step.inputs.items():
        if known is not None and name not in known:
            fix = did_you_mean(name, known, f"inputs: {', '.join(known) or 'none'}; parameters go under `params`")
            source.fault((*at, name), f"unknown input of {step.name!r}", fix, key=True)
            continue
        if known is None and step.kind == "reader" and name == "path":
            # It has been told that this is a parameter.
            continue
        schemas = referred(source, (*at, name), reference, steps, planned)
        if known is None or not schemas:
            continue
        wanted = known[name].schemas
        if ANY_SCHEMA not in wanted | schemas and not wanted & schemas:
            have, want = " or ".join(sorted(schemas)), " or ".join(sorted(wanted))
            fix = producers(want, wanted, planned)
            source.fault((*at, name), f"{reference!r} is {have}, but {step.name!r} takes {want}", fix)
    for name, port in (known or {}).items():
        if not port.optional and name not in step.inputs:
            want = " or ".join(sorted(port.schemas))
            source.fault((*at, name), f"the input is missing: {step.name!r} takes {want}", f"{name}: STEP")


def producers(want: str, wanted: frozenset[str], planned: Mapping[str, PlannedStep]) -> str:
    """The steps and sides that give one of the schemas, as advice."""
    names = [name for name, step in planned.items() if _schemas(step.spec.output) & wanted]
    sides = [
        f"{name}.{side}"
        for name, step in planned.items()
        for side, text in step.spec.sides.items()
        if _schemas(text) & wanted
    ]
    found = ", ".join(names + sides)
    return f"steps that give {want}: {found}" if found else f"add a step that gives {want}"


def referred(
    source: Source,
    at: tuple[str, ...],
    reference: str,
    steps: Mapping[str, StepConfig],
    planned: Mapping[str, PlannedStep],
) -> frozenset[str]:
    """Schemas that a reference may stand for; empty if unknown, with the fault noted."""
    name, dot, side = reference.partition(".")
    if name not in steps:
        source.fault(at, f"there is no step {name!r}", did_you_mean(name, steps, f"steps: {', '.join(steps)}"))
        return frozenset()
    if name not in planned:
        return frozenset()
    spec = planned[name].spec
    if not dot:
        return _schemas(spec.output)
    if side in spec.sides:
        return _schemas(spec.sides[side])
    if ANY_SCHEMA in spec.sides:
        return frozenset({ANY_SCHEMA})
    fix = did_you_mean(side, spec.sides, f"side outputs of {name!r}: {', '.join(spec.sides) or 'none'}")
    source.fault(at, f"{name!r} has no side output {side!r}", fix)
    return frozenset()

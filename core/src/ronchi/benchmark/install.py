"""What algorithms need besides Python packages of this environment, made before a benchmark runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ronchi.benchmark.outcome import Outcome
from ronchi.pipeline.planned import Plan, PlannedStep

__all__ = ["CAPABILITY", "install"]

CAPABILITY = "install"
"""Capability of an algorithm whose object has ``install(tell)``: it makes what the algorithm needs, once."""


def install(plans: Mapping[int, Plan], tell: Callable[[str], None]) -> dict[int, Outcome]:
    """Let every algorithm that can do so make what it needs, once.

    Parameters
    ----------
    plans : mapping of int to Plan
        By the number of the cell.
    tell : callable
        Gets a line about what is made, and about what cannot be made.

    Returns
    -------
    dict of int to Outcome
        Of the cells whose algorithms lack what could not be made.
    """
    errors: dict[tuple[str, str, str], str] = {}
    outcomes: dict[int, Outcome] = {}
    for number, plan in plans.items():
        for name, step in plan.steps.items():
            if CAPABILITY not in step.spec.capabilities:
                continue
            key = (step.dist, step.name, step.params.model_dump_json())
            if key not in errors:
                errors[key] = _installed(step, tell)
            if errors[key]:
                outcomes[number] = Outcome(status="failed", error=f"{name}: {errors[key]}")
    return outcomes


def _installed(step: PlannedStep, tell: Callable[[str], None]) -> str:
    """What went wrong, or nothing."""
    try:
        step.spec.create(step.params).install(tell)
    except Exception as error:  # noqa: BLE001 - it costs the cells of this algorithm, whatever it is
        tell(f"{step.name}: {error}")
        return str(error) or type(error).__name__
    return ""

"""What algorithms need besides Python packages of this environment, made before a benchmark runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ronchi.pipeline.plan import Plan

__all__ = ["CAPABILITY", "install"]

CAPABILITY = "install"
"""Capability of an algorithm whose object has ``install(tell)``: it makes what the algorithm needs, once."""


def install(plans: Iterable[Plan], tell: Callable[[str], None]) -> None:
    """Let every algorithm that can do so make what it needs.

    Raises
    ------
    RonchiError
        What an algorithm needs cannot be made.
    """
    steps = [step for plan in plans for step in plan.steps.values() if CAPABILITY in step.spec.capabilities]
    for step in {(step.dist, step.name, step.params.model_dump_json()): step for step in steps}.values():
        step.spec.create(step.params).install(tell)

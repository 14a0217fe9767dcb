"""Faults of a pipeline that show once its files are open: found before any long step, at their place in the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import get_args

from ronchi import schema
from ronchi.api import Result
from ronchi.errors import PluginError, RonchiError
from ronchi.pipeline.planned import Plan, PlannedStep
from ronchi.pipeline.wiring import ANY_SCHEMA, ports, producers
from ronchi.result import RunResult, StepResult
from ronchi.schema import fourd, images

__all__ = ["check_opened", "check_scan"]

_CONTENTS = {"patterns": fourd.NAME, "images": images.NAME}
"""What a reader's parameter ``content`` may be, and what it then gives."""


def check_opened(plan: Plan, made: Mapping[str, StepResult | Result]) -> None:
    """Compare what the readers have opened with what the steps take: a reader may give several schemas.

    Parameters
    ----------
    plan : Plan
    made : mapping
        What the readers have opened, by step; other steps may be among them.

    Raises
    ------
    ConfigError
        As if it had been known when the pipeline was checked.
    """
    source = plan.config.source
    for name, step in plan.steps.items():
        for key, reference in step.config.inputs.items():
            read, _, side = reference.partition(".")
            if plan.steps[read].config.kind != "reader":
                continue
            opened = made[read]
            if opened.data is None:
                continue
            at = ("steps", name, key)
            if side and side not in opened.sides:
                have = ", ".join(opened.sides) or "none"
                what = f"{read!r} has no side output {side!r} in this file (found: {have})"
                source.fault(at, what, f"leave {name!r} out, or name another input")
                continue
            found = schema.schema_of(opened.sides[side] if side else opened.data)
            wanted = ports(step.spec)[key].schemas
            if ANY_SCHEMA not in wanted and found not in wanted:
                want = " or ".join(sorted(wanted))
                what = f"{reference!r} turned out to be {found}, but {step.name!r} takes {want}"
                others = {other: step for other, step in plan.steps.items() if other not in (name, read)}
                advice = producers(want, wanted, others)
                if retold := "" if side else _retold(plan.steps[read], found, wanted):
                    advice = f"{retold}; otherwise: {advice}"
                source.fault(at, what, advice)
    source.check()


def _retold(step: PlannedStep, found: str, wanted: frozenset[str]) -> str:
    """The parameter ``content``, if the reader has it, by which images are read as patterns or patterns as images."""
    field = step.spec.params.model_fields.get("content")
    allowed = get_args(field.annotation) if field is not None else ()
    for content, name in _CONTENTS.items():
        if content in allowed and name in wanted and found in _CONTENTS.values() and name != found:
            how = f"--set {step.config.step}.params.content={content}"
            return f"if these are {content}: `content: {content}` among the params of {step.config.step!r}, or `{how}`"
    return ""


def check_scan(plan: Plan, run: RunResult, name: str, solvers: Iterable[str]) -> dict[str, str]:
    """Let those of the solvers that will get a detector's peaks look at its scan first.

    A solver may have a method ``check(scan_y, scan_x)``, which raises where its parameters do not suit the scan.

    Returns
    -------
    dict of str to str
        Solvers that will fail, each with what is wrong, at its place in the file; or which cannot be imported.
    """
    detector = plan.steps[name]
    data = run.steps[detector.config.inputs.get("data", "").partition(".")[0]].data if _detects(detector) else None
    if data is None or not {"scan_y", "scan_x"} <= set(data.coords):
        return {}
    source, unfit = plan.config.source, {}
    for solver in solvers:
        step = plan.steps[solver]
        if name not in step.config.inputs.values():
            continue
        try:
            check = getattr(step.spec.create(step.params), "check", None)
            if check is not None:
                check(data["scan_y"], data["scan_x"])
        except PluginError as error:
            unfit[solver] = str(error)
        except RonchiError as error:
            source.fault(("steps", solver, "params", *error.where.split(".")), error.what, error.fix)
            unfit[solver] = str(source.faults.pop())
        except Exception:  # noqa: BLE001 - a plugin may fail in any way, and does so again, in its own step
            continue
    return unfit


def _detects(step: PlannedStep) -> bool:
    return step.config.kind == "disk_detector" and "data" in step.config.inputs

"""From a pipeline's text to its meaning: algorithms, parameters, edges and order, before any data is read."""

from __future__ import annotations

import graphlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ronchi.api import AlgorithmSpec, Params
from ronchi.config.faults import note_validation_error
from ronchi.config.source import Source
from ronchi.errors import ConfigError, OutputError, PluginError, RonchiError
from ronchi.pipeline.config import REPORTS, PipelineConfig, StepConfig
from ronchi.pipeline.param_files import beside, files_in
from ronchi.pipeline.planned import Plan, PlannedStep
from ronchi.pipeline.reader_choice import choose_reader
from ronchi.pipeline.wiring import ANY_SCHEMA, check_wires, referred
from ronchi.writing import ChosenWriter, choose_writer, taken_schemas

if TYPE_CHECKING:
    from ronchi.manager import Manager

__all__ = ["check_code", "make_plan"]


def make_plan(config: PipelineConfig, manager: Manager) -> Plan:
    """Check a pipeline's meaning; only the plugins that it names are imported.

    Raises
    ------
    ConfigError
        All faults together: unknown algorithms, parameters, inputs and steps, wrong schemas,
        cycles, steps that nothing uses, input files that are not there.
    """
    source = config.source
    warnings: list[str] = []
    planned: dict[str, PlannedStep] = {}
    for name, step in config.steps.items():
        found = _plan_step(source, step, manager, warnings)
        if found is not None:
            planned[name] = found
    for step in config.steps.values():
        check_wires(source, step, config.steps, planned)
    order = _order(source, config.steps)
    writers = _plan_outputs(source, config, planned, manager)
    _check_use(source, config)
    source.check()
    return Plan(config, {name: planned[name] for name in order}, tuple(warnings), writers)


def check_code(plan: Plan) -> None:
    """Import the code of all algorithms of a plan and make them, which takes seconds where a large library is needed.

    Raises
    ------
    ConfigError
        All that cannot be made, together.
    """
    source = plan.config.source
    for name, step in plan.steps.items():
        at = ("steps", name, step.config.kind)
        try:
            step.spec.create(step.params)
        except RonchiError as error:
            source.fault(at, error.what, error.fix)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may fail in any way
            what = f"{step.name!r} of {step.dist} {step.version} cannot be made: {type(error).__name__}: {error}"
            source.fault(at, what, f"see `ronchi doctor {step.dist}`, or ask its authors")
    source.check()


def _plan_step(source: Source, step: StepConfig, manager: Manager, warnings: list[str]) -> PlannedStep | None:
    at = ("steps", step.step)
    raw = dict(step.params)
    base = source.base
    path = _reader_path(source, step) if step.kind == "reader" else None
    name = step.name
    if step.kind == "reader" and name == "auto":
        if path is None:
            return None
        try:
            name = choose_reader(path, manager, warnings)
        except RonchiError as error:
            source.fault((*at, step.kind), error.what, error.fix)
            return None
    try:
        spec = manager.spec(step.kind, name)
        dist, version, editable = manager.dist(step.kind, name)
    except PluginError as error:
        source.fault((*at, step.kind), error.what, error.fix)
        return None
    if path is not None:
        raw["path"] = str(path)
        if "path" not in spec.params.model_fields:
            del raw["path"]
    elif step.kind == "reader":
        return None
    try:
        params = spec.params.model_validate(raw)
    except ValidationError as error:
        note_validation_error(source, (*at, "params"), error, spec.params)
        return None
    params = beside(params, base)
    files = ({} if path is None else {"path": path}) | files_in(params)
    for place, file in files.items():
        what, fix = _unreadable(file, base)
        if what:
            parts = (int(part) if part.isdigit() else part for part in place.split("."))
            source.fault((*at, "params", *parts), what, fix)
    try:
        # One that is gone is told of by the algorithm, which knows what to do about it.
        files |= {name: file for name, file in spec.files_of(params).items() if name not in files and file.exists()}
    except PluginError as error:
        source.fault((*at, step.kind), error.what, error.fix)
        return None
    except RonchiError as error:
        named = [error.where] if error.where in spec.params.model_fields else []
        source.fault((*at, "params", *named), error.what, error.fix)
        return None
    if path is not None and path.exists():
        try:
            files |= _companions(spec, params, path)
        except PluginError as error:
            source.fault((*at, step.kind), error.what, error.fix)
            return None
    return PlannedStep(step, name, spec, dist, version, editable, params, files)


def _unreadable(file: Path, base: Path) -> tuple[str, str]:
    """What keeps a file from being read, and what to do; empty words if nothing does."""
    try:
        if not file.exists():
            return f"there is no file {str(file)!r}", f"relative paths start at {base}"
    except OSError as error:
        return f"{str(file)!r} cannot be looked at: {error.strerror}", "see the rights of its folders"
    if not os.access(file, os.R_OK):
        return f"{str(file)!r} may not be read", f"chmod u+r {str(file)!r}, or ask its owner"
    return "", ""


def _reader_path(source: Source, step: StepConfig) -> Path | None:
    at = ("steps", step.step, "params")
    value = step.params.get("path")
    if value is None and "path" in step.inputs:
        fix = f"params: {{path: {step.inputs['path']}}}"
        source.fault(("steps", step.step, "path"), "is a parameter, not an input", fix, key=True)
        return None
    if not isinstance(value, str) or not value:
        what = "is missing" if value is None else f"must be a path (got {value!r})"
        source.fault((*at, "path"), what, "params: {path: scan.nc}")
        return None
    try:
        return source.base / Path(value).expanduser()
    except RuntimeError:
        source.fault((*at, "path"), f"{value!r}: nobody of that name has a home here", "write the folder itself")
        return None


def _companions(spec: AlgorithmSpec, params: Params, path: Path) -> dict[str, Path]:
    """Files that a reader opens beside the one that it is given, under names that do not depend on theirs."""
    find = getattr(spec.create(params), "companions", None)
    return {} if find is None else {f"path+{number}": file for number, file in enumerate(find(path), 1)}


def _order(source: Source, steps: Mapping[str, StepConfig]) -> list[str]:
    graph = {
        name: [ref.partition(".")[0] for ref in step.inputs.values() if ref.partition(".")[0] in steps]
        for name, step in steps.items()
    }
    sorter = graphlib.TopologicalSorter(graph)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        loop = error.args[1]
        source.fault(
            ("steps", loop[0]), f"the steps go round in a circle: {' -> '.join(loop)}", "cut one of them", key=True
        )
        return list(steps)
    order: list[str] = []
    while sorter.is_active():
        # Of the steps that are ready, the one written first runs first.
        ready = sorted(sorter.get_ready(), key=list(steps).index)
        order += ready
        sorter.done(*ready)
    return order


def _plan_outputs(
    source: Source, config: PipelineConfig, planned: Mapping[str, PlannedStep], manager: Manager
) -> dict[str, ChosenWriter]:
    """Find the writer of every output, and check that it takes what comes."""
    chosen = {}
    for name, output in config.outputs.items():
        if output.source is None:
            continue
        schemas = referred(source, ("outputs", name, "from"), output.source, config.steps, planned)
        try:
            writer = choose_writer(output.path, manager, output.writer, output.params)
        except ConfigError as error:
            source.fault(("outputs", name, "params"), error.what, error.fix)
        except PluginError as error:
            source.fault(("outputs", name, "writer"), error.what, error.fix)
        except OutputError as error:
            fix = error.fix
            if output.path.lower().endswith(REPORTS):
                fix = "a report is of the whole run: leave out 'from'"
            source.fault(("outputs", name, "path"), error.what, fix)
        else:
            taken = taken_schemas(writer.spec)
            if schemas and ANY_SCHEMA not in schemas | taken and not schemas & taken:
                have, want = " or ".join(sorted(schemas)), " or ".join(sorted(taken))
                what = f"{output.source!r} is {have}, but the writer {writer.spec.name!r} takes {want}"
                source.fault(("outputs", name, "path"), what, "write it as .nc or .zarr, which hold every schema")
            chosen[name] = writer
    return chosen


def _check_use(source: Source, config: PipelineConfig) -> None:
    used = {ref.partition(".")[0] for step in config.steps.values() for ref in step.inputs.values()}
    used |= {output.source.partition(".")[0] for output in config.outputs.values() if output.source is not None}
    if not config.outputs:
        return
    for name, step in config.steps.items():
        if name not in used and step.kind != "metric":
            fix = f"name it in `outputs`, e.g. {name}: {{from: {name}, path: {name}.nc}}, or remove it"
            source.fault(("steps", name), "nothing uses this step", fix, key=True)

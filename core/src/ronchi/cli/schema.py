"""Print a data schema, or the JSON Schema of a file that you write, over the installed algorithms, for editors."""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ronchi.config.faults import FILE_NAME

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ronchi.api import AlgorithmSpec

__all__ = ["benchmark_schema", "configure", "execute", "pipeline_schema", "training_schema", "tuning_schema"]

_NAME, _SEED = {"type": "string", "pattern": FILE_NAME}, {"type": "integer", "minimum": 0}
_LISTS = {"type": "object", "additionalProperties": {"type": "array", "minItems": 1}}
"""What ``vary`` is: names to values."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    name = "'pipeline', 'benchmark', 'training', 'tuning', or a data schema such as 'peaks/1'; all names by default"
    parser.add_argument("name", nargs="?", help=name)


def execute(args: argparse.Namespace) -> int:
    """Print it."""
    documents = {
        "pipeline": pipeline_schema,
        "benchmark": benchmark_schema,
        "training": training_schema,
        "tuning": tuning_schema,
    }
    if args.name in documents:
        print(json.dumps(documents[args.name](), indent=2))
        return 0
    from ronchi.errors import ConfigError
    from ronchi.schema import SCHEMAS

    if args.name is None:
        print("\n".join(documents))
        for name, module in SCHEMAS.items():
            first = (inspect.getdoc(module) or "").splitlines()[0]
            print(f"{name:<15} {first.partition(': ')[2]}")
        return 0
    if args.name not in SCHEMAS:
        raise ConfigError(f"unknown schema {args.name!r}", fix=f"one of: {', '.join([*documents, *SCHEMAS])}")
    module = SCHEMAS[args.name]
    print(
        f"{args.name}\n\n{inspect.getdoc(module)}\n\nmake{inspect.signature(module.make)}\n\n{inspect.getdoc(module.make)}"
    )
    return 0


def pipeline_schema() -> dict[str, object]:
    """JSON Schema of a pipeline; a step is one of the installed algorithms with its parameters."""
    from ronchi.pipeline.config import RunOptions

    defs: dict[str, object] = {}
    output = {
        "type": "object",
        "properties": {
            "from": {"type": "string"},
            "path": {"type": "string"},
            "writer": {"enum": ["auto", *(name for names, _ in _installed("writer") for name in names)]},
            "params": {"type": "object"},
        },
        "required": ["path"],
        "additionalProperties": False,
    }
    properties = {
        "name": _NAME,
        "seed": _SEED,
        "plugins": {"type": "object"},
        "run": _of_model(RunOptions, "run", defs),
        "steps": {"type": "object", "additionalProperties": {"anyOf": _steps(defs)}},
        "outputs": {"type": "object", "additionalProperties": output},
    }
    return _document("ronchi.pipeline/1", properties, ["steps"], defs)


def benchmark_schema() -> dict[str, object]:
    """JSON Schema of a benchmark: a pipeline whose steps may have lists of algorithms and of values."""
    from ronchi.benchmark.config import SCHEMA
    from ronchi.benchmark.model import Comparison, Protocol
    from ronchi.kinds import STEP_KINDS
    from ronchi.pipeline.config import RunOptions

    defs: dict[str, object] = {}
    run = _of_model(RunOptions, "run", defs)
    found = {kind: [name for names, _ in _installed(kind) for name in names] for kind in STEP_KINDS}
    steps = [_step_of_many(kind, names) for kind, names in found.items() if names]
    properties = {
        "name": _NAME,
        "about": {"type": "string", "description": "What it is for and what the data are; opens the report."},
        "seed": {**_SEED, "description": "Of the first repeat; the next has the next."},
        "plugins": {"type": "object"},
        "run": {**run, "properties": {**run["properties"], "vary": _LISTS}},
        "steps": {"type": "object", "additionalProperties": {"anyOf": steps}},
        "protocol": _of_model(Protocol, "protocol", defs),
        "compare": _of_model(Comparison, "compare", defs),
    }
    return _document(SCHEMA, properties, ["steps"], defs)


def training_schema() -> dict[str, object]:
    """JSON Schema of a file of ``ronchi train``: the parameters of one of the algorithms that learn."""
    from ronchi.training import SCHEMA, TrainingOptions

    defs: dict[str, object] = {}
    properties = {
        "name": _NAME,
        "seed": _SEED,
        "run": _of_model(TrainingOptions, "run", defs),
        "params": {"anyOf": list(_trained("train", defs))},
    }
    return _document(SCHEMA, properties, ["params"], defs)


def tuning_schema() -> dict[str, object]:
    """JSON Schema of a file of ``ronchi tune``: what is searched for, and the rest of a training's parameters."""
    from ronchi.benchmark.model import Range
    from ronchi.training import TrainingOptions
    from ronchi.tuning.config import SCHEMA, TuningOptions

    defs: dict[str, object] = {}
    span = {"anyOf": [_of_model(Range, "range", defs), {"type": "array", "minItems": 1}]}
    # What is searched for need not stand among the others.
    params = [{key: value for key, value in model.items() if key != "required"} for model in _trained("tune", defs)]
    properties = {
        "name": _NAME,
        "seed": _SEED,
        "run": _of_model(TrainingOptions, "run", defs),
        **_of_model(TuningOptions, "tuning", defs)["properties"],
        "search": {
            "type": "object",
            "additionalProperties": span,
            "minProperties": 1,
            "description": "Parameters, those inside others with a dot: a range, or a list of choices.",
        },
        "params": {"anyOf": params},
    }
    return _document(SCHEMA, properties, ["search"], defs)


def _trained(command: str, defs: dict[str, object]) -> Iterator[dict[str, Any]]:
    """Parameters of the training of each algorithm that learns."""
    from ronchi.manager import get_manager
    from ronchi.training import trainable

    for name, spec in trainable(get_manager()).items():
        if spec.training is not None:
            yield {**_of_model(spec.training, name, defs), "title": f"ronchi {command} {name}"}


def _document(
    schema: str, properties: dict[str, Any], required: list[str], defs: dict[str, object]
) -> dict[str, object]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": schema,
        "type": "object",
        "properties": {"schema": {"const": schema}, **properties},
        "required": ["schema", *required],
        "additionalProperties": False,
        "$defs": defs,
    }


def _of_model(model: type[BaseModel], label: str, defs: dict[str, object]) -> dict[str, Any]:
    """JSON Schema of a model; the models inside it go to ``defs``, those of the document, where ``$ref`` looks."""
    made = model.model_json_schema(ref_template=f"#/$defs/{label}.{{model}}")
    defs.update({f"{label}.{name}": inner for name, inner in made.pop("$defs", {}).items()})
    return made


def _installed(kind: str) -> Iterator[tuple[list[str], AlgorithmSpec]]:
    """Algorithms that load, with what they answer to: one whose name others have too, with its distribution alone."""
    from ronchi.manager import get_manager

    manager = get_manager()
    for name in manager.names(kind):
        entries = manager.catalog.find(kind, name)
        for entry in entries:
            full = f"{entry.dist}:{name}"
            for spec in manager.specs(kind, [full]):
                yield [full] if len(entries) > 1 else [name, full], spec


def _steps(defs: dict[str, object]) -> list[dict[str, object]]:
    """What a step may be: one for each installed algorithm."""
    from ronchi.kinds import STEP_KINDS

    steps: list[dict[str, object]] = []
    for kind in STEP_KINDS:
        for names, spec in _installed(kind):
            inputs = {
                name.removesuffix("?"): {"type": "string", "description": text} for name, text in spec.inputs.items()
            }
            needed = [name for name in spec.inputs if not name.endswith("?")]
            allowed = [*names, "auto"] if kind == "reader" else names
            params = _of_model(spec.params, f"{kind}.{names[-1]}", defs)
            steps.append(
                {
                    "type": "object",
                    "description": spec.summary,
                    "properties": {kind: {"enum": allowed}, **inputs, "params": params},
                    "required": [kind, *needed],
                    "additionalProperties": False,
                }
            )
    return steps


def _step_of_many(kind: str, names: list[str]) -> dict[str, object]:
    name = {"enum": [*names, "auto"] if kind == "reader" else names}
    entry = {
        "type": "object",
        "properties": {
            "name": name,
            "as": {"type": "string"},
            "params": {"type": "object"},
            "tune": {"type": "object", "description": "Parameters that `protocol.tuning` searches: a range or a list."},
        },
        "required": ["name"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            kind: {"anyOf": [name, entry, {"type": "array", "items": {"anyOf": [name, entry]}, "minItems": 1}]},
            "params": {"type": "object", "description": "Of all entries."},
            "vary": _LISTS,
        },
        "required": [kind],
        "additionalProperties": {"type": "string", "description": "An input: step, or step.side."},
    }

"""Print a data schema, or the JSON Schema of a pipeline or benchmark over the installed algorithms, for editors."""

from __future__ import annotations

import argparse
import inspect
import json

__all__ = ["benchmark_schema", "configure", "execute", "pipeline_schema"]

_LISTS = {"type": "object", "additionalProperties": {"type": "array", "minItems": 1}}
"""What ``vary`` is: names to values."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    name = "'pipeline', 'benchmark', or a data schema such as 'peaks/1'; all names by default"
    parser.add_argument("name", nargs="?", help=name)


def execute(args: argparse.Namespace) -> int:
    """Print it."""
    documents = {"pipeline": pipeline_schema, "benchmark": benchmark_schema}
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
    from ronchi.manager import get_manager
    from ronchi.pipeline.config import RunOptions

    manager = get_manager()
    output = {
        "type": "object",
        "properties": {
            "from": {"type": "string"},
            "path": {"type": "string"},
            "writer": {"enum": ["auto", *manager.names("writer")]},
            "params": {"type": "object"},
        },
        "required": ["path"],
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ronchi.pipeline/1",
        "type": "object",
        "properties": {
            "schema": {"const": "ronchi.pipeline/1"},
            "name": {"type": "string"},
            "seed": {"type": "integer", "minimum": 0},
            "plugins": {"type": "object"},
            "run": RunOptions.model_json_schema(),
            "steps": {"type": "object", "additionalProperties": {"anyOf": _steps()}},
            "outputs": {"type": "object", "additionalProperties": output},
        },
        "required": ["schema", "name", "steps"],
        "additionalProperties": False,
    }


def benchmark_schema() -> dict[str, object]:
    """JSON Schema of a benchmark: a pipeline whose steps may have lists of algorithms and of values."""
    from ronchi.bench.config import SCHEMA
    from ronchi.bench.model import Comparison, Protocol
    from ronchi.pipeline.config import RunOptions

    run = RunOptions.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": SCHEMA,
        "type": "object",
        "properties": {
            "schema": {"const": SCHEMA},
            "name": {"type": "string"},
            "about": {"type": "string", "description": "What it is for and what the data are; opens the report."},
            "seed": {"type": "integer", "minimum": 0, "description": "Of the first repeat; the next has the next."},
            "plugins": {"type": "object"},
            "run": {**run, "properties": {**run["properties"], "vary": _LISTS}},
            "steps": {"type": "object", "additionalProperties": {"anyOf": _steps(lists=True)}},
            "protocol": Protocol.model_json_schema(),
            "compare": Comparison.model_json_schema(),
        },
        "required": ["schema", "steps"],
        "additionalProperties": False,
    }


def _steps(*, lists: bool = False) -> list[dict[str, object]]:
    """What a step may be: one for each installed algorithm, or with ``lists`` one for each kind."""
    from ronchi.kinds import STEP_KINDS
    from ronchi.manager import get_manager

    manager = get_manager()
    steps: list[dict[str, object]] = []
    for kind in STEP_KINDS:
        specs = manager.specs(kind)
        if lists and specs:
            steps.append(_step_of_many(kind, [spec.name for spec in specs]))
        for spec in [] if lists else specs:
            inputs = {
                name.removesuffix("?"): {"type": "string", "description": text} for name, text in spec.inputs.items()
            }
            needed = [name for name in spec.inputs if not name.endswith("?")]
            names = [spec.name, "auto"] if kind == "reader" else [spec.name]
            steps.append(
                {
                    "type": "object",
                    "description": spec.summary,
                    "properties": {kind: {"enum": names}, **inputs, "params": spec.params.model_json_schema()},
                    "required": [kind, *needed],
                    "additionalProperties": False,
                }
            )
    return steps


def _step_of_many(kind: str, names: list[str]) -> dict[str, object]:
    name = {"enum": [*names, "auto"] if kind == "reader" else names}
    entry = {
        "type": "object",
        "properties": {"name": name, "as": {"type": "string"}, "params": {"type": "object"}},
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

"""Print a data schema, or the JSON Schema of a pipeline over the installed algorithms, for editors."""

from __future__ import annotations

import argparse
import inspect
import json

__all__ = ["configure", "execute", "pipeline_schema"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", nargs="?", help="'pipeline', or a data schema such as 'peaks/1'; all names by default")


def execute(args: argparse.Namespace) -> int:
    """Print it."""
    if args.name == "pipeline":
        print(json.dumps(pipeline_schema(), indent=2))
        return 0
    from ronchi.errors import ConfigError
    from ronchi.schema import SCHEMAS

    if args.name is None:
        print("pipeline")
        for name, module in SCHEMAS.items():
            first = (inspect.getdoc(module) or "").splitlines()[0]
            print(f"{name:<15} {first.partition(': ')[2]}")
        return 0
    if args.name not in SCHEMAS:
        raise ConfigError(f"unknown schema {args.name!r}", fix=f"one of: pipeline, {', '.join(SCHEMAS)}")
    module = SCHEMAS[args.name]
    print(
        f"{args.name}\n\n{inspect.getdoc(module)}\n\nmake{inspect.signature(module.make)}\n\n{inspect.getdoc(module.make)}"
    )
    return 0


def pipeline_schema() -> dict[str, object]:
    """JSON Schema of a pipeline; a step is one of the installed algorithms with its parameters."""
    from ronchi.kinds import STEP_KINDS
    from ronchi.manager import get_manager
    from ronchi.pipeline.config import RunOptions

    manager = get_manager()
    steps: list[dict[str, object]] = []
    for kind in STEP_KINDS:
        for spec in manager.specs(kind):
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
            "steps": {"type": "object", "additionalProperties": {"anyOf": steps}},
            "outputs": {"type": "object", "additionalProperties": output},
        },
        "required": ["schema", "name", "steps"],
        "additionalProperties": False,
    }

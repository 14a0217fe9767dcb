"""Describe an algorithm: what it takes and gives, its parameters with units and defaults, what to cite.

Of a file it says what `ronchi read` says.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ronchi.api import AlgorithmSpec, Params
from ronchi.config.source import did_you_mean
from ronchi.errors import ConfigError
from ronchi.kinds import KINDS

__all__ = ["configure", "example", "execute", "parameter_rows", "training_rows"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "algorithm", metavar="KIND/NAME", help="e.g. disk_detector/crosscorr, a name that is unique, or a file"
    )
    parser.add_argument("--json", action="store_true", help="print the JSON Schema of the parameters")


def execute(args: argparse.Namespace) -> int:
    """Print the description."""
    file = Path(args.algorithm)
    # No algorithm has a name with an extension.
    if file.suffix and file.exists():
        from ronchi.cli import read

        return read.execute(argparse.Namespace(file=file, reader="auto", param=[], json=args.json))
    from ronchi.manager import get_manager

    manager = get_manager()
    kind, name = _split(args.algorithm)
    spec = manager.spec(kind, name)
    dist, version, _ = manager.dist(kind, name)
    if args.json:
        print(json.dumps(spec.params.model_json_schema(), indent=2))
        return 0
    print(f"{kind} {spec.name} (version {spec.version}) of {dist} {version}\n{spec.summary}\n")
    takes = ", ".join(f"{key}: {value}" for key, value in spec.inputs.items()) or "nothing"
    sides = "".join(f", {key}: {value}" for key, value in spec.sides.items())
    gives = f"files  {', '.join(spec.suffixes)}" if kind == "writer" else f"gives  {spec.output}{sides}"
    print(f"takes  {takes}\n{gives}")
    if spec.capabilities:
        print(f"can    {', '.join(sorted(spec.capabilities))}")
    if spec.citation:
        print(f"cite   {spec.citation}")
    print(f"\nin a pipeline:\n  {example(kind, spec)}\n\nparameters:")
    _print_rows(parameter_rows(spec))
    if spec.training is not None:
        print(f"\nparameters of `ronchi train {spec.name} FILE`:")
        _print_rows(training_rows(spec))
    return 0


def _print_rows(rows: list[dict[str, str]]) -> None:
    for row in rows:
        unit = f" [{row['unit']}]" if row["unit"] else ""
        print(f"  {row['name']}: {row['type']} = {row['default']}{unit}\n      {row['description']}")


def example(kind: str, spec: AlgorithmSpec) -> str:
    """A line for a pipeline, to copy: the inputs and parameters that must be there."""
    if kind == "writer":
        suffix = next(iter(spec.suffixes), "")
        return f"outputs: {{result: {{from: STEP, path: result{suffix}, writer: {spec.name}}}}}"
    parts = [f"{kind}: {spec.name}", *(f"{name}: STEP" for name in spec.inputs if not name.endswith("?"))]
    required = [row["name"] for row in parameter_rows(spec) if row["default"] == "required" and "." not in row["name"]]
    if kind == "reader" and "path" not in required:
        required.insert(0, "path")
    values = ", ".join(f"{name}: {'FILE' if name == 'path' else '…'}" for name in required)
    if values:
        parts.append(f"params: {{{values}}}")
    return f"{'load' if kind == 'reader' else spec.name}: {{{', '.join(parts)}}}"


def parameter_rows(spec: AlgorithmSpec) -> list[dict[str, str]]:
    """One row a parameter: name, type, default, unit, description, all as text.

    The fields of a parameter that is a mapping follow it, as ``reference.scan_x``; those of a list of mappings as
    ``labelled[].data``.
    """
    return _rows_of(spec.params)


def training_rows(spec: AlgorithmSpec) -> list[dict[str, str]]:
    """The same of the parameters of ``ronchi train``; none where nothing is trained."""
    return _rows_of(spec.training) if spec.training is not None else []


def _rows_of(params: type[Params]) -> list[dict[str, str]]:
    schema = params.model_json_schema()
    return _rows(schema, schema.get("$defs", {}), "")


_EMPTY: dict[Any, Any] = {"object": {}, "array": []}
"""Defaults that are made anew each time, which a JSON Schema does not tell."""


def _rows(schema: dict[str, Any], defs: dict[str, Any], prefix: str) -> list[dict[str, str]]:
    required = set(schema.get("required", ()))
    rows = []
    for name, field in schema.get("properties", {}).items():
        default = "required" if name in required else json.dumps(field.get("default", _EMPTY.get(field.get("type"))))
        if isinstance(field.get("default"), dict):
            default = "as below"
        # Pydantic leaves out the text of a field that is the text of its model.
        described = {**defs.get(_model(field), {}), **field}
        rows.append(
            {
                "name": prefix + name,
                "type": _type_text(field, defs),
                "default": default,
                "unit": str(field.get("unit", "")),
                "description": str(described.get("description", "")),
            }
        )
        for option in (field, *field.get("anyOf", ())):
            for inner, mark in ((option, "."), (option.get("items", {}), "[].")):
                if _model(inner):
                    rows += _rows(defs[_model(inner)], defs, f"{prefix}{name}{mark}")
    return rows


def _model(field: dict[str, Any]) -> str:
    return str(field.get("$ref", "")).rsplit("/", 1)[-1]


def _type_text(field: dict[str, Any], defs: dict[str, Any]) -> str:
    if "$ref" in field:
        target = defs.get(field["$ref"].rsplit("/", 1)[-1], {})
        return (
            "{" + ", ".join(target.get("properties", {})) + "}" if "properties" in target else _type_text(target, defs)
        )
    if "anyOf" in field:
        return " | ".join(dict.fromkeys(_type_text(option, defs) for option in field["anyOf"]))
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if "const" in field:
        return str(field["const"])
    if field.get("type") == "array":
        return _array_text(field, defs)
    text = str(field.get("type", "any"))
    bounds = [
        f"{sign} {field[key]:g}"
        for key, sign in (("exclusiveMinimum", ">"), ("minimum", ">="), ("exclusiveMaximum", "<"), ("maximum", "<="))
        if key in field
    ]
    return f"{text} ({', '.join(bounds)})" if bounds else text


def _array_text(field: dict[str, Any], defs: dict[str, Any]) -> str:
    if "prefixItems" in field:
        return f"[{', '.join(_type_text(item, defs) for item in field['prefixItems'])}]"
    return f"[{_type_text(field['items'], defs)}, …]" if field.get("items") else "array"


def _split(algorithm: str) -> tuple[str, str]:
    from ronchi.manager import get_manager

    kind, slash, name = algorithm.rpartition("/")
    if slash:
        if kind not in KINDS:
            raise ConfigError(f"unknown kind {kind!r}", fix=did_you_mean(kind, KINDS))
        return kind, name
    catalog = get_manager().catalog
    kinds = [kind for kind in KINDS if catalog.find(kind, name)]
    if len(kinds) == 1:
        return kinds[0], name
    if kinds:
        fix = f"write {' or '.join(f'{kind}/{name}' for kind in kinds)}"
        raise ConfigError(f"{algorithm!r} is a {' and a '.join(kinds)}", fix=fix)
    if name in KINDS:
        fix = f"`ronchi plugins {name}` lists them; `ronchi info {name}/NAME` describes one"
        raise ConfigError(f"{name!r} is a kind of algorithm", fix=fix)
    known = [each for kind in KINDS for each in catalog.names(kind)]
    fix = did_you_mean(name, known, "`ronchi plugins` lists all names")
    raise ConfigError(f"no algorithm is called {algorithm!r}", fix=fix)

"""What the spec of each kind has to announce for pipelines to connect it: inputs, output, and words that are known."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

from ronchi.api import AlgorithmSpec
from ronchi.config.source import did_you_mean
from ronchi.schema import SCHEMAS

__all__ = ["CAPABILITIES", "misspelt_capability", "spec_faults"]

_ANY = "*"

_INPUTS: Mapping[str, Mapping[str, str]] = {
    "reader": {},
    "simulator": {},
    "disk_detector": {"data": "fourd/1", "probe?": "maps/1"},
    "descriptor_learner": {"data": "fourd/1|images/1|crops/1|descriptors/1", "model?": "model/1"},
    "strain_solver": {"peaks": "peaks/1"},
    "atom_finder": {"images": "images/1"},
    "metric": {"result": _ANY, "truth": _ANY},
    "writer": {"data": _ANY},
}
"""Kind to the inputs that the core gives, and the schemas that an algorithm may choose from; transforms take any."""

_BY_NAME = ("strain_solver", "atom_finder", "metric")
"""Kinds whose methods are given further inputs by name, if the spec has them."""

_OUTPUTS = {
    "disk_detector": "peaks/1",
    "descriptor_learner": "descriptors/1",
    "strain_solver": "strain/1",
    "atom_finder": "atoms/1",
    "metric": "scores/1",
    "writer": "",
}
"""Kind to its output; readers, simulators and transforms give any schema."""

CAPABILITIES = (
    "covariance", "cpu", "cuda", "deterministic", "explain", "install", "lazy", "masks", "multiple lattices",
    "resumable", "rotation-invariant", "subpixel", "variance",
)  # fmt: skip
"""Capabilities that ronchi, its contracts or its own plugins know; others are free."""

_NEARLY_THE_SAME = 0.85


def spec_faults(kind: str, spec: AlgorithmSpec) -> Iterator[tuple[str, str]]:
    """Inputs and outputs that are no schemas or do not fit the kind, each with what to write instead."""
    for field, text in _announced(spec):
        for schema in _parts(text):
            if schema not in SCHEMAS and schema != _ANY:
                yield f"{field} is {text!r}, and there is no schema {schema!r}", did_you_mean(schema, SCHEMAS)
    if kind in _INPUTS:
        yield from _input_faults(kind, spec, _INPUTS[kind])
    wanted = _OUTPUTS.get(kind, spec.output)
    if spec.output != wanted and set(_parts(spec.output)) <= {*SCHEMAS, _ANY}:
        yield f"`output` is {spec.output!r}, that of a {kind} is {wanted!r}", f'output="{wanted}"'


def _input_faults(kind: str, spec: AlgorithmSpec, table: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    known, has = ({name.removesuffix("?"): text for name, text in each.items()} for each in (table, spec.inputs))
    needed = [name for name in table if not name.endswith("?")]
    shown = ", ".join(f'"{name}": "{_example(table[name])}"' for name in needed)
    line = f"inputs={{{shown}}}"
    missing = [name for name in needed if name not in has]
    if missing:
        yield f"`inputs` has no {missing[0]!r}, which every {kind} is given", line
    strange = [] if kind in _BY_NAME else [name for name in has if name not in known]
    if strange and not missing:
        yield f"`inputs` has {strange[0]!r}, which no {kind} is given", f"{line}; what is no data is a parameter"
    for name, allowed in known.items():
        parts = {part for part in _parts(has.get(name, allowed)) if part in SCHEMAS or part == _ANY}
        if allowed != _ANY and not parts <= set(_parts(allowed)):
            yield f"the input {name!r} is {has[name]!r}, that of a {kind} is {allowed!r}", line


def _announced(spec: AlgorithmSpec) -> Iterator[tuple[str, str]]:
    for name, text in spec.inputs.items():
        yield f"the input {name!r}", text
    if spec.output:
        yield "`output`", spec.output
    for name, text in spec.sides.items():
        yield f"the side {name!r}", text


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split("|")] if text else []


def _example(schemas: str) -> str:
    return "SCHEMA" if schemas == _ANY else schemas


def misspelt_capability(words: frozenset[str]) -> tuple[str, str] | None:
    """A word that is not known and nearly one that is, and the known one."""
    for word in sorted(words - set(CAPABILITIES)):
        plain = {re.sub(r"[^a-z0-9]", "", known): known for known in CAPABILITIES}
        same = plain.get(re.sub(r"[^a-z0-9]", "", word.lower()))
        close = [same] if same else difflib.get_close_matches(word.lower(), CAPABILITIES, 1, _NEARLY_THE_SAME)
        if close:
            return word, close[0]
    return None

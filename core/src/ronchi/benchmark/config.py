"""A benchmark file is read, and its form checked: a pipeline with lists of algorithms and of parameter values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ronchi.benchmark.checks import check_meaning
from ronchi.benchmark.model import BenchConfig, Comparison, Entry, Protocol, Range, Slot
from ronchi.config.faults import FILE_NAME, note_validation_error, validated_head
from ronchi.config.source import FieldPath, Source, did_you_mean, read_source
from ronchi.kinds import STEP_KINDS

__all__ = ["SCHEMA", "load_bench"]

SCHEMA = "ronchi.benchmark/1"
_TOP = ("schema", "name", "seed", "plugins", "run", "steps", "protocol", "compare", "about")
_ENTRY = ("name", "as", "params", "tune")


class _Head(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_: Literal["ronchi.benchmark/1"] = Field(alias="schema")
    name: str = Field(pattern=FILE_NAME)
    about: str = ""
    seed: int = Field(default=0, ge=0)
    protocol: Protocol = Protocol()
    compare: Comparison | None = None


def load_bench(origin: str | Path | Mapping[str, Any], *, base: Path | None = None) -> BenchConfig:
    """Read a benchmark and check its form.

    Raises
    ------
    ConfigError
        With ``file:line:column``, the field, what is allowed and a close match.
    """
    source = read_source(origin, base=base)
    source.data.setdefault("name", "benchmark")
    source.drop_empty("plugins", "run", "protocol", "compare")
    head = validated_head(source, _Head, _TOP, SCHEMA)
    slots = _slots(source)
    run = source.data.get("run")
    run_vary = {}
    if isinstance(run, dict):
        run_vary = _vary(source, ("run",), run, run, "workers: [1, 2, 4]")
    if head is not None:
        check_meaning(source, head.protocol, head.compare, slots)
    source.check()
    assert head is not None
    return BenchConfig(source, head.name, head.about, head.seed, slots, head.protocol, head.compare, run_vary)


def _slots(source: Source) -> dict[str, Slot]:
    raw = source.data.get("steps")
    if not isinstance(raw, dict) or not raw:
        source.fault(("steps",), "at least one step is needed", "the steps of a pipeline, with lists of algorithms")
        return {}
    made = {name: _slot(source, name, body) for name, body in raw.items()}
    return {name: slot for name, slot in made.items() if slot is not None}


def _slot(source: Source, name: str, body: Any) -> Slot | None:
    at = ("steps", name)
    if not isinstance(body, dict):
        source.fault(at, "a step is a mapping", f"{name}: {{disk_detector: [crosscorr, fcunet], data: load}}")
        return None
    kinds = [key for key in body if key in STEP_KINDS]
    if len(kinds) != 1:
        what = f"has {len(kinds)} kinds: {', '.join(kinds)}" if kinds else "has no kind"
        source.fault(at, what, f"exactly one of: {', '.join(STEP_KINDS)}", key=True)
        return None
    kind = kinds[0]
    params = _mapping(source, at, body, "params")
    vary = _vary(source, at, body, params, "dose_e: [1e3, 1e4]")
    inputs = {key: value for key, value in body.items() if key not in (kind, "params", "vary")}
    entries = _entries(source, (*at, kind), body[kind])
    return Slot(name, kind, entries, inputs, params, vary) if entries else None


def _vary(
    source: Source, at: FieldPath, body: Mapping[str, Any], fixed: Mapping[str, Any], example: str
) -> dict[str, tuple[Any, ...]]:
    """Lists of values of the mapping ``vary`` of a step, or of ``run``; none may be ``fixed`` there too."""
    made = {}
    for key, values in _mapping(source, at, body, "vary").items():
        if isinstance(values, list) and values:
            made[key] = tuple(values)
            for number, value in enumerate(values):
                if value in values[:number]:
                    what = f"{value!r} is there twice, and would count as two measurements"
                    source.fault((*at, "vary", key, number), what, "leave out one of them")
        else:
            source.fault((*at, "vary", key), f"expected a list of values, got {values!r}", example)
        if key in fixed:
            where = "`params`" if at[0] == "steps" else "`run`"
            source.fault((*at, "vary", key), f"is fixed under {where} too", "leave out one of them", key=True)
    return made


def _mapping(source: Source, at: FieldPath, body: Mapping[str, Any], section: str) -> dict[str, Any]:
    value = body.get(section) or {}
    if isinstance(value, dict):
        return value
    source.fault((*at, section), f"expected a mapping, got {value!r}")
    return {}


def _entries(source: Source, at: tuple[str, ...], raw: Any) -> tuple[Entry, ...]:
    listed = raw if isinstance(raw, list) else [raw]
    made = []
    for number, item in enumerate(listed):
        place: tuple[str | int, ...] = (*at, number) if isinstance(raw, list) else at
        if isinstance(item, str):
            made.append(Entry(item, item, {}, place))
        elif isinstance(item, dict) and isinstance(item.get("name"), str):
            for key in item:
                if key not in _ENTRY:
                    source.fault((*place, key), "unknown key", did_you_mean(key, _ENTRY), key=True)
            params = item.get("params") or {}
            if not isinstance(params, dict):
                source.fault((*place, "params"), f"expected a mapping, got {params!r}")
                params = {}
            space = _space(source, (*place, "tune"), item.get("tune") or {}, params)
            made.append(Entry(str(item.get("as", item["name"])), item["name"], params, place, space))
        else:
            source.fault(place, f"expected an algorithm, got {item!r}", "crosscorr, or {name: crosscorr, as: phase}")
    labels = [entry.label for entry in made]
    for entry in made:
        if labels.count(entry.label) > 1:
            fix = f"{{name: {entry.name}, as: SOMETHING-ELSE, params: ...}}"
            source.fault(entry.place, f"two entries are called {entry.label!r}", fix)
    return tuple(made)


def _space(source: Source, at: FieldPath, raw: Any, params: Mapping[str, Any]) -> dict[str, Range | list[Any]]:
    if not isinstance(raw, dict):
        source.fault(at, f"expected a mapping, got {raw!r}", "{PARAMETER: {low: 0, high: 1}}, or {PARAMETER: [a, b]}")
        return {}
    made: dict[str, Range | list[Any]] = {}
    for key, span in raw.items():
        if key in params:
            source.fault((*at, key), "is fixed under `params` too", "leave out one of them", key=True)
        if isinstance(span, list) and span:
            made[key] = span
            continue
        try:
            made[key] = Range.model_validate(span)
        except ValidationError as error:
            note_validation_error(source, (*at, key), error, Range)
    return made

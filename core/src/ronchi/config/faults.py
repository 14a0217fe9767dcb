"""Pydantic's errors in the words and at the positions of the pipeline file."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ronchi.config.source import FieldPath, Source, did_you_mean
from ronchi.errors import ConfigError

__all__ = ["FILE_NAME", "note_validation_error", "validated_head"]

Model = TypeVar("Model", bound=BaseModel)

FILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""Pattern of the names of documents, after which files are named."""

_COUNTS = ("two", "three", "four")
_SHAPE = (
    "too_long", "too_short", "missing", "tuple_type", "float_type", "float_parsing", "int_type", "int_parsing",
)  # fmt: skip
"""Types of faults in how a row of numbers is written, not in the numbers."""

_WORDS = {
    "a valid number": "a number",
    "a valid integer": "a whole number",
    "a valid string": "text",
    "a valid boolean": "true or false",
    "a valid dictionary": "a mapping, such as {name: value}",
    "a valid list": "a list",
    "a valid tuple": "a list",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
}
"""Pydantic's words for what is allowed, and ours."""


_COMMANDS = {
    "ronchi.pipeline/1": ("pipeline", "ronchi run"),
    "ronchi.benchmark/1": ("benchmark", "ronchi bench"),
    "ronchi.training/1": ("training", "ronchi train NAME"),
    "ronchi.tuning/1": ("search for training parameters", "ronchi tune NAME"),
    "ronchi.provenance/1": ("record of a run", "ronchi replay"),
}
"""What a document of another schema is, and what to do with it."""


def validated_head(source: Source, model: type[Model], sections: Collection[str], schema: str) -> Model | None:
    """Check the top level of a document: its schema, its sections, and what the model says of them.

    Returns
    -------
    Model or None
        None if it does not fit; the faults are noted in ``source``.

    Raises
    ------
    ConfigError
        It is a document of another of ronchi's schemas, of which there is no more to say.
    """
    given = source.data.get("schema")
    if given != schema and isinstance(given, str) and given in _COMMANDS:
        (kind, command), wanted = _COMMANDS[given], _COMMANDS[schema][0]
        what = f"this is a {kind} ({given}), where a {wanted} is expected"
        raise ConfigError(what, where=source.where(("schema",)), fix=f"`{command} {source.name}`")
    for key in source.data:
        if key not in sections:
            source.fault((key,), "unknown key", did_you_mean(key, sections), key=True)
    if "schema" not in source.data:
        source.fault(("schema",), "is missing", f"begin the file with `schema: {schema}`")
    try:
        return model.model_validate({"schema": schema, **source.data})
    except ValidationError as error:
        note_validation_error(source, (), error, model)
        return None


def note_validation_error(source: Source, base: FieldPath, error: ValidationError, model: type[BaseModel]) -> None:
    """Note every fault of ``error`` at its place in the document.

    Parameters
    ----------
    base : tuple
        Where the validated mapping lies in the document.
    model : type
        Model that was validated, for names, units and close matches.
    """
    raw: Any = source.data
    for part in base:
        raw = raw.get(part, {}) if isinstance(raw, dict) else {}
    told: set[FieldPath] = set()
    for fault in error.errors():
        path = (*base, *_written(raw, fault["loc"]))
        row, cut = _row_of(model, fault)
        if row:
            # One message a row of numbers, whatever is wrong in it.
            path = (*base, *_written(raw, fault["loc"][:cut]))
            if path not in told:
                got = _at(source.data, path)
                source.fault(path, f"must be {row} (got {got!r})", _describe(_field(model, fault["loc"])))
            told.add(path)
        elif fault["type"] == "extra_forbidden":
            known = [field.alias or name for name, field in _fields(model, fault["loc"][:-1]).items()]
            source.fault(path, "unknown key", did_you_mean(str(fault["loc"][-1]), known), key=True)
        elif fault["type"] == "missing":
            source.fault((*path, str(fault["loc"][-1])), "is missing", _needed(_field(model, fault["loc"])))
        else:
            source.fault(path, f"{_message(fault)} (got {fault['input']!r})", _hint(fault, _field(model, fault["loc"])))


def _written(raw: Any, loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    # Pydantic puts the members of a union into `loc`; the document does not have them.
    kept: list[int | str] = []
    for part in loc:
        in_list = isinstance(raw, list) and isinstance(part, int) and part < len(raw)
        if in_list or (isinstance(raw, dict) and part in raw):
            raw = raw[part]
        else:
            continue
        kept.append(part)
    return tuple(kept)


def _row_of(model: type[BaseModel], fault: Any) -> tuple[str, int]:
    """What a row of numbers should be, in words, and how much of ``loc`` leads to it; ``""`` for other faults."""
    loc = fault["loc"]
    # A row that is missing as a whole has a name at its end; one that lacks a number has its place there.
    if fault["type"] not in _SHAPE or (fault["type"] == "missing" and isinstance(loc[-1], str)):
        return "", 0
    for cut in range(len(loc), 0, -1):
        field = _fields(model, loc[: cut - 1]).get(str(loc[cut - 1])) if isinstance(loc[cut - 1], str) else None
        if field is not None:
            return _row_words(field.annotation), cut
    return "", 0


def _row_words(annotation: Any) -> str:
    """``"two numbers, such as [190, 240]"`` for a tuple of two floats; empty for anything else."""
    parts = get_args(annotation)
    if get_origin(annotation) is not tuple:
        return next(filter(None, (_row_words(part) for part in parts)), "")
    if not 2 <= len(parts) <= len(_COUNTS) + 1 or any(not _is_number(part) for part in parts):
        return ""
    whole = all(part is int for part in parts)
    example = [2, 3, 4, 5] if whole else [190, 240, 10, 20]
    open_end = " or null" if any(type(None) in get_args(part) for part in parts) else ""
    kind = "whole numbers" if whole else f"numbers{open_end}"
    return f"{_COUNTS[len(parts) - 2]} {kind}, such as {example[: len(parts)]}"


def _is_number(annotation: Any) -> bool:
    return annotation in (int, float, type(None)) or (
        bool(get_args(annotation)) and all(_is_number(part) for part in get_args(annotation) if isinstance(part, type))
    )


def _at(document: Any, path: FieldPath) -> Any:
    for part in path:
        document = document[part]
    return document


def _message(fault: Any) -> str:
    text = str(fault["msg"])
    if fault["type"] == "string_pattern_mismatch" and fault["ctx"]["pattern"] == FILE_NAME:
        return "must be letters, digits, '.', '_' and '-' alone, the first a letter or digit"
    if text.startswith("Value error, "):
        return text.removeprefix("Value error, ")
    if not text.startswith("Input should be "):
        return text[:1].lower() + text[1:]
    text = text.removeprefix("Input should be ").partition(", unable to parse")[0]
    for theirs, ours in _WORDS.items():
        if text.startswith(theirs):
            return f"must be {ours}" + ("" if theirs.startswith("a ") else text.removeprefix(theirs))
    return f"must be {text}"


def _hint(fault: Any, field: FieldInfo | None) -> str:
    if fault["type"] == "literal_error" and isinstance(fault["input"], str):
        allowed = [part.strip(" '") for part in fault["ctx"]["expected"].replace(" or ", ", ").split(",")]
        return did_you_mean(fault["input"], allowed)
    inner = _models(field.annotation) if field is not None and fault["type"] == "model_type" else []
    names = [name for model in inner for name in model.model_fields]
    return f"{_describe(field).rstrip('.')}; allowed in it: {', '.join(names)}" if names else _describe(field)


def _needed(field: FieldInfo | None) -> str:
    """What a missing field is, and how it is written where not everything is allowed."""
    said = _describe(field)
    if field is None:
        return said
    words = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    form = f"one of: {', '.join(map(str, words))}" if words else _row_words(field.annotation)
    return f"{said.rstrip('.')}; {form}" if said and form else said or form


def _describe(field: FieldInfo | None) -> str:
    if field is None:
        return ""
    extra = field.json_schema_extra
    unit = f"in {extra['unit']}" if isinstance(extra, dict) and "unit" in extra else ""
    said = field.description or ""
    return f"{said.rstrip('.')}; {unit}" if said and unit else said or unit


def _fields(model: type[BaseModel], loc: tuple[int | str, ...]) -> dict[str, FieldInfo]:
    for part in loc:
        field = model.model_fields.get(str(part)) or _by_alias(model, str(part))
        inner = field and next(iter(_models(field.annotation)), None)
        model = inner or model
    return model.model_fields


def _field(model: type[BaseModel], loc: tuple[int | str, ...]) -> FieldInfo | None:
    for cut in range(len(loc), 0, -1):
        fields = _fields(model, loc[: cut - 1])
        found = fields.get(str(loc[cut - 1]))
        if found is not None:
            return found
    return None


def _by_alias(model: type[BaseModel], alias: str) -> FieldInfo | None:
    return next((field for field in model.model_fields.values() if field.alias == alias), None)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]

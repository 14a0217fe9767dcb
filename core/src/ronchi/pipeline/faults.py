"""Pydantic's errors in the words and at the positions of the pipeline file."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ronchi.pipeline.source import FieldPath, Source, did_you_mean

__all__ = ["note_validation_error"]


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
    for fault in error.errors():
        path = (*base, *_written(raw, fault["loc"]))
        if fault["type"] == "extra_forbidden":
            known = [field.alias or name for name, field in _fields(model, fault["loc"][:-1]).items()]
            source.fault(path, "unknown key", did_you_mean(str(fault["loc"][-1]), known), key=True)
        elif fault["type"] == "missing":
            source.fault((*path, str(fault["loc"][-1])), "is missing", _describe(_field(model, fault["loc"])))
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


def _message(fault: Any) -> str:
    text = str(fault["msg"])
    for prefix in ("Value error, ", "Input should be "):
        if text.startswith(prefix):
            return text.removeprefix(prefix) if prefix.startswith("Value") else f"must be {text.removeprefix(prefix)}"
    return text[:1].lower() + text[1:]


def _hint(fault: Any, field: FieldInfo | None) -> str:
    if fault["type"] == "literal_error" and isinstance(fault["input"], str):
        allowed = [part.strip(" '") for part in fault["ctx"]["expected"].replace(" or ", ", ").split(",")]
        return did_you_mean(fault["input"], allowed)
    return _describe(field)


def _describe(field: FieldInfo | None) -> str:
    if field is None:
        return ""
    extra = field.json_schema_extra
    unit = f"in {extra['unit']}" if isinstance(extra, dict) and "unit" in extra else ""
    return "; ".join(filter(None, (field.description or "", unit)))


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

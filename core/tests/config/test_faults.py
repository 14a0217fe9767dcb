"""Faults of parameters in the words of those who write them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import ValidationError, model_validator

from ronchi.api import Field, Params
from ronchi.config.faults import note_validation_error
from ronchi.config.source import Source


class Inner(Params):
    scan_x: tuple[float, float] | None = Field(None, description="First and last.", json_schema_extra={"unit": "nm"})


class Required(Params):
    shape: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = Field(description="A shape.")
    kind: Literal["u1", "u2"] = Field(description="Type.")
    limit: float = Field(description="A limit.", json_schema_extra={"unit": "px"})


class Around(Params):
    inner: Required = Field(description="What is needed.")


class Outer(Params):
    inner: Inner = Field(Inner(), description="A region.")
    shape: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = Field((1, 1), description="A shape.")
    ends: tuple[float | None, float | None] | None = Field(None, description="Ends.")
    count: int = Field(1, ge=1, description="How many.")

    @model_validator(mode="after")
    def _small(self) -> Outer:
        if self.count > 9:
            raise ValueError("ten is too many")
        return self


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"inner": {"scan_x": [1]}}, "inner.scan_x: must be two numbers, such as [190, 240] (got [1])"),
        ({"inner": {"scan_x": 5}}, "inner.scan_x: must be two numbers, such as [190, 240] (got 5)"),
        ({"inner": {"scan_x": ["a", "b"]}}, "inner.scan_x: must be two numbers, such as [190, 240] (got ['a', 'b'])"),
        ({"inner": "left"}, "(got 'left')\n  -> A region; allowed in it: scan_x"),
        ({"ends": [1, 2, 3]}, "ends: must be two numbers or null, such as [190, 240] (got [1, 2, 3])"),
        ({"shape": [0, 2]}, "shape.0: must be at least 1 (got 0)"),
        ({"count": "many"}, "count: must be a whole number (got 'many')"),
        ({"count": 10}, "ten is too many"),
        ({"inner": {"scanx": 1}}, "inner.scanx: unknown key\n  -> did you mean 'scan_x'?"),
        ({"inner": [1, 2]}, "inner: must be a mapping"),
    ],
)
def test_messages_speak_of_what_is_written(params: dict[str, object], words: str) -> None:
    source = Source("here", dict(params), Path())
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(params)
    note_validation_error(source, (), caught.value, Outer)
    (fault,) = source.faults
    assert words in str(fault)
    assert ".;" not in str(fault)


@pytest.mark.parametrize(
    ("model", "params", "base"),
    [
        (Required, {"path": "x"}, ()),
        (Required, {"steps": {"load": {}}}, ("steps", "load")),
        (Around, {"inner": {}}, ()),
    ],
)
def test_what_is_missing_is_told_by_name(model: type[Params], params: dict[str, object], base: tuple[str, ...]) -> None:
    """A missing row of numbers too, which has no value that could be shown."""
    source = Source("here", dict(params), Path())
    with pytest.raises(ValidationError) as caught:
        model.model_validate({} if model is Required else params)
    note_validation_error(source, base, caught.value, model)
    at = "inner." if model is Around else "load." if base else ""
    assert [str(fault) for fault in source.faults] == [
        f"here: {at}shape: is missing\n  -> A shape; two numbers, such as [190, 240]",
        f"here: {at}kind: is missing\n  -> Type; one of: u1, u2",
        f"here: {at}limit: is missing\n  -> A limit; in px",
    ]


def test_a_row_that_lacks_a_number_is_shown_as_it_is() -> None:
    source = Source("here", {"shape": [3]}, Path())
    with pytest.raises(ValidationError) as caught:
        Required.model_validate({"shape": [3], "kind": "u1", "limit": 1})
    note_validation_error(source, (), caught.value, Required)
    (fault,) = source.faults
    assert "shape: must be two numbers, such as [190, 240] (got [3])" in str(fault)

"""How each kind of algorithm is called, and what is checked on the way in and out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import xarray as xr

from ronchi import schema
from ronchi.api import Context, Result
from ronchi.errors import PluginError, SchemaError
from ronchi.kinds import KINDS
from ronchi.pipeline.encode import encode
from ronchi.pipeline.wiring import ANY_SCHEMA, ports
from ronchi.schema import fourd, scores

if TYPE_CHECKING:
    from ronchi.pipeline.planned import PlannedStep

__all__ = ["BULK_SCHEMAS", "call", "check_inputs", "check_result", "in_memory", "is_stored"]

BULK_SCHEMAS = ("fourd/1", "images/1", "crops/1")
"""Schemas of data as large as the measurement, which stay lazy."""


def is_stored(step: PlannedStep) -> bool:
    """True if results go to the cache.

    Readers' results do not, nor do transforms' that have the size of the data: they are lazy,
    and doing them again costs less than a copy of the data.
    """
    bulky = bool(set(BULK_SCHEMAS) & set(step.spec.output.split("|")))
    return step.config.kind != "reader" and not (step.config.kind == "transform" and bulky)


def call(step: PlannedStep, inputs: Mapping[str, xr.Dataset], ctx: Context, patterns: Callable[[], int]) -> Result:
    """Run any step but disk detection, in one piece.

    Parameters
    ----------
    inputs : mapping of str to xarray.Dataset
    patterns : callable
        Gives the number of samples that a learner encodes at a time.

    Returns
    -------
    Result
        Validated; what will be stored is in memory.
    """
    kind = step.config.kind
    if kind == "descriptor_learner":
        return check_result(step, encode(step, inputs, ctx, patterns))
    algorithm = step.spec.create(step.params)
    if kind == "reader":
        made = algorithm.open(step.files["path"])
    else:
        made = getattr(algorithm, KINDS[kind].method)(**inputs, ctx=ctx)
    if kind == "metric":
        made = scores.make(made, step.name)
    result = made if isinstance(made, Result) else Result(made)
    for place, data in {"result": result.data, **result.sides}.items():
        if not isinstance(data, xr.Dataset):
            what = f"the {kind} {step.name!r} broke its contract: its {place} is of type {type(data).__name__}"
            raise PluginError(what, where=step.config.step, fix="its authors: return an xarray.Dataset, or a Result")
    kept = {side: _with_positions(data, inputs) for side, data in result.sides.items()}
    return check_result(step, Result(_with_positions(result.data, inputs), kept))


def _with_positions(data: xr.Dataset, inputs: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """The result with the positions off the grid of an input on the same scan."""
    for source in inputs.values():
        held = {name: source[name].variable for name in fourd.POSITIONS if name in source.coords}
        if held and _same_scan(data, source):
            return data.assign_coords({name: var for name, var in held.items() if name not in data.coords})
    return data


def _same_scan(data: xr.Dataset, source: xr.Dataset) -> bool:
    both = (data.indexes, source.indexes)
    return all(
        all(dim in indexes for indexes in both) and data.indexes[dim].equals(source.indexes[dim])
        for dim in fourd.DIMS[:2]
    )


def check_inputs(step: PlannedStep, inputs: Mapping[str, xr.Dataset]) -> None:
    """Check the schema of every input; needed where a reader may give several.

    Raises
    ------
    SchemaError
    """
    for name, port in ports(step.spec).items():
        if name in inputs and ANY_SCHEMA not in port.schemas:
            found = schema.schema_of(inputs[name])
            if found not in port.schemas:
                want = " or ".join(sorted(port.schemas))
                where = f"{step.config.step}.{name}"
                reference = step.config.inputs[name]
                raise SchemaError(
                    f"{reference!r} turned out to be {found}, but {step.name!r} takes {want}", where=where
                )


def check_result(step: PlannedStep, result: Result) -> Result:
    """Validate a result and its sides against their schemas and against what was announced.

    Raises
    ------
    SchemaError
    """
    _check_one(result.data, step.spec.output, f"{step.config.step} ({step.name})")
    for side, data in result.sides.items():
        announced = step.spec.sides.get(side, step.spec.sides.get(ANY_SCHEMA, ANY_SCHEMA))
        _check_one(data, announced, f"{step.config.step}.{side} ({step.name})")
    return result


def in_memory(result: Result) -> Result:
    """Load what is lazy: the results of a step that will be stored."""
    return Result(result.data.load(), {side: data.load() for side, data in result.sides.items()})


def _check_one(data: xr.Dataset, announced: str, where: str) -> None:
    schema.validate(data, where)
    found = schema.schema_of(data)
    allowed = announced.split("|")
    if ANY_SCHEMA not in allowed and found not in allowed:
        raise SchemaError(f"the result is {found}, but {' or '.join(allowed)} was announced", where=where)

"""What is looked at before a file is opened: names, attributes and dtypes that its format cannot hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import xarray as xr

from ronchi.builtin.store import Groups, plain_attrs, stored_dtype
from ronchi.errors import OutputError

__all__ = ["check_groups"]

Reason = Callable[[str, str], str]
"""Of a kind and a name: why the format cannot have it, ``""`` if it can."""


def check_groups(groups: Groups, *, name_fault: Reason, value_fault: Callable[[Any], str]) -> None:
    """Refuse what a format cannot hold.

    Parameters
    ----------
    groups : sequence of (name, Dataset)
    name_fault : callable
        Of ``"variable"``, ``"dimension"``, ``"side"`` or ``"attribute"``, and a name.
    value_fault : callable
        Of the value of an attribute, as `plain_attrs` makes it.

    Raises
    ------
    OutputError
        With the name, and what is wrong with it.
    """
    variables = {str(name) for _, ds in groups[:1] for name in ds.variables}
    for side, ds in groups:
        for kind, name in _names(side, ds):
            fault = _path_fault(kind, name) or name_fault(kind, name)
            if kind == "side" and name in variables:
                fault = "has the name of a variable"
            if fault:
                raise OutputError(f"{kind} {name!r} {fault}", fix="rename it")
        for of, attrs in _attributes(side, ds):
            for name, value in plain_attrs(attrs).items():
                if fault := name_fault("attribute", name):
                    raise OutputError(f"attribute {name!r} of {of} {fault}", fix="rename it, or leave it out")
                if fault := value_fault(value):
                    raise OutputError(f"attribute {name!r} of {of} {fault}", fix="make it text, or leave it out")
        for var in ds.variables.values():
            stored_dtype(var)


def _names(side: str | None, ds: xr.Dataset) -> Iterator[tuple[str, str]]:
    if side is not None:
        yield "side", str(side)
    for name in ds.variables:
        yield "variable", str(name)
    for dim in ds.sizes:
        yield "dimension", str(dim)


def _attributes(side: str | None, ds: xr.Dataset) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    yield "the data set" if side is None else f"side {side!r}", ds.attrs
    for name, var in ds.variables.items():
        yield f"variable {str(name)!r}", var.attrs


def _path_fault(kind: str, name: str) -> str:
    """Variables and sides are places in a file: one with a slash would lie elsewhere, and not be found again."""
    if kind in ("variable", "side") and (not name or "/" in name or "\0" in name):
        return "cannot be found again in a file: its name is empty, or has a / or a NUL in it"
    return ""

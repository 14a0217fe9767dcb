"""Whether the methods of an algorithm take what the core gives them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ronchi import api
from ronchi.kinds import KINDS
from ronchi.testing.failure import ContractError

__all__ = ["check_signatures", "methods_of"]

_BY_NAME = ("simulator", "transform", "strain_solver", "atom_finder", "metric")
"""Kinds that are given their inputs and `ctx` by name; the others get theirs in the order of the protocol."""

_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def methods_of(kind: str) -> dict[str, inspect.Signature]:
    """Methods that every algorithm of a kind has, as the protocol writes them."""
    protocol = vars(getattr(api, KINDS[kind].protocol))
    return {name: inspect.signature(each) for name, each in protocol.items() if callable(each) and name[0] != "_"}


def check_signatures(kind: str, made: Any, inputs: Mapping[str, str], where: str) -> None:
    """Raise a `ContractError` that names the arguments if a method cannot be called as the core calls it.

    Parameters
    ----------
    inputs : mapping of str to str
        Of the spec.
    where : str
        What is told if the code of the method cannot be found.
    """
    for name, promised in methods_of(kind).items():
        for in_order, by_name in _calls(kind, name, promised, inputs):
            method = getattr(made, name)
            fault = _fault(method, in_order, by_name)
            if fault:
                own = ", ".join(inspect.signature(method).parameters)
                called = ", ".join([*in_order, *by_name])
                star = ["*"] if in_order and by_name else []
                raise ContractError(
                    f"{type(made).__name__}.{name}({own}) is called as {name}({called}): {fault}",
                    where=_place(method, name) or where,
                    fix=f"def {name}({', '.join(['self', *in_order, *star, *by_name])})",
                )


def _calls(
    kind: str, name: str, promised: inspect.Signature, inputs: Mapping[str, str]
) -> Iterator[tuple[list[str], list[str]]]:
    """Arguments in order, and by name, of the ways in which the core calls a method."""
    if kind in _BY_NAME and name == KINDS[kind].method:
        yield [], [*(each for each in inputs if not each.endswith("?")), "ctx"]
        yield [], [*(each.removesuffix("?") for each in inputs), "ctx"]
        return
    expected = [each for each in promised.parameters.values() if each.name != "self"]
    named = [each.name for each in expected if each.kind is inspect.Parameter.KEYWORD_ONLY]
    yield [each.name for each in expected if each.name not in named], named


def _fault(method: Any, in_order: Sequence[str], by_name: Sequence[str]) -> str:
    """What is wrong with the arguments of a method that is called like this; empty if nothing is."""
    try:
        own = inspect.signature(method)
    except (TypeError, ValueError):  # compiled code says nothing of its arguments
        return ""
    try:
        own.bind(*in_order, **dict.fromkeys(by_name))
    except TypeError as error:
        if any(each.kind in _VARIABLE for each in own.parameters.values()):
            return str(error)
        given = {*in_order, *by_name}
        lacking = [repr(name) for name in (*in_order, *by_name) if name not in own.parameters]
        never = [
            repr(name) for name, each in own.parameters.items() if each.default is each.empty and name not in given
        ]
        if lacking and never and in_order:  # which is which is not known where the order counts
            return str(error)
        told = [f"it does not take {' and '.join(lacking)}"] if lacking else []
        return ", and ".join([*told, *([f"nobody gives it {' and '.join(never)}"] if never else [])]) or str(error)
    return ""


def _place(method: Any, name: str) -> str:
    """``file:line in function`` of a method written in Python."""
    code = getattr(inspect.unwrap(method), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno} in {name}" if code is not None else ""

"""What a plugin author imports: parameter models, specs, protocols, context; itself neither numpy, xarray nor torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pluggy
from pydantic import BaseModel, ConfigDict, Field

from ronchi.errors import (
    CalibrationError,
    ConfigError,
    DataError,
    OutputError,
    PluginError,
    ReadError,
    RonchiError,
    SchemaError,
)
from ronchi.exchange import Context, Geometry, PeakBatch, Result
from ronchi.protocols import (
    AtomFinder,
    DescriptorLearner,
    DiskDetector,
    Metric,
    Reader,
    Simulator,
    StrainSolver,
    Trainer,
    Transform,
    Writer,
)

__all__ = [
    "API_VERSION",
    "AlgorithmSpec",
    "AtomFinder",
    "CalibrationError",
    "ConfigError",
    "Context",
    "DataError",
    "DescriptorLearner",
    "DiskDetector",
    "Field",
    "Geometry",
    "Metric",
    "OutputError",
    "Params",
    "PeakBatch",
    "PluginError",
    "ReadError",
    "Reader",
    "Result",
    "RonchiError",
    "SchemaError",
    "Simulator",
    "StrainSolver",
    "Trainer",
    "Transform",
    "Writer",
    "hookimpl",
]

API_VERSION = 1
"""Version of the contract in this module; a spec made for another one is refused."""

hookimpl = pluggy.HookimplMarker("ronchi")
"""Decorator of a plugin's hook implementations."""


class Params(BaseModel):
    """Base of an algorithm's parameters: frozen, closed, every field described, every number finite.

    Give units with ``Field(2.0, description="…", json_schema_extra={"unit": "px"})``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


def _is_params(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Params)


def _is_words(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(text, str) for text in (*value, *value.values()))


def _is_pairs(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value.values())


_FIELD_TYPES: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
    (
        ("name", "summary", "factory", "output", "files", "trainer", "citation"),
        lambda value: isinstance(value, str),
        "a text",
    ),
    (("params",), _is_params, "a subclass of Params"),
    (("training",), lambda value: value is None or _is_params(value), "a subclass of Params"),
    (("inputs", "sides", "better"), _is_words, "a mapping of texts to texts"),
    (("columns",), _is_pairs, "a mapping of names to (unit, meaning)"),
    (
        ("suffixes",),
        lambda value: isinstance(value, tuple) and all(isinstance(text, str) for text in value),
        "a tuple of texts",
    ),
    (("capabilities",), lambda value: isinstance(value, (frozenset, set)), "a set of texts"),
    (("version", "api"), lambda value: isinstance(value, int), "a whole number"),
)
"""Of the fields of a spec: names, what they must be, and that in words."""


@dataclass(frozen=True, kw_only=True)
class AlgorithmSpec:
    """What a hook yields: one algorithm, described without importing its code.

    Parameters
    ----------
    name : str
        Lower-case name, the same as the entry point's.
    summary : str
        One sentence.
    params : type[Params]
        Parameter model; the YAML, the CLI and the docs are made from it.
    factory : str
        ``"module:Class"``; called with a ``params`` instance at first use.
    inputs : mapping of str to str
        Input name to accepted schemas, ``"fourd/1"`` or ``"fourd/1|images/1"``; a trailing ``?`` marks it optional.
    output : str
        Schema of the result, e.g. ``"peaks/1"``; ``""`` for a writer.
    sides : mapping of str to str, optional
        Named side outputs and their schemas, referred to as ``step.side``. A writer names the
        sides that its format can hold; ``{"*": "*"}`` stands for any.
    suffixes : tuple of str
        Of a writer: endings of the file names that it writes, lower-case, e.g. ``(".hspy", ".zspy")``.
    better : mapping of str to str
        Of a metric: names of figures, ``*`` for any letters, to ``"lower"`` or ``"higher"``; those of which
        neither is better are left out. Benchmarks judge by it.
    columns : mapping of str to (str, str)
        Of a disk detector: units and meaning of ``intensity`` and ``score``, if not counts and a signal-to-noise ratio.
    files : str, optional
        ``"module:function"`` of a light module: from the parameters to the files, by parameter name, that the result
        depends on beside those whose paths are parameters, such as weights called by a name; the cache key has them.
    trainer, training : str and type[Params], optional
        ``"module:Class"`` of a `Trainer` that learns what the algorithm needs, and its parameters, for `ronchi train`.
    version : int
        Raise it when the numbers change: it is part of the cache key.
    capabilities : frozenset of str
        Free words, e.g. ``"cuda"``, ``"subpixel"``, ``"deterministic"``.
    citation : str
        What to cite, with a DOI.
    api : int
        `API_VERSION` that the algorithm was written for.

    Raises
    ------
    TypeError
        A field is not of its type.
    """

    name: str
    summary: str
    params: type[Params]
    factory: str
    inputs: Mapping[str, str]
    output: str
    sides: Mapping[str, str] = field(default_factory=dict)
    suffixes: tuple[str, ...] = ()
    better: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    files: str = ""
    trainer: str = ""
    training: type[Params] | None = None
    version: int = 1
    capabilities: frozenset[str] = frozenset()
    citation: str = ""
    api: int = API_VERSION

    def __post_init__(self) -> None:
        # Here, where a traceback shows the author's line, and not wherever a field is used first.
        for names, is_right, wanted in _FIELD_TYPES:
            for name in names:
                value = getattr(self, name)
                if not is_right(value):
                    raise TypeError(f"the field {name!r} of the algorithm {self.name!r} is {value!r}, not {wanted}")

    def create(self, params: Params | None = None) -> Any:
        """Import the factory and make the algorithm object.

        Raises
        ------
        PluginError
            The factory cannot be imported or is not there.
        """
        return self._imported("factory", self.factory)(self.params() if params is None else params)

    def files_of(self, params: Params) -> dict[str, Path]:
        """Files that a result depends on beside those whose paths are parameters.

        Raises
        ------
        PluginError
            The function that tells them cannot be imported.
        RonchiError
            There is no such file: what the plugin says.
        """
        return dict(self._imported("files", self.files)(params)) if self.files else {}

    def _imported(self, what: str, place: str) -> Any:
        module, _, attribute = place.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, SyntaxError) as error:
            raise PluginError(
                f"the {what} {place!r} of {self.name!r} cannot be imported: {error}",
                fix=f"`ronchi doctor {self.name}` shows where; upgrade or re-install the plugin",
            ) from error

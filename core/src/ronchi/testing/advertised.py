"""Checks of what a plugin says before any data are there: metadata, imports, parameters."""

from __future__ import annotations

import functools
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

from ronchi import api
from ronchi.errors import ConfigError
from ronchi.kinds import KINDS
from ronchi.testing.announced import CAPABILITIES, misspelt_capability, spec_faults
from ronchi.testing.contract import Contract
from ronchi.testing.failure import ContractError
from ronchi.testing.signatures import check_signatures, methods_of

__all__ = ["HEAVY", "AdvertisedContract"]

HEAVY = (
    "abtem", "ase", "dask", "matplotlib", "netCDF4", "numba", "numpy", "pandas", "scipy", "skimage", "sklearn",
    "tensorflow", "torch", "xarray", "zarr",
)  # fmt: skip
"""Packages that a plugin's module must not import: a list of the plugins would take seconds."""

_PROBE = """
import importlib, json, sys
sys.path[:] = json.loads(sys.argv[2])
heavy = json.loads(sys.argv[3])
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in heavy and name not in seen:
            frame = sys._getframe(1)
            while frame is not None and ("importlib" in frame.f_code.co_filename):
                frame = frame.f_back
            seen[name] = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else ""
        return None
seen = {}
sys.meta_path.insert(0, Watch())
importlib.import_module(sys.argv[1])
print(json.dumps({name: where for name, where in seen.items() if name in sys.modules}))
"""


class AdvertisedContract(Contract):
    """Checks of a spec, its parameters and its plugin's module."""

    _needed: ClassVar[tuple[str, ...]] = (
        "plugin_loads_and_yields_what_it_advertises",
        "it_is_made_from_parameters",
        "methods_take_what_they_are_given",
    )

    def check_plugin_loads_and_yields_what_it_advertises(self) -> None:
        """The plugin loads, and its hook yields a spec of the entry point's name."""
        spec = self.subject.spec
        entry = self.subject.manager.entry(self.kind, self.algorithm)
        if not spec.summary.strip() or "\n" in spec.summary.strip():
            raise ContractError(
                f"the summary {spec.summary!r} is not one sentence",
                where=entry.module,
                fix="say in one sentence what the algorithm does",
            )
        if spec.version < 1:
            raise ContractError(f"version is {spec.version}", where=entry.module, fix="start at 1")

    def check_spec_announces_what_its_kind_has(self) -> None:
        """Inputs, output and sides are schemas, and those that a pipeline connects to the kind."""
        faults = list(spec_faults(self.kind, self.subject.spec))
        if faults:
            raise ContractError(
                "; ".join(what for what, _ in faults),
                where=self.subject.manager.entry(self.kind, self.algorithm).module,
                fix="; ".join(dict.fromkeys(fix for _, fix in faults)),
            )

    def check_capabilities_are_not_misspelt(self) -> None:
        """Capabilities are free words, but none that is nearly one of those that ronchi knows."""
        found = misspelt_capability(self.subject.spec.capabilities)
        if found:
            word, meant = found
            raise ContractError(
                f"nothing knows the capability {word!r}, and what {meant!r} stands for is not checked",
                where=self.subject.manager.entry(self.kind, self.algorithm).module,
                fix=f"did you mean {meant!r}? known: {', '.join(CAPABILITIES)}; other words are free",
            )

    def check_plugin_imports_nothing_heavy(self) -> None:
        """The plugin's module imports neither numpy nor anything heavier."""
        module = self.subject.manager.entry(self.kind, self.algorithm).module
        found = _imports(module, tuple(sys.path))
        if found:
            text = "; ".join(f"{name} (by {where})" for name, where in sorted(found.items()))
            raise ContractError(
                f"importing the plugin imports {text}",
                where=module,
                fix="import it in the module that the spec's `factory` names: that one is loaded on use",
            )

    def check_parameters_are_described(self) -> None:
        """Every parameter has a description, and a unit where one is given is a text."""
        model = self.subject.spec.params
        for name, info in model.model_fields.items():
            if not (info.description or "").strip():
                raise ContractError(
                    f"the parameter {name!r} has no description",
                    where=f"{model.__module__}.{model.__name__}",
                    fix='Field(default, description="…", json_schema_extra={"unit": "px"})',
                )
            extra = info.json_schema_extra
            if isinstance(extra, Mapping) and not isinstance(extra.get("unit", ""), str):
                raise ContractError(
                    f"the unit of {name!r} is {extra['unit']!r}", where=model.__name__, fix='write it as text, "px"'
                )

    def check_parameters_are_closed_and_frozen(self) -> None:
        """An unknown parameter is refused, and parameters cannot be changed."""
        model = self.subject.spec.params
        where = f"{model.__module__}.{model.__name__}"
        if not issubclass(model, api.Params):
            raise ContractError("the parameters are no ronchi.api.Params", where=where, fix="derive them from Params")
        config = model.model_config
        if config.get("extra") != "forbid" or not config.get("frozen"):
            raise ContractError(
                f"extra={config.get('extra')!r}, frozen={config.get('frozen')}: a misspelt parameter would be ignored",
                where=where,
                fix="leave `extra` and `frozen` as Params has them",
            )
        try:
            self.subject.checked({**self.given(self.params[0]), "surely_no_parameter": 1})
        except ConfigError:
            return
        raise ContractError("an unknown parameter is accepted", where=where, fix="derive the model from Params")

    def check_parameters_survive_a_round_trip(self, params: Mapping[str, Any]) -> None:
        """Parameters are the same after JSON and after pickling, and have a JSON Schema."""
        checked = self.subject.checked(self.given(params))
        model = type(checked)
        json.dumps(model.model_json_schema())
        for how, back in (
            ("JSON", model.model_validate_json(checked.model_dump_json())),
            ("a mapping of JSON types", model.model_validate(checked.model_dump(mode="json"))),
            ("pickling", pickle.loads(pickle.dumps(checked))),
        ):
            if back != checked:
                raise ContractError(
                    f"after {how} they are {back!r}, they were {checked!r}",
                    where=self.where(params),
                    fix="use types that JSON has: numbers, texts, lists, mappings, other Params",
                )

    def check_it_is_made_from_parameters(self, params: Mapping[str, Any]) -> None:
        """The factory makes an object that has the methods of its kind."""
        made = self.subject.create(self.given(params))
        wanted = methods_of(self.kind)
        missing = [name for name in wanted if not callable(getattr(made, name, None))]
        if missing:
            raise ContractError(
                f"{type(made).__name__} has no method {', '.join(missing)}",
                where=self.subject.spec.factory,
                fix=f"implement all of ronchi.api.{KINDS[self.kind].protocol}: {', '.join(wanted)}",
            )

    def check_methods_take_what_they_are_given(self) -> None:
        """The methods of the protocol take the arguments that the core calls them with."""
        made = self.subject.create(self.given(self.params[0]))
        check_signatures(self.kind, made, self.subject.spec.inputs, self.subject.spec.factory)


@functools.cache
def _imports(module: str, path: tuple[str, ...]) -> dict[str, str]:
    """Heavy packages that a fresh interpreter has after importing a module, and who asked for them first."""
    command = [sys.executable, "-c", _PROBE, module, json.dumps(path), json.dumps(HEAVY)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV_")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise ContractError(
            f"it cannot be imported on its own: {last[0]}", where=module, fix="`ronchi doctor` says more"
        )
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found

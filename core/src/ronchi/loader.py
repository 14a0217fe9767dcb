"""Import of one plugin: guarded, registered with pluggy, its specs collected, each step traced on demand."""

from __future__ import annotations

import difflib
import importlib
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any

import pluggy

from ronchi.api import API_VERSION, AlgorithmSpec
from ronchi.catalog import Entry, PluginProblem
from ronchi.hookspecs import RonchiSpecs
from ronchi.kinds import KINDS

__all__ = ["AlgorithmKey", "Loader", "switched_on"]

AlgorithmKey = tuple[str, str, str]
"""Kind, name and distribution."""

_log = logging.getLogger("ronchi.manager")


class Loader:
    """Imports plugins, each once and on its own; what goes wrong is returned and never raised.

    Attributes
    ----------
    specs : dict
        What the hooks of the plugins that were loaded have yielded.

    Notes
    -----
    ``RONCHI_TRACE=1`` logs which plugin is imported and how long that takes, and every call of a hook.
    """

    def __init__(self) -> None:
        self.specs: dict[AlgorithmKey, AlgorithmSpec] = {}
        self._pluggy = pluggy.PluginManager("ronchi")
        self._pluggy.add_hookspecs(RonchiSpecs)
        self._loaded: dict[tuple[str, str], PluginProblem | None] = {}

    def load(self, entry: Entry) -> tuple[PluginProblem | None, bool]:
        """Import the plugin of an entry, unless that was done; what is wrong with it, and whether that is new."""
        key = (entry.dist, entry.module)
        new = key not in self._loaded
        if new:
            self._loaded[key] = self._import(entry)
        return self._loaded[key], new

    def implementations(self, hook: str) -> Iterator[pluggy.HookImpl]:
        """Implementations of a hook in the plugins that were loaded."""
        for implementation in getattr(self._pluggy.hook, hook).get_hookimpls():
            _trace("%s of %s", hook, implementation.plugin_name)
            yield implementation

    def _import(self, entry: Entry) -> PluginProblem | None:
        registered = f"{entry.dist}:{entry.module}"
        start, before = time.perf_counter(), len(sys.modules)
        try:
            module = importlib.import_module(entry.module)
            self._pluggy.register(module, name=registered)
            self._pluggy.check_pending()
            found = {(kind, spec.name, entry.dist): spec for kind, spec in self._yielded(registered)}
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plugin does at import stays its own fault
            if self._pluggy.has_plugin(registered):
                self._pluggy.unregister(name=registered)
            return _explain(entry, error)
        _trace(
            "imported %s in %.3f s, with %d modules: %s",
            registered,
            time.perf_counter() - start,
            len(sys.modules) - before,
            ", ".join(f"{kind}/{name}" for kind, name, _ in found) or "no algorithm",
        )
        for (kind, name, dist), spec in found.items():
            if spec.api < API_VERSION:
                text = "%s/%s was made for version %d of the plugin API, which a later ronchi will refuse: upgrade %s"
                _log.warning(text, kind, name, spec.api, dist)
        self.specs.update(found)
        return None

    def _yielded(self, registered: str) -> Iterator[tuple[str, AlgorithmSpec]]:
        for kind in KINDS.values():
            for implementation in getattr(self._pluggy.hook, kind.hook).get_hookimpls():
                if implementation.plugin_name == registered:
                    for spec in implementation.function():
                        if not isinstance(spec, AlgorithmSpec):
                            raise TypeError(f"{kind.hook}() yielded {type(spec).__name__}, not AlgorithmSpec")
                        yield kind.name, spec


def switched_on(variable: str) -> bool:
    """Whether an environment variable is set to something else than 0."""
    return os.environ.get(variable, "") not in ("", "0")


def _trace(text: str, *values: Any) -> None:
    if switched_on("RONCHI_TRACE"):
        _log.warning(text, *values)


def _explain(entry: Entry, error: BaseException) -> PluginProblem:
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    fix = f"`ronchi doctor {entry.dist}` shows the traceback; upgrade, re-install or uninstall {entry.dist}"
    cause = "broken"
    if meant := _misspelt_hook(error):
        fix = f"its authors: did you mean {meant!r}? {fix}"
    elif _speaks_another_api(error):
        cause, fix = "incompatible", f"{_asked_for(entry.dist)}: upgrade the older of the two. {fix}"
    return PluginProblem(entry.dist, entry.module, what, fix, traceback.format_exc(), cause)


def _speaks_another_api(error: BaseException) -> bool:
    """Whether a plugin failed at its border with the core: a name, a hook or a field that the core does not have."""
    if isinstance(error, ImportError):
        return (error.name or "").partition(".")[0] == "ronchi"
    field_of_another_version = isinstance(error, TypeError) and "AlgorithmSpec.__init__()" in str(error)
    return field_of_another_version or isinstance(error, pluggy.PluginValidationError)


def _misspelt_hook(error: BaseException) -> str:
    """The hook that is meant by one of nearly its name."""
    unknown = re.match(r"unknown hook '(\w+)'", str(error)) if isinstance(error, pluggy.PluginValidationError) else None
    close = difflib.get_close_matches(unknown[1], list(vars(RonchiSpecs)), 1, 0.9) if unknown else []
    return close[0] if close else ""


def _asked_for(dist: str) -> str:
    """What a distribution says about the ronchi that it wants, beside the one that is here."""
    from importlib import metadata

    try:
        wanted = [text for text in metadata.requires(dist) or () if re.match(r"ronchi\b(?!-)", text)]
    except metadata.PackageNotFoundError:
        wanted = []
    here = metadata.version("ronchi")
    return f"{dist} asks for {wanted[0] if wanted else 'no version of ronchi'}, this is ronchi {here}"

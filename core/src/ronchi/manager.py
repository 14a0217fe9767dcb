"""Guarded loading: only the plugins that a run uses are imported, each on its own.

A broken plugin becomes a `PluginProblem`; it stops a run only if the run uses it.
"""

from __future__ import annotations

import difflib
import functools
import importlib.util
import logging
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ronchi.api import API_VERSION, AlgorithmSpec, Params, hookimpl
from ronchi.catalog import Catalog, Entry, PluginProblem, scan
from ronchi.errors import ConfigError, PluginError
from ronchi.kinds import KINDS, STEP_KINDS
from ronchi.loader import Loader, switched_on

__all__ = ["KNOWN_DISTS", "SUPPORTED_APIS", "Manager", "get_manager", "hookimpl"]

SUPPORTED_APIS = frozenset({API_VERSION})
"""Versions of the plugin API that work; the one before stays here for the releases of its deprecation."""

KNOWN_DISTS = {
    (kind, name): f"ronchi-{dist}"
    for dist, kinds in {
        "atomnet": {"atom_finder": "atomnet log"},
        "com": {"descriptor_learner": "com", "transform": "dpc"},
        "crosscorr": {"disk_detector": "crosscorr"},
        "fcunet": {"disk_detector": "fcunet"},
        "gmm": {"descriptor_learner": "gmm ica kmeans nmf pca"},
        "lattice": {"strain_solver": "lattice"},
        "movies": {"metric": "tracks", "transform": "dynamics rings track-atoms"},
        "peers": {"descriptor_learner": "atomai pyroved", "disk_detector": "blobfinder py4dstem pyxem"},
        "rosettasciio": {"reader": "py4dstem rosettasciio", "writer": "hyperspy py4dstem"},
        "rvae": {
            "descriptor_learner": "conv-ae jrvae polar-em polar-invariants rrvae rvae spatial-vae vae",
        },
        "simulate": {
            "simulator": "graphene-movie graphene-pairs graphene4d hbn library sige zincblende4d",
            "transform": "augment library-scan",
        },
    }.items()
    for kind, names in kinds.items()
    for name in names.split()
}
"""Kind and name of the algorithms of the project's own dists, for the hint of a missing one."""

_log = logging.getLogger("ronchi.manager")


class Manager:
    """Finds, loads and makes algorithms by kind and name.

    Parameters
    ----------
    catalog : Catalog, optional
        What is advertised; the installed distributions by default.
    allow : set of str, optional
        Algorithms, ``name`` or ``dist:name``, that may be used besides ronchi's own; all by default.
    strict : bool, optional
        Let the first fault of any plugin or of its metadata stop everything, as its authors and their CI want it;
        ``RONCHI_STRICT=1`` by default.

    Raises
    ------
    PluginError
        In strict mode, faulty metadata.
    """

    def __init__(
        self, catalog: Catalog | None = None, allow: set[str] | None = None, *, strict: bool | None = None
    ) -> None:
        self.catalog = scan() if catalog is None else catalog
        self.allow = allow
        self.strict = switched_on("RONCHI_STRICT") if strict is None else strict
        self.problems: list[PluginProblem] = list(self.catalog.problems)
        self._loader = Loader()
        if self.strict and self.problems:
            raise _as_error(self.problems[0], self.problems[0].what)

    def names(self, kind: str) -> list[str]:
        """Names of the advertised algorithms of a kind; imports nothing."""
        return self.catalog.names(kind)

    def entry(self, kind: str, name: str) -> Entry:
        """The one entry that answers to ``name`` or ``dist:name``; imports nothing.

        Raises
        ------
        PluginError
            None or several do, or the pipeline's allow-list leaves it out.
        """
        if kind not in KINDS:
            raise ConfigError(f"unknown kind {kind!r}", fix=f"one of: {', '.join(KINDS)}")
        found = self.catalog.find(kind, name)
        if not found:
            raise PluginError(f"no {kind} is called {name!r}", fix=self._hint(kind, name))
        if len(found) > 1:
            dists = [f"{entry.dist}:{entry.name}" for entry in found]
            raise PluginError(
                f"{len(found)} installed distributions bring a {kind} called {name!r}",
                fix=f"write one of {', '.join(dists)}, or uninstall the others",
            )
        (entry,) = found
        names = {entry.name, f"{entry.dist}:{entry.name}"}
        if self.allow is not None and entry.dist != "ronchi" and not names & self.allow:
            raise PluginError(
                f"the {kind} {name!r} of {entry.dist} is not on the allow-list", fix="add it to `plugins: {allow: […]}`"
            )
        return entry

    def spec(self, kind: str, name: str) -> AlgorithmSpec:
        """Spec of an algorithm; imports its plugin module, not its code.

        Raises
        ------
        PluginError
            Unknown, ambiguous, broken, or made for another API version.
        """
        entry = self.entry(kind, name)
        problem = self.problem(entry)
        if problem is not None:
            who = f"{name!r} of {entry.dist} {entry.version} cannot be used"
            raise _as_error(problem, f"{who}: {problem.what}")
        return self._loader.specs[kind, entry.name, entry.dist]

    def problem(self, entry: Entry) -> PluginProblem | None:
        """What keeps an advertised algorithm from being used; imports its plugin module, not its code."""
        problem = self._load(entry)
        if problem is not None or entry.kind == "observer":
            return problem
        spec = self._loader.specs.get((entry.kind, entry.name, entry.dist))
        if spec is None:
            hook = KINDS[entry.kind].hook
            what = f"it advertises the {entry.kind} {entry.name!r}, but its hook {hook}() does not yield it"
            fix = f"upgrade {entry.dist}; its authors: {self._advice(entry)}"
            return PluginProblem(entry.dist, entry.module, what, fix)
        if spec.api not in SUPPORTED_APIS:
            what = f"{entry.name!r} was made for version {spec.api} of the plugin API, this is {API_VERSION}"
            fix = f"upgrade {'ronchi' if spec.api > API_VERSION else entry.dist}"
            return PluginProblem(entry.dist, entry.module, what, fix, cause="incompatible")
        return None

    def specs(self, kind: str, names: Iterable[str] | None = None) -> list[AlgorithmSpec]:
        """Specs of a kind, or of the ones named, that load and do not clash; the others end in `problems`."""
        found = []
        for name in self.names(kind) if names is None else names:
            try:
                found.append(self.spec(kind, name))
            except PluginError as error:
                if self.strict:
                    raise
                _log.debug("%s", error)
        return found

    def create(self, kind: str, name: str, params: Params | dict[str, Any] | None = None) -> Any:
        """Make the algorithm object.

        Raises
        ------
        PluginError
            It cannot be loaded.
        ConfigError
            The parameters are not valid.
        """
        spec = self.spec(kind, name)
        return spec.create(params if isinstance(params, Params) else self.check_params(kind, name, params or {}))

    def check_params(self, kind: str, name: str, params: dict[str, Any]) -> Params:
        """Validate parameters; all faults in one `ConfigError`, with did-you-mean."""
        from pydantic import ValidationError

        model = self.spec(kind, name).params
        try:
            return model.model_validate(params)
        except ValidationError as error:
            from ronchi.config.faults import note_validation_error
            from ronchi.config.source import Source

            source = Source(f"{kind} {name}", dict(params), Path())
            note_validation_error(source, (), error, model)
            first, *_ = source.faults
            if len(source.faults) > 1:
                raise ConfigError("\n".join(map(str, [f"{len(source.faults)} faults", *source.faults]))) from None
            fix = first.fix or f"see `ronchi info {kind}/{name}`"
            raise ConfigError(first.what, where=first.where, fix=fix) from None

    def dist(self, kind: str, name: str) -> tuple[str, str, Path | None]:
        """``(dist, version, source folder if editable)`` of an algorithm."""
        entry = self.entry(kind, name)
        return entry.dist, entry.version, editable_root(entry.module)

    def load_all(self) -> None:
        """Import every advertised plugin; what fails ends in `problems`."""
        for entry in self.catalog.entries:
            self._load(entry)

    @property
    def yielded(self) -> set[tuple[str, str, str]]:
        """Kind, name and distribution of what the hooks of imported plugins yield, whether advertised or not."""
        return set(self._loader.specs)

    def load_observers(self) -> None:
        """Register the lifecycle observers; a broken one is a problem, never a stop."""
        for entry in self.catalog.entries:
            if entry.kind == "observer":
                self._load(entry)

    def notify(self, hook: str, **arguments: Any) -> None:
        """Call a lifecycle hook, each implementation on its own; faults are logged, and raised in strict mode alone."""
        for implementation in self._loader.implementations(hook):
            wanted = {name: arguments[name] for name in implementation.argnames if name in arguments}
            try:
                implementation.function(**wanted)
            except Exception:
                if self.strict:
                    raise
                _log.warning("observer %s failed in %s:\n%s", implementation.plugin_name, hook, traceback.format_exc())

    def _load(self, entry: Entry) -> PluginProblem | None:
        problem, new = self._loader.load(entry)
        if problem is not None and new:
            self.problems.append(problem)
            if self.strict:
                raise _as_error(problem, f"{entry.dist} {entry.version}: {problem.what}")
        return problem

    def _advice(self, entry: Entry) -> str:
        """What authors do about an advertised algorithm that no hook yields."""
        hook = KINDS[entry.kind].hook
        function = getattr(sys.modules.get(entry.module), hook, None)
        if function is not None and not hasattr(function, f"{hookimpl.project_name}_impl"):
            return f"is `@hookimpl` missing above {hook}() in {entry.module}?"
        yielded = sorted(name for kind, name, dist in self.yielded if (kind, dist) == (entry.kind, entry.dist))
        if yielded:
            return f"make entry-point name and spec name agree, it yields {', '.join(map(repr, yielded))}"
        if function is None:
            return f"{entry.module} has no function {hook}(), write one, with `@hookimpl` above it"
        return f"{hook}() yields nothing, let it yield an AlgorithmSpec"

    def _hint(self, kind: str, name: str) -> str:
        # First, for a name may belong to several kinds, and resemble one that is installed.
        if (kind, name) in KNOWN_DISTS:
            return f"`pip install {KNOWN_DISTS[kind, name]}` brings it"
        names = self.names(kind)
        for other in STEP_KINDS:
            if other != kind and name in self.names(other):
                return f"{name!r} is a {other}: write `{other}: {name}`"
        close = difflib.get_close_matches(name, names, 1)
        if close:
            return f"did you mean {close[0]!r}? installed: {', '.join(names)}"
        return f"installed: {', '.join(names) or 'none'}; `pip install` the plugin that brings {name!r}"


def _as_error(problem: PluginProblem, what: str) -> PluginError:
    return PluginError(what, where=problem.module or problem.dist, fix=problem.fix)


def editable_root(module: str) -> Path | None:
    """Source folder of the package of a module, or None if it is installed among the others, or not at all."""
    spec = importlib.util.find_spec(module.partition(".")[0])
    if spec is None or not spec.origin:
        return None
    root = Path(spec.origin).parent
    return None if {"site-packages", "dist-packages"} & set(root.parts) else root


@functools.cache
def get_manager() -> Manager:
    """The manager of this process, over what is installed."""
    return Manager()

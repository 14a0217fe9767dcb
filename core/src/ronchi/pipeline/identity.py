"""The key of every step of a plan, made before any step runs, and why a step runs or does not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from typing import Any

from ronchi.errors import OutputError, RunError
from ronchi.pipeline.cache import Cache
from ronchi.pipeline.keys import KEY_FORMAT, FileDigests, changes, code_digest, entropy, step_key
from ronchi.pipeline.planned import Plan, PlannedStep
from ronchi.pipeline.resources import has_cuda
from ronchi.pipeline.shared import numerics_digest, shared_parts
from ronchi.pipeline.steps import is_stored

__all__ = ["Identities"]

_CORE = "ronchi"
_BLOCK_KINDS = ("disk_detector", "descriptor_learner")


class Identities:
    """Keys of a plan's steps and what went into them.

    Parameters
    ----------
    plan : Plan
    cache : Cache
        Also remembers the digests of input files and the keys of the last run.
    tell : callable, optional
        Is told before a large input file is read.

    Attributes
    ----------
    components : dict of str to dict
        Step to everything that its result depends on.
    keys : dict of str to str
        Step to the sha256 of that.
    """

    def __init__(self, plan: Plan, cache: Cache, tell: Callable[[str], None] | None = None) -> None:
        self.plan, self.cache = plan, cache
        self.components: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, str] = {}
        options = plan.config.run
        self._cuda = options.device == "cuda" or (options.device == "auto" and has_cuda())
        self._files = FileDigests(cache.folder / "files.json", tell)
        self._last = cache.last(plan.config.name)
        for name, step in plan.steps.items():
            self.components[name] = self._components(step)
            self.keys[name] = step_key(self.components[name])
        # The memo only saves time: without it the files are read once more.
        with contextlib.suppress(OSError):
            self._files.save()

    def device(self, step: PlannedStep) -> str:
        """``"cuda"`` if it is wanted, there, and of use to the algorithm, else ``"cpu"``."""
        return "cuda" if self._cuda and "cuda" in step.spec.capabilities else "cpu"

    def entropy(self, step: PlannedStep) -> list[int]:
        """Seed of the step's random numbers."""
        return entropy(self.plan.config.seed, step.config.kind, step.name, step.content())

    def reason(self, name: str, forced: Collection[str] = ()) -> str:
        """Why a step runs or is reused, in words."""
        if not is_stored(self.plan.steps[name]):
            return "not stored: read or made again when needed"
        if name in forced:
            return "forced"
        if self.cache.has(self.keys[name]):
            return "nothing it depends on has changed"
        found = changes(self._last.get(name), self.components[name])
        return "; ".join(found) or "its result is not in the cache, or was not finished"

    def remember(self) -> None:
        """Keep the components for the reasons of the next run, if there is room for them: no result depends on it."""
        with contextlib.suppress(OutputError):
            self.cache.set_last(self.plan.config.name, {**self._last, **self.components})

    def check_files(self, *names: str, folders: bool = True) -> None:
        """Compare the files that steps read, themselves or through lazy steps before them, with what keys are made of.

        Parameters
        ----------
        *names : str
            Steps; a file that several of them read is compared once.
        folders : bool
            Folders too, such as Zarr stores, which may hold too many files to ask for them often.

        Raises
        ------
        RunError
            A file has other content by now, or is gone.
        """
        read = [
            (path, self.components[name]["files"][field])
            for name in self._made_again_for(names)
            for field, path in self.plan.steps[name].files.items()
        ]
        for path, known in {path: known for path, known in read if folders or not path.is_dir()}.items():
            try:
                # Of another size it is another one, and need not be read to know.
                same = (path.is_dir() or path.stat().st_size == known["size"]) and self._files.of(path) == known
            except OSError:
                same = False
            if not same:
                what = "this input file changed while the run read it, so that its results would be of neither content"
                raise RunError(what, where=str(path), fix="run again once nobody writes to it any more")

    def _made_again_for(self, names: Collection[str]) -> list[str]:
        """Steps and the lazy ones before them, each once."""
        found, waiting = set(names), list(names)
        while waiting:
            for reference in self.plan.steps[waiting.pop()].config.inputs.values():
                source = reference.partition(".")[0]
                if source not in found and not is_stored(self.plan.steps[source]):
                    found.add(source)
                    waiting.append(source)
        return [name for name in self.plan.steps if name in found]

    def _components(self, step: PlannedStep) -> dict[str, Any]:
        config, options = step.config, self.plan.config.run
        components: dict[str, Any] = {
            "key_format": KEY_FORMAT,
            "kind": config.kind,
            "name": step.name,
            "dist": step.dist,
            "version": step.version,
            "algorithm_version": step.spec.version,
            "params": step.content(),
            "inputs": {name: self._input_key(reference) for name, reference in config.inputs.items()},
        }
        if step.editable is not None:
            components["code"] = code_digest(step.editable)
        if step.dist != _CORE:
            components["shared"] = {**shared_parts(step.dist), _CORE: {"code": numerics_digest(config.kind)}}
        if step.files:
            components["files"] = {name: self._files.of(path) for name, path in step.files.items()}
        if config.kind != "reader":
            components["seed"] = self.plan.config.seed
            components["device"] = self.device(step)
        if config.kind in _BLOCK_KINDS:
            auto = ["auto", options.memory_mb, options.n_workers()] if options.memory_mb else "auto"
            components["block"] = options.block or auto
        return components

    def _input_key(self, reference: str) -> str:
        step, dot, side = reference.partition(".")
        return self.keys[step] + dot + side

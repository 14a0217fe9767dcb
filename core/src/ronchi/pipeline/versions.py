"""What is installed that results depend on, now and when they were made."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING

from ronchi.pipeline.shared import required, shared_parts

if TYPE_CHECKING:
    from ronchi.pipeline.planned import Plan
    from ronchi.result import RunResult

__all__ = ["of_other_versions", "versions_for", "versions_of"]


def versions_of(plan: Plan) -> dict[str, str]:
    """Versions of Python and its libraries, and of the distributions that a plan uses with all that they ask for."""
    dists = {step.dist: step.version for step in plan.steps.values()}
    return versions_for(dists | {writer.dist: writer.version for writer in plan.writers.values()})


def versions_for(dists: Mapping[str, str]) -> dict[str, str]:
    """Versions of distributions, given with theirs, and of Python, ronchi and all that they ask for."""
    known = dict(dists)
    for dist in dists:
        known |= {part: of["version"] for part, of in shared_parts(dist).items() if part not in known}
    needed = {name for dist in ("ronchi", *known) for name in required(dist)}
    found = {"python": platform.python_version()}
    for name in ("ronchi", *sorted(needed - known.keys())):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {**found, **known}


def of_other_versions(run: RunResult) -> list[str]:
    """Tell which reused results were made with other versions than are installed now, but for Python's own."""
    made: dict[str, list[str]] = {}
    for name, step in run.steps.items():
        then = {dist: version for dist, version in step.made_with.items() if dist != "python"}
        differ = [
            f"{dist} {version} (now {run.versions.get(dist, 'absent')})"
            for dist, version in then.items()
            if version != run.versions.get(dist)
        ]
        if differ:
            made.setdefault(", ".join(differ), []).append(name)
    return [
        f"{', '.join(steps)}: reused, made with {versions}; --force STEP makes a step again"
        for versions, steps in made.items()
    ]

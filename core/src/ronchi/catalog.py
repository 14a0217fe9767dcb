"""What is installed, read from metadata alone: no plugin is imported here.

The ``entrypoints`` package does the scan; a malformed ``entry_points.txt`` of any installed
distribution aborts it, so the standard library stands in and the fault is recorded.
"""

from __future__ import annotations

import configparser
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ronchi.kinds import KINDS, OBSERVER_GROUP

__all__ = ["Catalog", "Entry", "PluginProblem", "scan"]

GROUPS = {**{kind.group: kind.name for kind in KINDS.values()}, OBSERVER_GROUP: "observer"}


@dataclass(frozen=True, order=True)
class Entry:
    """One advertised algorithm: ``kind``, ``name``, and the dist and module that bring it."""

    kind: str
    name: str
    dist: str
    version: str
    module: str


@dataclass(frozen=True)
class PluginProblem:
    """Something wrong with a plugin, and what to do."""

    dist: str
    module: str
    what: str
    fix: str
    traceback: str = ""


@dataclass(frozen=True)
class Catalog:
    """All advertised algorithms and the problems met while reading the metadata."""

    entries: tuple[Entry, ...]
    problems: tuple[PluginProblem, ...] = field(default_factory=tuple)

    def names(self, kind: str) -> list[str]:
        """Sorted names of a kind."""
        return sorted({entry.name for entry in self.entries if entry.kind == kind})

    def find(self, kind: str, name: str) -> list[Entry]:
        """Entries that answer to ``name`` or ``dist:name``; more than one is a clash."""
        dist, _, plain = name.rpartition(":")
        return [
            entry
            for entry in self.entries
            if entry.kind == kind and entry.name == plain and (not dist or entry.dist == _normal(dist))
        ]

    def clashes(self) -> list[tuple[str, str, list[str]]]:
        """``(kind, name, dists)`` for every name that two dists advertise."""
        counted = Counter((entry.kind, entry.name) for entry in self.entries)
        return [
            (kind, name, [entry.dist for entry in self.entries if (entry.kind, entry.name) == (kind, name)])
            for (kind, name), count in sorted(counted.items())
            if count > 1
        ]


def scan(path: Iterable[str | Path] | None = None, *, fallback: bool = False) -> Catalog:
    """Read the entry points of all installed distributions.

    Parameters
    ----------
    path : iterable of path, optional
        Folders to look in, e.g. another environment's ``site-packages``; ``sys.path`` by default.
    fallback : bool
        Use the standard library at once.

    Notes
    -----
    ``RONCHI_NO_PLUGINS=1`` hides everything but ronchi's own; ``RONCHI_DISABLE_PLUGINS=a,b`` hides dists.
    """
    folders = None if path is None else [str(folder) for folder in path]
    problems: list[PluginProblem] = []
    if fallback:
        found = list(_scan_stdlib(folders))
    else:
        try:
            found = list(_scan_entrypoints(folders, problems))
        except (configparser.Error, UnicodeDecodeError, OSError, AttributeError, ValueError) as error:
            problems = [
                PluginProblem(
                    "unknown", "", f"an installed entry_points.txt is malformed: {str(error).splitlines()[0]}",
                    "re-install or remove the distribution that owns it; the others were read all the same",
                )
            ]  # fmt: skip
            found = list(_scan_stdlib(folders))
    kept: list[Entry] = []
    for entry in sorted(set(found)):
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", entry.name):
            what = f"the name {entry.name!r} of a {entry.kind} is not of the form [a-z0-9-]+"
            problems.append(PluginProblem(entry.dist, entry.module, what, "rename the entry point"))
        elif not _hidden(entry.dist):
            kept.append(entry)
    return Catalog(tuple(kept), tuple(problems))


def _scan_entrypoints(folders: list[str] | None, problems: list[PluginProblem]) -> Iterator[Entry]:
    import entrypoints

    for group, kind in GROUPS.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            points = entrypoints.get_group_all(group, path=folders)
        for warning in caught:
            text = str(warning.message)
            problem = PluginProblem("unknown", "", f"{group}: {text}", 'write it as `name = "package.module"`')
            if problem not in problems:
                problems.append(problem)
        for point in points:
            dist, version = (point.distro.name, point.distro.version) if point.distro else ("unknown", None)
            yield Entry(kind, point.name, _normal(dist), version or "", point.module_name)


def _scan_stdlib(folders: list[str] | None) -> Iterator[Entry]:
    from importlib import metadata

    for dist in metadata.distributions() if folders is None else metadata.distributions(path=folders):
        for point in dist.entry_points:
            if point.group in GROUPS:
                yield Entry(
                    GROUPS[point.group], point.name, _normal(dist.name or "unknown"), dist.version or "", point.value
                )


def _hidden(dist: str) -> bool:
    if dist == "ronchi":
        return False
    if os.environ.get("RONCHI_NO_PLUGINS", "") not in ("", "0"):
        return True
    return dist in {_normal(name.strip()) for name in os.environ.get("RONCHI_DISABLE_PLUGINS", "").split(",")}


def _normal(dist: str) -> str:
    return re.sub(r"[-_.]+", "-", dist).lower()

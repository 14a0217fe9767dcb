"""What is installed, read from metadata alone: no plugin is imported here.

The ``entrypoints`` package does the scan; a malformed ``entry_points.txt`` of any installed
distribution aborts it, so the standard library stands in and the fault is recorded.
"""

from __future__ import annotations

import configparser
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ronchi.kinds import KINDS, OBSERVER_GROUP

__all__ = ["GROUPS", "Catalog", "Entry", "PluginProblem", "normal_name", "scan"]

GROUPS = {**{kind.group: kind.name for kind in KINDS.values()}, OBSERVER_GROUP: "observer"}
"""Entry-point group to the kind of what stands in it."""


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
    """Something wrong with a plugin, and what to do.

    Parameters
    ----------
    dist, module : str
        Who: the distribution, and its module where one is at fault.
    what, fix : str
        What is wrong, and what to do.
    traceback : str
        Of the exception, if there was one.
    cause : str
        ``broken``, ``stale`` (its metadata are not those of its code), ``clash`` (of names) or ``incompatible``
        (made for another version of ronchi, or of what it needs).
    """

    dist: str
    module: str
    what: str
    fix: str
    traceback: str = ""
    cause: str = "broken"


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
            if entry.kind == kind and entry.name == plain and (not dist or entry.dist == normal_name(dist))
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
            source = Path(getattr(error, "source", None) or "")
            owner = normal_name(source.parent.name.partition("-")[0]) or "unknown"
            what = f"its {source.name or 'entry_points.txt'} is malformed: {str(error).splitlines()[0]}"
            fix = "re-install or remove the distribution that owns it; the others were read all the same"
            problems = [PluginProblem(owner, "", what, fix)]
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

    # One pass over the files: `get_group_all` would read all of them once a group.
    for config, distro in entrypoints.iter_files_distros(path=folders):
        dist, version = (normal_name(distro.name), distro.version or "") if distro else ("unknown", "")
        for group in GROUPS.keys() & set(config.sections()):
            for name, value in config[group].items():
                try:
                    module = entrypoints.EntryPoint.from_string(value, name).module_name
                except entrypoints.BadEntryPoint:
                    what = f"{group}: the value {value!r} of {name!r} cannot be read"
                    problems.append(PluginProblem(dist, "", what, 'write it as `name = "package.module"`'))
                else:
                    yield Entry(GROUPS[group], name, dist, version, module)


def _scan_stdlib(folders: list[str] | None) -> Iterator[Entry]:
    from importlib import metadata

    seen: set[str] = set()
    for dist in metadata.distributions() if folders is None else metadata.distributions(path=folders):
        name = normal_name(dist.name or "unknown")
        # Python imports the first one of a name on the path; the others are in its shadow.
        if dist.name and name in seen:
            continue
        seen.add(name)
        for point in dist.entry_points:
            if point.group in GROUPS:
                yield Entry(GROUPS[point.group], point.name, name, dist.version or "", point.value)


def _hidden(dist: str) -> bool:
    if dist == "ronchi":
        return False
    if os.environ.get("RONCHI_NO_PLUGINS", "") not in ("", "0"):
        return True
    return dist in {normal_name(name.strip()) for name in os.environ.get("RONCHI_DISABLE_PLUGINS", "").split(",")}


def normal_name(dist: str) -> str:
    """Name of a distribution as indexes compare it: lower-case, with single hyphens."""
    return re.sub(r"[-_.]+", "-", dist).lower()

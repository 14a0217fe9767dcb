"""What is wrong with the installed plugins, and what to do, for this environment or for another one.

Another environment is looked at through its metadata and its folders alone: nothing of it is imported.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement

from ronchi.catalog import GROUPS, Catalog, PluginProblem, normal_name, scan
from ronchi.doctor_code import code_problems
from ronchi.errors import ConfigError
from ronchi.kinds import KINDS

__all__ = ["diagnose", "site_folders"]

Point = tuple[str, str, str]
"""Group, name and value of an entry point."""


@dataclass(frozen=True)
class _Plugin:
    """What is asked several times of a distribution: each question to `Distribution` reads its file again."""

    name: str
    version: str
    dist: Distribution
    points: tuple[EntryPoint, ...]
    requirements: tuple[Requirement, ...]


def diagnose(path: Sequence[str | Path] | None = None) -> list[PluginProblem]:
    """All problems: of metadata, of versions, of names and, for this environment, of loading.

    Parameters
    ----------
    path : sequence of path, optional
        Another environment, or its ``site-packages``, which is looked at without importing anything.

    Raises
    ------
    ConfigError
        A path holds no installed distributions.
    """
    folders = None if path is None else [folder for each in path for folder in site_folders(Path(each))]
    catalog = scan(folders)
    versions: dict[str, str] = {}
    plugins: list[_Plugin] = []
    for dist in distributions() if folders is None else distributions(path=[str(folder) for folder in folders]):
        metadata = dist.metadata
        name, version = normal_name(str(metadata["Name"])), str(metadata["Version"])
        versions.setdefault(name, version)
        points = tuple(point for point in dist.entry_points if point.group.startswith("ronchi."))
        if points or name.startswith("ronchi-"):
            required = tuple(_active(metadata.get_all("Requires-Dist") or ()))
            plugins.append(_Plugin(name, version, dist, points, required))
    problems = [*catalog.problems, *_clashes(catalog), *_installed_twice(plugins)]
    for plugin in {plugin.name: plugin for plugin in reversed(plugins)}.values():  # the first on the path is imported
        problems += [*_unmet(plugin, versions), *_unknown_groups(plugin), *_stale(plugin)]
    if folders is None:
        lacking = {problem.dist for problem in problems if problem.cause in ("broken", "incompatible")}
        problems += _loading(catalog, {plugin.name: _in_source(plugin) for plugin in plugins}, lacking)
    else:
        in_place = {plugin.name for plugin in plugins if _source_folder(plugin)}
        problems += _absent_modules(catalog, folders, in_place)
    return [*problems, *_silent(plugins, {problem.dist for problem in problems})]


def site_folders(root: Path) -> list[Path]:
    """Folders of a path that hold installed distributions: itself, or those of the environment that it is.

    Raises
    ------
    ConfigError
        There are none.
    """
    candidates = [root, *sorted(root.glob("lib/python*/site-packages")), root / "Lib" / "site-packages"]
    found = [folder for folder in candidates if any(folder.glob("*.dist-info"))]
    if not found:
        what = "there are no installed distributions" if root.is_dir() else "there is no such folder"
        raise ConfigError(what, where=str(root), fix="give an environment's folder, or its site-packages")
    return found


def _active(requirements: Iterable[str]) -> Iterator[Requirement]:
    for text in requirements:
        with contextlib.suppress(InvalidRequirement):
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                yield needed


def _clashes(catalog: Catalog) -> Iterator[PluginProblem]:
    for kind, name, dists in catalog.clashes():
        if len(set(dists)) > 1:
            yield PluginProblem(
                ", ".join(dists),
                "",
                f"the {kind} {name!r} comes from {' and '.join(dists)}",
                f"write {' or '.join(f'`{dist}:{name}`' for dist in dists)} in pipelines, or uninstall one",
                cause="clash",
            )


def _installed_twice(plugins: Iterable[_Plugin]) -> Iterator[PluginProblem]:
    """Distributions with two records in one folder, as an interrupted upgrade leaves them."""
    at: dict[tuple[str, str], list[str]] = {}
    for plugin in plugins:
        versions = at.setdefault((plugin.name, str(plugin.dist.locate_file(""))), [])
        if plugin.version not in versions:
            versions.append(plugin.version)
    for (name, folder), versions in at.items():
        if len(versions) > 1:
            what = f"versions {' and '.join(sorted(versions))} are recorded side by side in {folder}"
            fix = f"`pip uninstall {name}` until none is left, then install it once"
            yield PluginProblem(name, "", what, fix, cause="stale")


def _unmet(plugin: _Plugin, versions: Mapping[str, str]) -> Iterator[PluginProblem]:
    """What a plugin requires and does not get; of ``ronchi`` itself it means that one of the two is too old."""
    for needed in plugin.requirements:
        there = versions.get(normal_name(needed.name))
        asked = f"{needed.name}{needed.specifier}"
        if there is None:
            what, cause = f"it needs {asked}, which is not installed", "broken"
            fix = f"`pip install '{asked}'`"
        elif needed.specifier.contains(there, prereleases=True):
            continue
        else:
            what, cause = f"it needs {asked}, and {there} is installed", "incompatible"
            fix = f"`pip install '{asked}'`, or install a version of {plugin.name} that works with {there}"
        yield PluginProblem(plugin.name, "", what, fix, cause=cause)


def _unknown_groups(plugin: _Plugin) -> Iterator[PluginProblem]:
    for group in sorted({point.group for point in plugin.points} - set(GROUPS)):
        close = difflib.get_close_matches(group, GROUPS, 1)
        what = f"its entry points are in the group {group!r}, which this ronchi does not know"
        fix = f"its authors: did you mean {close[0]!r}?" if close else f"one of: {', '.join(GROUPS)}"
        yield PluginProblem(plugin.name, "", what, f"{fix}; or else upgrade ronchi", cause="incompatible")


def _stale(plugin: _Plugin) -> Iterator[PluginProblem]:
    """An installation in place whose metadata are not those that its source would give."""
    folder = _source_folder(plugin)
    if folder is None:
        return
    if not folder.is_dir():
        what = f"it was installed in place from {folder}, which is not there any more"
        yield PluginProblem(plugin.name, "", what, f"install it again, or `pip uninstall {plugin.name}`", cause="stale")
        return
    written = _written_points(folder / "pyproject.toml")
    recorded = {(point.group, point.name, point.value) for point in plugin.points}
    if written is None or written == recorded:
        return
    lacking, left = (
        ", ".join(f"{GROUPS.get(group, group)} {name} = {value}" for group, name, value in sorted(points))
        for points in (written - recorded, recorded - written)
    )
    parts = [f"lack {lacking}" if lacking else "", f"still have {left}" if left else ""]
    what = f"its pyproject.toml has changed since it was installed: the metadata {' and '.join(filter(None, parts))}"
    yield PluginProblem(plugin.name, "", what, f"`pip install --no-deps -e {folder}`", cause="stale")


def _source_folder(plugin: _Plugin) -> Path | None:
    """Where a distribution that was installed in place has its source."""
    origin = json.loads(plugin.dist.read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(origin["url"]).path))


def _in_source(plugin: _Plugin) -> set[Point]:
    """Entry points in the source of a distribution that was installed in place."""
    folder = _source_folder(plugin)
    return (folder and _written_points(folder / "pyproject.toml")) or set()


def _written_points(pyproject: Path) -> set[Point] | None:
    """Entry points of ours that a ``pyproject.toml`` asks for; None where they stand elsewhere."""
    try:
        project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    except (OSError, ValueError, KeyError):
        return None
    if "entry-points" in project.get("dynamic", ()):
        return None
    groups = project.get("entry-points", {})
    return {
        (group, name, value) for group in groups if group.startswith("ronchi.") for name, value in groups[group].items()
    }


def _absent_modules(catalog: Catalog, folders: Sequence[Path], in_place: set[str]) -> Iterator[PluginProblem]:
    """Modules that are advertised and not there, found without importing; those in place lie elsewhere."""
    for entry in catalog.entries:
        if entry.dist not in in_place and not _is_there(entry.module, folders):
            yield PluginProblem(
                entry.dist,
                entry.module,
                f"it advertises the {entry.kind} {entry.name!r} in a module that is not there",
                f"`pip install --force-reinstall --no-deps {entry.dist}` in that environment",
            )


def _is_there(module: str, folders: Iterable[Path]) -> bool:
    places: list[str] | None = [str(folder) for folder in folders]
    for part in module.split("."):
        spec = PathFinder.find_spec(part, places)
        if spec is None:
            return False
        places = list(spec.submodule_search_locations or ())
    return True


def _loading(catalog: Catalog, written: Mapping[str, set[Point]], lacking: set[str]) -> Iterator[PluginProblem]:
    """Import every plugin of this environment, and ask for all that it advertises, and for the code behind it."""
    from ronchi.manager import Manager

    manager = Manager(catalog, strict=False)
    told: set[PluginProblem] = set()
    for entry in catalog.entries:
        problem = manager.problem(entry)
        if problem is not None and problem not in told:
            told.add(problem)
            yield problem
    advertised = {(entry.kind, entry.name, entry.dist) for entry in catalog.entries}
    for kind, name, dist in sorted(manager.yielded - advertised):
        if any((KINDS[kind].group, name) == point[:2] for point in written.get(dist, ())):
            continue  # its source advertises it, and its stale metadata were told
        what = f"its hook yields the {kind} {name!r}, which its metadata do not advertise: nobody can use it"
        group = f'[project.entry-points."{KINDS[kind].group}"]'
        yield PluginProblem(dist, "", what, f"its authors: add {name!r} to {group}, and install it again")
    yield from code_problems(manager, lacking)


def _silent(plugins: Sequence[_Plugin], explained: set[str]) -> Iterator[PluginProblem]:
    """Distributions that are plugins by their name, bring nothing, and are no library of other plugins."""
    mute = {plugin.name for plugin in plugins if not plugin.points}
    libraries = {normal_name(needed.name) for plugin in plugins for needed in plugin.requirements}
    for name in sorted(mute - libraries - explained):
        fix = "install it again: in place after a change of its entry points, `pip install --no-deps -e FOLDER`"
        yield PluginProblem(name, "", "it is installed, and registers no algorithm", fix, cause="stale")

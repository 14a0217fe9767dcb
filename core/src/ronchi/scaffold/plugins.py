"""Fills the templates of a kind with the names of an algorithm."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import distributions, version
from pathlib import Path
from string import Template

from ronchi.api import API_VERSION
from ronchi.catalog import normal_name, scan
from ronchi.errors import ConfigError, OutputError
from ronchi.kinds import KINDS
from ronchi.manager import KNOWN_DISTS

__all__ = ["TEMPLATES", "PluginTemplate", "write_plugin"]


@dataclass(frozen=True)
class PluginTemplate:
    """What differs between the kinds.

    Parameters
    ----------
    module : str
        Name of the module that holds the algorithm.
    summary : str
        What the algorithm of the template does.
    spec : tuple of str
        Further arguments of its `AlgorithmSpec`, a line each.
    """

    module: str
    summary: str
    spec: tuple[str, ...]


TEMPLATES: dict[str, PluginTemplate] = {
    "reader": PluginTemplate(
        "reader",
        "Frames of uint16 after a line of text; patterns stay on disk.",
        ("inputs={},", 'output="fourd/1",', 'capabilities=frozenset({"lazy"}),'),
    ),
    "simulator": PluginTemplate(
        "simulator",
        "A soft disk that moves across the detector, with its true position.",
        ("inputs={},", 'output="fourd/1",', 'sides={"truth": "maps/1"},'),
    ),
    "transform": PluginTemplate(
        "transform",
        "Subtracts a constant from all patterns.",
        ('inputs={"data": "fourd/1"},', 'output="fourd/1",', 'capabilities=frozenset({"lazy"}),'),
    ),
    "disk_detector": PluginTemplate(
        "detector",
        "Disks at the maxima of smoothed patterns, refined by their centre of mass.",
        ('inputs={"data": "fourd/1"},', 'output="peaks/1",', 'capabilities=frozenset({"deterministic"}),'),
    ),
    "descriptor_learner": PluginTemplate(
        "learner",
        "Mean and contrast of every sample, in standard deviations of all samples.",
        (
            'inputs={"data": "fourd/1|images/1|crops/1", "model?": "model/1"},',
            'output="descriptors/1",',
            'sides={"model": "model/1"},',
            'capabilities=frozenset({"deterministic"}),',
        ),
    ),
    "strain_solver": PluginTemplate(
        "solver",
        "Strain from a least-squares lattice at every position, relative to the median over the scan.",
        ('inputs={"peaks": "peaks/1"},', 'output="strain/1",', 'capabilities=frozenset({"deterministic"}),'),
    ),
    "atom_finder": PluginTemplate(
        "finder",
        "Atoms at the maxima of smoothed images, refined by their centre of mass.",
        ('inputs={"images": "images/1"},', 'output="atoms/1",', 'capabilities=frozenset({"deterministic"}),'),
    ),
    "metric": PluginTemplate(
        "metric",
        "A quantile of the absolute error of each strain component.",
        ('inputs={"result": "strain/1", "truth": "strain/1"},', 'output="scores/1",', 'better={"error_*": "lower"},'),
    ),
    "writer": PluginTemplate(
        "writer",
        "Patterns as a NumPy array of four dimensions, row by row.",
        (
            'inputs={"data": "fourd/1"},',
            'output="",',
            'suffixes=(".frames.npy",),',
            'capabilities=frozenset({"lazy"}),',
        ),
    ),
}
"""Kind to its template; `templates/KIND` holds the files."""


def write_plugin(name: str, kind: str, folder: Path) -> Path:
    """Write a plugin that can be installed, tested and changed.

    Parameters
    ----------
    name : str
        Name of the algorithm, of lower-case letters, digits and hyphens; the distribution is called ``ronchi-NAME``.
    kind : str
        Kind of the algorithm.
    folder : pathlib.Path
        The plugin is written into ``ronchi-NAME`` in it.

    Returns
    -------
    pathlib.Path
        The new folder.

    Raises
    ------
    ConfigError
        The name or the kind cannot be used, or another distribution has the name.
    OutputError
        The folder is there already, or cannot be made.
    """
    if kind not in TEMPLATES:
        raise ConfigError(f"unknown kind {kind!r}", fix=f"one of: {', '.join(TEMPLATES)}")
    names = _names(name, kind)
    _check_free(names)
    root = folder / names["dist"]
    if root.exists():
        raise OutputError("the folder is there already", where=str(root), fix="choose another name or folder")
    try:
        for path, text in _files(names, kind):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
    except OSError as error:
        what = f"the plugin cannot be written: {error.strerror or error}"
        raise OutputError(what, where=str(root), fix="choose another folder, or free some space") from error
    return root


def _names(name: str, kind: str) -> dict[str, str]:
    plain = name.removeprefix("ronchi-")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", plain) or keyword.iskeyword(plain):
        raise ConfigError(
            f"{name!r} cannot be the name of an algorithm",
            fix="lower-case letters, digits and hyphens, a letter first: my-detector",
        )
    template = TEMPLATES[kind]
    return {
        "name": plain,
        "kind": kind,
        "words": kind.replace("_", " "),
        "dist": f"ronchi-{plain}",
        "package": f"ronchi_{plain.replace('-', '_')}",
        "class_": "".join(part.capitalize() for part in plain.split("-")),
        "contract": f"{KINDS[kind].protocol}Contract",
        "group": KINDS[kind].group,
        "hook": KINDS[kind].hook,
        "module": template.module,
        "summary": template.summary,
        "spec": "".join(f"        {line}\n" for line in template.spec),
        "ronchi": _minor_releases(version("ronchi")),
        "api": str(API_VERSION),
    }


def _check_free(names: dict[str, str]) -> None:
    """Refuse names of what is installed, and of ronchi's own: pip would put one in the place of the other."""
    installed = {normal_name(each.name) for each in distributions() if each.name}
    kind, name, dist = names["kind"], names["name"], names["dist"]
    owners = {entry.dist for entry in scan().find(kind, name)} | {KNOWN_DISTS.get((kind, name), dist)} - {dist}
    taken = [f"the distribution {dist}"] if dist in installed | set(KNOWN_DISTS.values()) else []
    taken += [f"the {names['words']} {name!r} of {owner}" for owner in sorted(owners)]
    if taken:
        trial = (
            ""
            if dist in KNOWN_DISTS.values() or dist not in installed
            else f", or `pip uninstall {dist}` if it is yours"
        )
        raise ConfigError(
            f"{' and '.join(taken)} {'are' if len(taken) > 1 else 'is'} taken",
            where=names["name"],
            fix=f"choose another name{trial}",
        )


def _files(names: dict[str, str], kind: str) -> Iterator[tuple[str, str]]:
    """Path in the plugin, and content."""
    source = f"src/{names['package']}"
    own = resources.files("ronchi.scaffold") / "templates"
    plan = {
        "pyproject.toml": "common/pyproject.toml",
        "README.md": "common/README.md",
        ".gitignore": "common/gitignore",
        ".github/workflows/test.yml": "common/ci.yml",
        f"{source}/__init__.py": "common/init.py",
        f"{source}/plugin.py": "common/plugin.py",
        f"{source}/params.py": f"{kind}/params.py",
        f"{source}/{names['module']}.py": f"{kind}/implementation.py",
        "tests/test_contract.py": f"{kind}/test_contract.py",
    }
    for path, template in plan.items():
        file = own / f"{template}.tmpl"
        if not file.is_file():
            file = own / "common" / f"{Path(template).name}.tmpl"
        yield path, Template(file.read_text(encoding="utf-8")).substitute(names)
    yield f"{source}/py.typed", ""


def _minor_releases(core_version: str) -> str:
    """Versions of the core that a plugin written for this one asks for: before 1.0 any minor one may break it."""
    major, minor = (int(part) for part in core_version.split(".")[:2])
    return f">={major}.{minor},<{f'0.{minor + 1}' if major == 0 else major + 1}"

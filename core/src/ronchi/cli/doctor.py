"""Explain what is wrong with the installed plugins, and what to do; exit 1 if anything is."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import sys
from dataclasses import asdict

from ronchi.catalog import PluginProblem, scan

__all__ = ["configure", "diagnose", "execute"]

_SHOWN = ("ronchi", "numpy", "xarray", "netCDF4", "pydantic", "pluggy", "entrypoints", "numba", "dask", "torch")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dist", nargs="?", help="only this distribution, with its traceback")
    parser.add_argument(
        "--path", action="append", metavar="DIR", help="site-packages of another environment; imports nothing"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(args: argparse.Namespace) -> int:
    """Print versions and problems."""
    problems = [p for p in diagnose(args.path) if args.dist in (None, p.dist)]
    if args.json:
        print(json.dumps([asdict(problem) for problem in problems], indent=2))
        return int(bool(problems))
    if not args.path:
        print(f"python {platform.python_version()} on {platform.system()} {platform.machine()}")
        for name in _SHOWN:
            try:
                print(f"{name:<12} {importlib.metadata.version(name)}")
            except importlib.metadata.PackageNotFoundError:
                print(f"{name:<12} not installed")
    for problem in problems:
        print(f"\n{problem.dist} ({problem.module or 'metadata'}): {problem.what}\n  -> {problem.fix}")
        if args.dist and problem.traceback:
            print(problem.traceback, file=sys.stderr)
    print("\nno problem found" if not problems else f"\n{len(problems)} problem(s)")
    return int(bool(problems))


def _silent(path: list[str] | None, known: set[str]) -> list[PluginProblem]:
    """Distributions that are plugins by their name, and bring nothing."""
    found = importlib.metadata.distributions(path=path) if path else importlib.metadata.distributions()
    names = {_normal(str(dist.metadata["Name"])) for dist in found}
    silent = sorted(name for name in names - {_normal(dist) for dist in known} if name.startswith("ronchi-"))
    fix = "install it again: in place after a change of its entry points, `pip install --no-deps -e FOLDER`"
    return [PluginProblem(name, "", "it is installed, and registers no algorithm", fix) for name in silent]


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def diagnose(path: list[str] | None = None) -> list[PluginProblem]:
    """All problems: metadata, clashes and, for this environment, plugins that do not load or agree.

    Parameters
    ----------
    path : list of str, optional
        Folders of another environment, which is looked at without importing anything.
    """
    catalog = scan(path)
    problems = list(catalog.problems)
    for kind, name, dists in catalog.clashes():
        what = f"the {kind} {name!r} comes from {' and '.join(dists)}"
        problems.append(
            PluginProblem(", ".join(dists), "", what, f"write `dist:{name}` in pipelines, or uninstall one")
        )
    problems += _silent(path, {entry.dist for entry in catalog.entries} | {problem.dist for problem in problems})
    if path:
        return problems
    from ronchi.errors import PluginError
    from ronchi.manager import Manager

    manager = Manager(catalog)
    manager.load_all()
    problems += [problem for problem in manager.problems if problem not in problems]
    broken = {problem.module for problem in manager.problems}
    for entry in catalog.entries:
        if entry.module in broken or entry.kind == "observer":
            continue
        try:
            manager.spec(entry.kind, f"{entry.dist}:{entry.name}")
        except PluginError as error:
            problems.append(PluginProblem(entry.dist, entry.module, error.what, error.fix))
    return problems

"""Explain what is wrong with the installed plugins, and what to do; exit 1 if anything is.

A plugin is broken (it, or the code behind an algorithm, cannot be imported), stale (its metadata are not those of its
code), in a clash of names, or incompatible with this ronchi or with what it needs. RONCHI_STRICT=1 makes any of it stop
every command; RONCHI_TRACE=1 shows what is imported, and tracebacks; RONCHI_NO_PLUGINS=1 and
RONCHI_DISABLE_PLUGINS=DIST,... hide plugins.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path

from ronchi.catalog import PluginProblem, normal_name, scan
from ronchi.doctor import diagnose, site_folders
from ronchi.errors import ConfigError

__all__ = ["configure", "execute"]

_SHOWN = ("ronchi", "numpy", "xarray", "netCDF4", "pydantic", "pluggy", "entrypoints", "numba", "dask", "torch")
_SWITCHES = ("RONCHI_NO_PLUGINS", "RONCHI_DISABLE_PLUGINS", "RONCHI_STRICT", "RONCHI_TRACE")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", nargs="?", help="only this distribution or algorithm, with the traceback")
    parser.add_argument(
        "--path",
        action="append",
        metavar="DIR",
        help="another environment, or its site-packages; imports nothing of it",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(args: argparse.Namespace) -> int:
    """Print versions and problems."""
    folders = [folder for each in args.path for folder in site_folders(Path(each))] if args.path else None
    problems = diagnose(folders)
    if args.name is not None:
        dists = _dists(args.name, folders, problems)
        problems = [problem for problem in problems if dists & set(problem.dist.split(", "))]
    if args.json:
        print(json.dumps([asdict(problem) for problem in problems], indent=2))
        return int(bool(problems))
    if not args.path:
        _print_environment()
    for problem in problems:
        print(f"\n{problem.cause}: {problem.dist} ({problem.module or 'metadata'}): {problem.what}\n  -> {problem.fix}")
        if args.name and problem.traceback:
            print(problem.traceback, file=sys.stderr)
    print("\nno problem found" if not problems else f"\n{len(problems)} problem(s)")
    return int(bool(problems))


def _dists(name: str, folders: list[Path] | None, problems: list[PluginProblem]) -> set[str]:
    """Distributions that are meant by their own name, or by that of an algorithm."""
    found = {entry.dist for entry in scan(folders).entries if name in (entry.name, f"{entry.dist}:{entry.name}")}
    path = sys.path if folders is None else [str(folder) for folder in folders]
    known = {normal_name(dist.name) for dist in importlib.metadata.distributions(path=path) if dist.name}
    told = {dist for problem in problems for dist in problem.dist.split(", ")}
    found |= {normal_name(name)} & (known | told)
    if not found:
        raise ConfigError(
            f"neither a distribution nor an algorithm that is installed is called {name!r}",
            fix="`ronchi plugins` lists both; `ronchi doctor` alone also tells what cannot be read",
        )
    return found


def _print_environment() -> None:
    print(f"python {platform.python_version()} on {platform.system()} {platform.machine()}")
    for name in _SHOWN:
        try:
            print(f"{name:<12} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            print(f"{name:<12} not installed")
    for switch in _SWITCHES:
        if os.environ.get(switch, "") not in ("", "0"):
            print(f"{switch}={os.environ[switch]} is set")

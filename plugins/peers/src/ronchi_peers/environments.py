"""The environments of the programs: where they are, what is in them, and how they are made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from ronchi.api import DataError

__all__ = ["Environment", "environment", "find_python", "make_environment"]

FOLDER = Path(".ronchi/peers")
"""Where `make_environment` puts them, from the current folder."""


@dataclass(frozen=True)
class Environment:
    """What a program needs.

    Parameters
    ----------
    name : str
        ``"py4dstem"``.
    version : str
        Of the program.
    requirements : tuple of str
        As for pip; the first one is the program.
    """

    name: str
    version: str
    requirements: tuple[str, ...]

    @property
    def variable(self) -> str:
        """Environment variable that names an interpreter that has it."""
        return f"RONCHI_PEER_PYTHON_{self.name.upper()}"

    @property
    def folder(self) -> Path:
        """Of the environment that `make_environment` makes."""
        return (FOLDER / self.name).absolute()

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@cache
def environment(name: str) -> Environment:
    """One of ``environments.toml``."""
    text = (resources.files("ronchi_peers") / "environments.toml").read_text(encoding="utf-8")
    entry = tomllib.loads(text)[name]
    return Environment(name, entry["version"], tuple(entry["requirements"]))


def find_python(which: Environment, given: str = "") -> Path:
    """Interpreter that has the program: the one given, else that of the variable, else that of `FOLDER`.

    Raises
    ------
    DataError
        There is none.
    """
    for text, where in ((given, "python"), (os.environ.get(which.variable, ""), which.variable)):
        if text:
            if not Path(text).exists():
                raise DataError(f"there is no interpreter {text}", where=where, fix=f"one that has {which.name}")
            # Not resolved: an environment's interpreter is a link, and knows itself by where that lies.
            return Path(text).absolute()
    if not (which.folder / _READY).exists():
        raise DataError(
            f"{which.name} runs in an environment of its own, and there is none",
            fix=f"`ronchi bench --peers` makes it in {FOLDER / which.name}; "
            f"or set {which.variable} to an interpreter that has {which.requirements[0]}",
        )
    return which.python


_READY = "ronchi-ready"


def make_environment(which: Environment, tell: Callable[[str], None]) -> None:
    """Make the environment in `FOLDER`, if no other is named and it is not there yet; pip's index is used.

    Raises
    ------
    DataError
        Pip failed.
    """
    if os.environ.get(which.variable) or (which.folder / _READY).exists():
        return
    shutil.rmtree(which.folder, ignore_errors=True)
    tell(f"{which.name}: making {which.folder} with {', '.join(which.requirements)}")
    for command in (
        [sys.executable, "-m", "venv", str(which.folder)],
        [str(which.python), "-m", "pip", "install", "--quiet", *which.requirements],
    ):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise DataError(f"{which.name} could not be installed: {' '.join(last)}", where=" ".join(command[:4]))
    (which.folder / _READY).touch()

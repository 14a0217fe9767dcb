"""The environments of the programs: where they are, what is in them, and how they are made.

Which interpreter is started is for the user alone to say: by an environment variable, or by having it made. Nothing in
a pipeline and nothing in the current folder names one, for both may come from somebody else.
"""

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

__all__ = ["FOLDER_VARIABLE", "Environment", "environment", "environments_folder", "find_python", "make_environment"]

FOLDER_VARIABLE = "RONCHI_PEER_FOLDER"
"""Environment variable: where `make_environment` puts them, instead of the user's cache."""

_READY = "ronchi-ready"
"""File in the folder of an environment that was made to the end."""


def environments_folder() -> Path:
    """Where `make_environment` puts them; it need not be there."""
    from platformdirs import user_cache_dir

    return Path(os.environ.get(FOLDER_VARIABLE) or user_cache_dir("ronchi-peers")).absolute()


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
        """Of the environment that `make_environment` makes; another version has another one."""
        return environments_folder() / f"{self.name}-{self.version}"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def ready(self) -> bool:
        """It was made to the end, and the Python that it was made with is still there."""
        return (self.folder / _READY).exists() and self.python.exists()


@cache
def environment(name: str) -> Environment:
    """One of ``environments.toml``."""
    text = (resources.files("ronchi_peers") / "environments.toml").read_text(encoding="utf-8")
    entry = tomllib.loads(text)[name]
    return Environment(name, entry["version"], tuple(entry["requirements"]))


def find_python(which: Environment) -> Path:
    """Interpreter that has the program: that of the variable, else that of the environment made for it.

    Raises
    ------
    DataError
        There is none.
    """
    if text := os.environ.get(which.variable, ""):
        if not Path(text).exists():
            what = f"there is no interpreter {text}"
            raise DataError(what, where=which.variable, fix=f"one that has {which.name}")
        # Not resolved: an environment's interpreter is a link, and knows itself by where that lies.
        return Path(text).absolute()
    if not which.ready:
        raise DataError(
            f"{which.name} runs in an environment of its own, and there is none",
            fix=f"`ronchi bench FILE --peers` makes it in {which.folder}; "
            f"or set {which.variable} to an interpreter that has {which.requirements[0]}",
        )
    return which.python


def make_environment(which: Environment, tell: Callable[[str], None]) -> None:
    """Make the environment, if no other is named and it is not there yet; pip's index is used.

    Raises
    ------
    DataError
        Pip failed.
    """
    if os.environ.get(which.variable) or which.ready:
        return
    shutil.rmtree(which.folder, ignore_errors=True)
    tell(f"{which.name}: making {which.folder} with {', '.join(which.requirements)}")
    # Isolated, or a file venv.py or pip.py of the current folder would run instead.
    for command in (
        [sys.executable, "-I", "-m", "venv", str(which.folder)],
        [str(which.python), "-I", "-m", "pip", "install", "--quiet", *which.requirements],
    ):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise DataError(f"{which.name} could not be installed: {' '.join(last)}", where=" ".join(command[:5]))
    (which.folder / _READY).touch()

"""Which weights there are: those that come with the plugin, and those that were fetched.

A registry is a folder with ``weights.json`` and the files that it names, on disk or behind a URL. The newest version of
a name is the highest one, wherever it stands; published versions never change.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ronchi.api import DataError
from ronchi_fcunet.params import FcunetParams

__all__ = [
    "FOLDER_VARIABLE",
    "INDEX",
    "Entry",
    "check_entry",
    "fetched_folder",
    "locate",
    "read_index",
    "select",
    "shipped_folder",
    "weights_files",
    "write_index",
]

INDEX = "weights.json"
SCHEMA = "ronchi.weights/1"
FOLDER_VARIABLE = "RONCHI_WEIGHTS_FOLDER"
"""Environment variable: where fetched weights are kept, instead of the user's cache."""

_FIELDS = {
    "name": re.compile(r"[a-z][a-z0-9-]*"),
    "version": re.compile(r"[0-9A-Za-z][0-9A-Za-z.]*"),
    # A name of a file and no path: an index that came from elsewhere must not reach out of its folder.
    "file": re.compile(r"[0-9A-Za-z][0-9A-Za-z._@-]*\.safetensors"),
    "sha256": re.compile(r"[0-9a-f]{64}"),
    "summary": re.compile(r".*"),
}


@dataclass(frozen=True)
class Entry:
    """One version of some weights; ``file`` is a name in the registry's folder."""

    name: str
    version: str
    file: str
    sha256: str
    summary: str

    @property
    def full_name(self) -> str:
        """``NAME@VERSION``."""
        return f"{self.name}@{self.version}"


def shipped_folder() -> Path:
    """Registry that comes with the plugin."""
    return Path(__file__).parent / "shipped"


def fetched_folder() -> Path:
    """Registry of what was fetched; it need not be there."""
    import pooch

    return Path(os.environ.get(FOLDER_VARIABLE) or pooch.os_cache("ronchi-fcunet"))


def check_entry(raw: object, where: str) -> Entry:
    """Entry of what an index holds.

    Raises
    ------
    DataError
        A field is missing, unknown or wrong.
    """
    held = raw if isinstance(raw, dict) else {}
    faulty = [
        name
        for name, pattern in _FIELDS.items()
        if not isinstance(held.get(name), str) or not pattern.fullmatch(held[name])
    ]
    faulty += sorted(set(held) - set(_FIELDS))
    if faulty:
        what = f"an entry of the index is wrong in {', '.join(faulty)}"
        raise DataError(what, where=where, fix="tell who made the index, or give the address of another one")
    return Entry(**held)


def read_index(folder: Path, where: str = "") -> tuple[Entry, ...]:
    """Entries of a registry on disk; none if there is no index.

    Parameters
    ----------
    where : str, optional
        What errors name: where the index came from, if that is not the folder.

    Raises
    ------
    DataError
        The index cannot be understood.
    """
    path = folder / INDEX
    where = where or str(path)
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise DataError(f"the index of the weights cannot be read: {error}", where=where) from error
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA or not isinstance(raw.get("weights"), list):
        raise DataError(f"not an index of weights, {SCHEMA}", where=where, fix="give the address of another one")
    return tuple(check_entry(each, where) for each in raw["weights"])


def write_index(folder: Path, entries: Sequence[Entry]) -> None:
    """Replace the index of a registry on disk."""
    path = folder / INDEX
    partial = path.with_name(f".{INDEX}.partial")
    content = {"schema": SCHEMA, "weights": [asdict(entry) for entry in entries]}
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def select(entries: Sequence[Entry], which: str) -> Entry | None:
    """The entry called ``NAME`` (its newest version) or ``NAME@VERSION``, if there is one."""
    found = [entry for entry in entries if which in (entry.name, entry.full_name)]
    return max(found, key=lambda entry: _rank(entry.version), default=None)


def _rank(version: str) -> list[tuple[int, int, str]]:
    """What versions are compared by: 9.0 is before 10.0, and 1.0rc1 before 1.0, which is before 1.0.1."""
    parts = re.findall(r"\d+|[A-Za-z]+", version)
    return [(2, int(part), "") if part.isdigit() else (0, 0, part) for part in parts] + [(1, 0, "")]


def locate(which: str | Path) -> tuple[Path, str | None]:
    """File of weights and the sha256 that it must have; None for a file of the user's own.

    Nothing is fetched, and what was fetched never takes the place of what is shipped under the same name.

    Raises
    ------
    DataError
        There are none of that name.
    """
    if isinstance(which, Path) or which.endswith(".safetensors"):
        return Path(which), None
    known: list[str] = []
    # Asked in turn: where fetched ones lie takes an import that those who use shipped ones need not wait for.
    for registry in (shipped_folder, fetched_folder):
        folder = registry()
        entries = read_index(folder)
        entry = select(entries, which)
        if entry is not None:
            return folder / entry.file, entry.sha256
        known += [each.full_name for each in entries if each.full_name not in known]
    raise DataError(
        f"no weights are called {which!r}",
        where="weights",
        fix=f"names: {', '.join(known) or 'none are shipped yet'}; the path of a .safetensors file; or "
        f"`python -m ronchi_fcunet fetch {which}`",
    )


def weights_files(params: FcunetParams) -> dict[str, Path]:
    """The file of the weights that parameters name: what they find depends on it.

    Raises
    ------
    DataError
        There are none of that name.
    """
    return {"weights": locate(params.weights)[0]}

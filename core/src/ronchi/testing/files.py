"""Files for checks of readers and writers: good ones of a known content, and bad ones."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import xarray as xr

from ronchi.manager import Manager
from ronchi.testing import data as examples
from ronchi.testing.subject import Subject, ignore_progress

__all__ = ["bad_files", "digests", "open_files", "write_patterns"]


def write_patterns(folder: Path, manager: Manager, reader: str, given: dict[str, object]) -> Path | None:
    """Write ``fourd/1`` patterns in a format that a reader is sure about; None if there is no such format.

    Parameters
    ----------
    folder : pathlib.Path
    manager : Manager
        Its writers are tried one after the other, and NumPy's format.
    reader : str
        Name of the reader.
    given : dict
        Parameters of the reader.
    """
    data = examples.disk_patterns().data
    for name in manager.names("writer"):
        spec = manager.spec("writer", name)
        schemas = spec.inputs.get("data", "*").split("|")
        if not {"fourd/1", "*"} & set(schemas):
            continue
        for suffix in spec.suffixes:
            path = folder / f"example{suffix}"
            spec.create(spec.params()).write(data.copy(deep=True), {}, path, progress=ignore_progress)
            if _is_sure(manager, reader, given, path):
                return path
    path = folder / "example.npy"
    np.save(path, data["intensity"].values)
    return path if _is_sure(manager, reader, given, path) else None


def _is_sure(manager: Manager, reader: str, given: dict[str, object], path: Path) -> bool:
    opened = Subject("reader", reader, manager).create({**given, "path": str(path)})
    return float(opened.confidence(path)) >= 0.5


def patterns() -> xr.Dataset:
    """What `write_patterns` writes."""
    return examples.disk_patterns().data


def bad_files(folder: Path) -> dict[str, Path]:
    """Paths that no reader can open, by what they are."""
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, 4096, dtype=np.uint8).tobytes()
    found = {"a missing file": folder / "missing.dat", "a folder": folder / "empty-folder"}
    found["a folder"].mkdir()
    contents = {"an empty file": b"", "random bytes": noise, "a text": b"scan 1 of 2\n", "one byte": b"\x89"}
    for what, content in contents.items():
        found[what] = folder / f"{what.replace(' ', '-')}.dat"
        found[what].write_bytes(content)
    return found


def digests(folder: Path) -> dict[str, str]:
    """Sha256 of every file under a folder, by its path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def open_files(folder: Path) -> list[str]:
    """Files under a folder that this process holds open, once for each time; empty where the system does not tell."""
    held = Path("/proc/self/fd")
    if not held.is_dir():
        return []
    targets = []
    for link in held.iterdir():
        try:
            targets.append(os.readlink(link))  # noqa: PTH115 - a link may be gone, or be no path
        except OSError:
            continue
    return sorted(target for target in targets if target.startswith(str(folder.resolve())))

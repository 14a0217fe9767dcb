"""Finished results by their key: a folder each, complete or not there at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ronchi.api import Result
from ronchi.errors import OutputError
from ronchi.pipeline.arrays import load_dataset, save_dataset
from ronchi.pipeline.resources import locked
from ronchi.processes import name_of_process, remove_dead

__all__ = ["Cache", "file_sha256", "write_atomically"]

FORMAT = 1
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)
_ABANDONED_S = 30 * 86400.0
_KEY = re.compile("[0-9a-f]{64}")
_PUT = re.compile(r"put\+.+\+[0-9]+\+[0-9a-f]{16}-[0-9a-f]{32}")


class Cache:
    """Content-addressed store of results.

    An entry lies in ``<folder>/ab/abcdef…``; it is written under a temporary name, synced and
    renamed. An entry that is damaged, incomplete or of another format counts as absent.

    Parameters
    ----------
    folder : pathlib.Path
        Made on first write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """Folder of an entry, there or not."""
        return self.folder / key[:2] / key

    def has(self, key: str) -> bool:
        """True if there is an entry that claims to be complete; its bytes are not read."""
        return self._meta(key) is not None

    def get(self, key: str, *, check: bool = True) -> Result | None:
        """Read an entry, or None if it is absent, damaged or foreign.

        Parameters
        ----------
        check : bool
            Compare all bytes with their digests; of no use right after `put`.
        """
        meta, folder = self._meta(key), self.path(key)
        if meta is None:
            return None
        try:
            for name, digest in meta["files"].items():
                if check and file_sha256(folder / name) != digest:
                    return None
            sides = {side: load_dataset(folder / f"side-{side}") for side in meta["sides"]}
            return Result(load_dataset(folder / "result"), sides)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def took(self, key: str) -> tuple[float, float]:
        """Seconds and peak memory in MB that it took to make an entry; zeros where that is not known."""
        took = (self._meta(key) or {}).get("took")
        if not (isinstance(took, list) and len(took) == 2 and all(isinstance(item, int | float) for item in took)):
            return 0.0, 0.0
        return float(took[0]), float(took[1])

    def made_with(self, key: str) -> dict[str, str]:
        """Distribution to version, of what an entry was made with; empty where that is not known."""
        found = (self._meta(key) or {}).get("made_with")
        return {str(name): str(version) for name, version in found.items()} if isinstance(found, dict) else {}

    def warned(self, key: str) -> list[str]:
        """What was warned of while an entry was made."""
        found = (self._meta(key) or {}).get("warned")
        return [str(text) for text in found] if isinstance(found, list) else []

    def put(
        self,
        key: str,
        result: Result,
        components: Mapping[str, Any],
        *,
        replace: bool = False,
        took: tuple[float, float] = (0.0, 0.0),
        made_with: Mapping[str, str] | None = None,
        warned: Sequence[str] = (),
    ) -> None:
        """Store a result, what it ``took``, was ``made_with`` and ``warned`` of; a good entry stays unless ``replace``.

        Raises
        ------
        OutputError
            The folder cannot be written to, or the disk is full.
        """
        final = self.path(key)
        temporary = self.folder / "tmp" / f"{name_of_process('put')}{key[:16]}-{uuid.uuid4().hex}"
        with _output_errors(self.folder):
            try:
                temporary.mkdir(parents=True)
                save_dataset(result.data, temporary / "result")
                for side, data in result.sides.items():
                    save_dataset(data, temporary / f"side-{side}")
                files = {str(path.relative_to(temporary)): file_sha256(path) for path in _files(temporary)}
                meta = {
                    "format": FORMAT,
                    "key": key,
                    "sides": sorted(result.sides),
                    "files": files,
                    "components": components,
                    "took": took,
                    "made_with": dict(made_with or {}),
                    "warned": list(warned),
                }
                (temporary / "entry.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
                _sync_tree(temporary)
                final.parent.mkdir(parents=True, exist_ok=True)
                if final.exists():
                    if not replace and self.get(key) is not None:
                        return
                    shutil.rmtree(final)
                try:
                    temporary.replace(final)
                except OSError as error:
                    # Another process has finished the same entry just now.
                    if error.errno in _NOT_EMPTY and self.get(key) is not None:
                        return
                    raise
                _sync_folder(final.parent)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)

    def partial(self, key: str) -> Path:
        """Folder for the finished blocks of a step that is still running; made if absent."""
        folder = self.folder / "partial" / key
        with _output_errors(self.folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def drop_partial(self, key: str) -> None:
        """Remove the finished blocks of a step."""
        shutil.rmtree(self.folder / "partial" / key, ignore_errors=True)

    @contextlib.contextmanager
    def making(self, key: str, waiting: Callable[[], None]) -> Iterator[None]:
        """Hold the right to make an entry, which one process has at a time.

        Parameters
        ----------
        waiting : callable
            Called once if another process has it; when that one ends, in whatever way, it is ours.
            The entry may be there by then.
        """
        folder = self.folder / "locks"
        with _output_errors(self.folder):
            folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / key, waiting):
            yield

    def tidy(self) -> None:
        """Remove what killed runs have left: unfinished entries, and blocks that nobody came back for.

        Only what has a name that this cache gives: the folder may be one that other things lie in.
        """
        remove_dead(self.folder / "tmp", "put")
        before = time.time() - _ABANDONED_S
        for place, ours in (("tmp", _PUT), ("partial", _KEY)):
            for left in (self.folder / place).glob("*"):
                with contextlib.suppress(OSError):
                    if ours.fullmatch(left.name) and left.stat().st_mtime < before:
                        shutil.rmtree(left)

    def last(self, pipeline: str) -> dict[str, Any]:
        """Key components of the steps of the last run of a pipeline, by step."""
        try:
            found = json.loads((self.folder / "last" / f"{pipeline}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def set_last(self, pipeline: str, components: Mapping[str, Any]) -> None:
        """Remember the key components of this run."""
        with _output_errors(self.folder):
            (self.folder / "last").mkdir(parents=True, exist_ok=True)
            write_atomically(self.folder / "last" / f"{pipeline}.json", json.dumps(components, indent=1).encode())

    def _meta(self, key: str) -> dict[str, Any] | None:
        try:
            meta = json.loads((self.path(key) / "entry.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        ours = isinstance(meta, dict) and meta.get("format") == FORMAT and meta.get("key") == key
        return meta if ours and {"files", "sides"} <= meta.keys() else None


def file_sha256(path: Path) -> str:
    """Sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file by one rename; readers see the old or the new content, never a part."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _output_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            fix = "free some space; what is finished is kept and reused by the next run"
            raise OutputError("the disk is full", where=str(folder), fix=fix) from error
        what = f"the cache cannot be written to: {error.strerror or error}"
        raise OutputError(what, where=str(folder), fix="set `run: {cache: FOLDER}` to a folder of yours") from error


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sync_tree(folder: Path) -> None:
    for path in _files(folder):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    for path in (*(path for path in folder.rglob("*") if path.is_dir()), folder):
        _sync_folder(path)


def _sync_folder(folder: Path) -> None:
    # Windows cannot open a folder, and its rename is durable without.
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

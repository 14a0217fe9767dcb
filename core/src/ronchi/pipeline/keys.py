"""What a result depends on, as one number: the key of a step and the reasons when it changes."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ronchi import imported
from ronchi.api import Params
from ronchi.pipeline.cache import file_sha256, write_atomically

__all__ = [
    "KEY_FORMAT",
    "FileDigests",
    "canonical_json",
    "changes",
    "code_digest",
    "entropy",
    "params_json",
    "step_key",
]

KEY_FORMAT = 2
"""Raise it when the core itself changes results or their layout."""

_LARGE_BYTES = 10**9
_MADE = (".pyc", ".pyo", ".nbi", ".nbc")


def canonical_json(value: Any) -> str:
    """Render JSON types as the one text that equal values share."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def step_key(components: Mapping[str, Any]) -> str:
    """Sha256 of the canonical JSON of everything that a result depends on."""
    return hashlib.sha256(canonical_json(components).encode()).hexdigest()


def params_json(params: Params) -> dict[str, Any]:
    """Parameters after defaults, as JSON types."""
    return params.model_dump(mode="json")


def entropy(seed: int, kind: str, name: str, params: Mapping[str, Any]) -> list[int]:
    """Seed of a step's random numbers.

    It is a part of the key without versions and inputs, so that a new release of a plugin does
    not reshuffle the random numbers of those who use it.
    """
    digest = hashlib.sha256(canonical_json([kind, name, params]).encode()).digest()
    return [seed, *(int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4))]


def code_digest(root: Path) -> str:
    """Sha256 over names and contents of the files under a source folder, but for those that Python and numba make.

    Of a file that changed after this process began nobody can tell by its content which code is loaded, as in a
    notebook whose user edits a plugin: then the digest is of what is loaded, and no other process has the same.
    """
    stamps = {file: stamp for file, stamp in _stamps(root, "__pycache__").items() if not file.endswith(_MADE)}
    if _digests.get(root, ({}, ""))[0] != stamps:
        digest = hashlib.sha256()
        for file in stamps:
            digest.update(f"{_name_in(root, file)}\0{file_sha256(Path(file))}\n".encode())
        _digests[root] = stamps, digest.hexdigest()
    of_files = _digests[root][1]
    if all(changed_ns <= imported.IMPORTED_NS for _, _, changed_ns, *_ in stamps.values()):
        return of_files
    return hashlib.sha256(f"{of_files} {_PROCESS} {_loaded(root)}".encode()).hexdigest()


_PROCESS = uuid.uuid4().hex
_digests: dict[Path, tuple[dict[str, list[int]], str]] = {}


def _loaded(root: Path) -> list[tuple[str, int]]:
    """Functions of the modules under a folder that are loaded, with hashes of their code."""
    found = []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not Path(file).is_relative_to(root):
            continue
        values = list(vars(module).values())
        values += [inner for value in values if isinstance(value, type) for inner in vars(value).values()]
        codes = (getattr(inspect.unwrap(value), "__code__", None) for value in values if callable(value))
        found += [(name, hash(code)) for code in codes if code is not None]
    return sorted(found)


class FileDigests:
    """Sha256 of input files, remembered by path, size, times of change and place on the disk.

    Parameters
    ----------
    memo : pathlib.Path
        JSON file that remembers; it may be lost at any time. Its folder, the cache, is no part of an input around it.
    tell : callable, optional
        Is told before more than 1 GB is read.
    """

    def __init__(self, memo: Path, tell: Callable[[str], None] | None = None) -> None:
        self.memo, self.tell = memo, tell
        try:
            known = json.loads(memo.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = {}
        self._known: dict[str, list[Any]] = known if isinstance(known, dict) else {}
        self._changed = False

    def of(self, path: Path) -> dict[str, Any]:
        """Size and sha256 of a file, or of all files of a folder such as a zarr store."""
        path = path.resolve()
        is_folder = path.is_dir()
        stamps = self._inside(path) if is_folder else {str(path): _stamp(path.stat())}
        unread = sum(stamp[0] for file, stamp in stamps.items() if not self._is_known(file, stamp))
        if self.tell is not None and unread > _LARGE_BYTES:
            self.tell(f"{path.name}: reading {unread / 1e9:.1f} GB once, to know when the content changes")
        size = sum(stamp[0] for stamp in stamps.values())
        if not is_folder:
            return {"size": size, "sha256": self._sha256(*stamps.popitem())}
        digest = hashlib.sha256()
        for file, stamp in stamps.items():
            digest.update(f"{_name_in(path, file)}\0{self._sha256(file, stamp)}\n".encode())
        return {"size": size, "sha256": digest.hexdigest()}

    def save(self) -> None:
        """Write the memo, if anything is new."""
        if self._changed:
            self.memo.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.memo, json.dumps(self._known).encode())
            self._changed = False

    def _inside(self, folder: Path) -> dict[str, list[int]]:
        cache = self.memo.parent.resolve()
        stamps = _stamps(folder)
        if folder not in cache.parents:
            return stamps
        return {file: stamp for file, stamp in stamps.items() if not file.startswith(f"{cache}{os.sep}")}

    def _is_known(self, file: str, stamp: list[int]) -> bool:
        found = self._known.get(file)
        return isinstance(found, list) and found[:-1] == stamp

    def _sha256(self, file: str, stamp: list[int]) -> str:
        if not self._is_known(file, stamp):
            # Of a file that is written to meanwhile, the next look finds another stamp.
            self._known[file] = [*stamp, file_sha256(Path(file))]
            self._changed = True
        return str(self._known[file][-1])


def _stamps(folder: Path, without: str = "") -> dict[str, list[int]]:
    """Stamps of all files under a folder, by path in the order of `pathlib.Path`.

    Links to folders are not followed, and folders that may not be listed count as empty.
    """
    found, waiting = dict[str, list[int]](), [str(folder)]
    while waiting:
        with contextlib.suppress(PermissionError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting += [entry.path] if entry.name != without else []
                elif entry.is_file():
                    # A store has thousands of files: each is asked for once.
                    found[entry.path] = _stamp(entry.stat())
    # Path.parts would take longer than all the rest.
    return dict(sorted(found.items(), key=lambda item: item[0].split(os.sep)))  # noqa: PTH206


def _name_in(folder: Path, file: str) -> str:
    return file.removeprefix(str(folder)).lstrip(os.sep).replace(os.sep, "/")


def _stamp(stat: os.stat_result) -> list[int]:
    # The time of change of the content alone is kept by copies, archives and rsync.
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_dev, stat.st_ino]


def changes(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> list[str]:
    """Differences of two sets of key components, in words.

    Returns
    -------
    list of str
        ``"params.sigma_px changed 2 -> 3"``; empty if they are equal.
    """
    if old is None:
        return ["this step was not run before"]
    before, after = dict(_flat(old)), dict(_flat(new))
    found = []
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name, "absent"), after.get(name, "absent")
        if was == now:
            continue
        if name.startswith("inputs."):
            found.append(f"the input {name.partition('.')[2]!r} changed")
        elif name.startswith("files."):
            if name.endswith("sha256"):
                found.append("the content of an input file changed")
        elif name == "code":
            found.append("the source code of its editable distribution changed")
        elif name.startswith("shared.") and name.endswith(".code"):
            found.append(f"the source code of {name.removeprefix('shared.').removesuffix('.code')} changed")
        else:
            found.append(f"{name} changed {_short(was)} -> {_short(now)}")
    return found


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from _flat(item, f"{prefix}{name}.")
        elif isinstance(item, Sequence) and not isinstance(item, str) and any(isinstance(x, Mapping) for x in item):
            yield from _flat({str(i): x for i, x in enumerate(item)}, f"{prefix}{name}.")
        else:
            yield prefix + name, item


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."

"""Files and folders that appear whole or not at all, and a clear word where they cannot."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from ronchi.errors import OutputError, RonchiError
from ronchi.os_faults import FaultKind, fault_kind, passed_through
from ronchi.processes import name_of_process, remove, remove_dead

__all__ = ["all_or_nothing", "replace"]

_STORAGE_MODULES = frozenset({"netCDF4", "h5py", "zarr"})
"""Libraries whose RuntimeErrors are about a file; those of others are bugs."""

_WORDS: dict[FaultKind, tuple[str, str]] = {
    "": ("", "choose another format, such as .zarr or .nc, or another folder"),
    "handles": ("too many files are open", "raise the limit, such as by `ulimit -n 4096`, or use fewer workers"),
    "rights": ("", "choose a folder that exists and that you may write to"),
    "gone": ("", "choose a folder that exists and that you may write to"),
    "device": ("the disk, or the network to it, fails", "see the disk, or choose a folder on another one"),
    "memory": ("memory is short", "use smaller blocks or fewer workers"),
    "other": ("", "choose another name, or another folder"),
}
"""What is wrong, in addition to what the system says, and what to do, where a file cannot be written."""

_HDF5_WORDS = ("HDF", "file write failed")
"""HDF5 hides the errno of a failed write behind these words of a RuntimeError."""


@contextlib.contextmanager
def all_or_nothing(path: Path, suffix: str, size: int) -> Iterator[Path]:
    """Lend a temporary name; what is there in the end is synced and gets its own name.

    Parameters
    ----------
    path : Path
        Where it is to be; an older file or folder of that name stays until it is replaced.
    suffix : str
        Ending of the temporary name, from which libraries tell the format.
    size : int
        Bytes that may be needed, for the message.

    Yields
    ------
    Path
        In the same folder; nothing is there yet. What processes that were killed left of this name is removed.

    Raises
    ------
    OutputError
        The folder cannot be written to, the disk is full or fails, or too many files are open; nothing is left
        behind. Or there is a folder of that name with other things in it, which is not removed.
    """
    remove_dead(path.parent, _named(path, "part"))
    if path.exists():  # else what was moved aside is all that there is
        remove_dead(path.parent, _named(path, "old"))
    temporary = path.with_name(f"{name_of_process(_named(path, 'part'))}{uuid.uuid4().hex[:8]}{suffix}")
    try:
        yield temporary
        _sync(temporary)
        replace(temporary, path)
    except RonchiError as error:
        remove(temporary)
        error.where = error.where.replace(str(temporary), str(path))
        raise
    except (OSError, RuntimeError) as error:
        told = _told(error, path, size)
        remove(temporary)
        if told is None:
            raise
        raise told from error
    except BaseException:
        remove(temporary)
        raise


def _told(error: OSError | RuntimeError, path: Path, size: int) -> OutputError | None:
    """A clear word about a fault in writing; None for a fault of something else."""
    kind, said = fault_kind(error), getattr(error, "strerror", None) or str(error)
    if kind == "rights":
        # netCDF says that there are none, whatever the system said when it made the file.
        try:
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".try-"):
                pass
        except OSError as fault:
            kind, said = fault_kind(fault), fault.strerror or str(fault)
    if kind == "" and isinstance(error, RuntimeError):
        if any(word in str(error) for word in _HDF5_WORDS):
            kind = "full"
        elif not passed_through(error, _STORAGE_MODULES):
            return None
    if kind == "full":
        return OutputError(
            f"the disk is full, or a quota or size limit is reached: {_free_bytes(path.parent)} bytes are free, "
            f"up to {size} are needed ({error})",
            where=str(path),
            fix="free some space, or choose another output folder; what was there before is kept",
        )
    what, fix = _WORDS[kind]
    return OutputError(f"cannot be written: {what}{f' ({said})' if what else said}", where=str(path), fix=fix)


def _free_bytes(folder: Path) -> str:
    try:
        return str(shutil.disk_usage(folder).free)
    except OSError:
        return "an unknown number of"


def _named(path: Path, what: str) -> str:
    # Of a long name the beginning, since names have a longest length.
    return f".{path.name[:80]}.{what}"


def _sync(path: Path) -> None:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def replace(temporary: Path, path: Path) -> None:
    """Give a file or folder the name of another, which it replaces.

    Raises
    ------
    OutputError
        There is a folder of that name with other things in it.
    """
    if not path.is_dir():
        if temporary.is_dir():
            path.unlink(missing_ok=True)  # no folder can be renamed over a file
        temporary.replace(path)
    else:
        # Older output of the same format has some of the same names in it; what has none is not ours to remove.
        held = {item.name for item in path.iterdir()}
        if held and not (temporary.is_dir() and held & {item.name for item in temporary.iterdir()}):
            raise OutputError(
                f"there is a folder of that name with other things in it, such as {min(held)!r}",
                where=str(path),
                fix="choose another name, or move the folder away",
            )
        # A folder cannot be renamed over a full one: move the old one aside first.
        old = path.with_name(f"{name_of_process(_named(path, 'old'))}{uuid.uuid4().hex[:8]}")
        path.rename(old)
        try:
            temporary.rename(path)
        except OSError:
            old.rename(path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

"""Files and folders that appear whole or not at all, and a clear word where they cannot."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ronchi.errors import OutputError, RonchiError

__all__ = ["all_or_nothing"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
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
        In the same folder; nothing is there yet.

    Raises
    ------
    OutputError
        The folder cannot be written to, or the disk is full; nothing is left behind. Or there is a folder of that
        name with other things in it, which is not removed.
    """
    temporary = path.with_name(f".{path.name.split('.')[0]}.{os.getpid()}.part{suffix}")
    try:
        yield temporary
        _sync(temporary)
        _replace(temporary, path)
    except RonchiError as error:
        _remove(temporary)
        error.where = error.where.replace(str(temporary), str(path))
        raise
    except (OSError, RuntimeError) as error:
        full = isinstance(error, OSError) and error.errno in _FULL
        free = _free_bytes(path.parent)
        _remove(temporary)
        if full or (isinstance(error, RuntimeError) and any(word in str(error) for word in _HDF5_WORDS)):
            raise OutputError(
                f"the disk is full, or a quota or size limit is reached: {free} bytes are free, "
                f"up to {size} are needed ({error})",
                where=str(path),
                fix="free some space, or choose another output folder; what was there before is kept",
            ) from error
        raise OutputError(
            f"cannot be written: {getattr(error, 'strerror', None) or error}",
            where=str(path),
            fix="choose a folder that exists and that you may write to",
        ) from error
    except BaseException:
        _remove(temporary)
        raise


def _free_bytes(folder: Path) -> str:
    try:
        return str(shutil.disk_usage(folder).free)
    except OSError:
        return "an unknown number of"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _replace(temporary: Path, path: Path) -> None:
    if not path.is_dir():
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
        old = path.with_name(f".{path.name}.{os.getpid()}.old")
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

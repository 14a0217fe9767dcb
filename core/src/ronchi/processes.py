"""Names of files and folders that belong to a process, and what is left of those of processes that were killed."""

from __future__ import annotations

import contextlib
import glob
import os
import platform
import shutil
from pathlib import Path

__all__ = ["name_of_process", "remove", "remove_dead"]


def name_of_process(what: str) -> str:
    """Beginning of the names of files and folders that belong to this process: ``what+host+pid+``."""
    return f"{what}+{platform.node()}+{os.getpid()}+"


def remove_dead(parent: Path, what: str) -> None:
    """Remove what is named by `name_of_process` and whose process has ended; that of other hosts stays."""
    # No host name contains a plus, so that the host `a` does not take `a+1` … of the host `a-b` for its own.
    prefix, found = f"{what}+{platform.node()}+", list[Path]()
    # A folder that cannot be listed now is cleaned up another time.
    with contextlib.suppress(OSError):
        found = list(parent.glob(f"{glob.escape(what)}+*"))
    for old in found:
        pid = old.name.removeprefix(prefix).partition("+")[0]
        if old.name.startswith(prefix) and pid.isdecimal() and not _is_running(int(pid)):
            remove(old)


def remove(path: Path) -> None:
    """Remove a file or a folder as far as that can be done, without a word."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True

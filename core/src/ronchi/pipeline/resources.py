"""What this process uses, and what this machine has."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ronchi.processes import name_of_process, remove_dead

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # else it is a module

__all__ = [
    "dask_threads",
    "has_cuda",
    "locked",
    "peak_rss_mb",
    "reset_peak_rss",
    "scratch_folder",
]

_POLL_S = 0.1


def peak_rss_mb() -> float:
    """Highest resident memory of this process since the last `reset_peak_rss`, in MB."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    # Everywhere else it is since the start, in KiB on Linux-likes and bytes on macOS.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def reset_peak_rss() -> None:
    """Start a new peak, where the system can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def has_cuda() -> bool:
    """True if the CUDA driver is there and counts a device; imports no framework."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


def dask_threads(threads: int) -> contextlib.AbstractContextManager[Any]:
    """Let dask compute with so many threads for a time."""
    import dask

    if threads == 1:
        return dask.config.set(scheduler="synchronous")
    return dask.config.set(scheduler="threads", num_workers=threads)


@contextlib.contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Make a folder for the time of a run; those of runs that were killed on this machine are removed."""
    remove_dead(parent, "scratch")
    with tempfile.TemporaryDirectory(
        prefix=name_of_process("scratch"), dir=parent, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a lock file, which the system releases when its owner ends in whatever way.

    Where the system or the file system has no locks (Windows, some network shares) it does nothing.

    Parameters
    ----------
    path : pathlib.Path
        Made, and removed on release.
    waiting : callable
        Called once if another process holds the lock.
    """
    if fcntl is None:
        yield
        return
    waited = False
    while True:
        file = path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            if not waited:
                waiting()
            waited = True
            time.sleep(_POLL_S)
        except OSError:
            break
        else:
            if _is_same(file.fileno(), path):
                break
            # Its last owner removed it between our opening and our locking.
            file.close()
    try:
        yield
    finally:
        # First removed, then released: whoever opened it meanwhile sees that it is gone, and makes a new one.
        path.unlink(missing_ok=True)
        file.close()


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False

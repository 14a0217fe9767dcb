"""What this process uses, and what this machine has."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["has_cuda", "peak_rss_mb", "reset_peak_rss", "scratch_folder"]


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


@contextlib.contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Make a folder for the time of a run; those of runs that were killed on this machine are removed."""
    prefix = f"scratch-{platform.node()}-"
    for old in parent.glob(f"{prefix}*"):
        if not _is_running(int(old.name.removeprefix(prefix).partition("-")[0])):
            shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        prefix=f"{prefix}{os.getpid()}-", dir=parent, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True

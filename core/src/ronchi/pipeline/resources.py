"""What this process uses, and what this machine has."""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path

__all__ = ["has_cuda", "peak_rss_mb", "reset_peak_rss"]


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

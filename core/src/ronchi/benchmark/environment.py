"""The machine that a benchmark ran on: times mean nothing without it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
from pathlib import Path

from ronchi.pipeline.resources import has_cuda

__all__ = ["environment"]


def environment() -> dict[str, str]:
    """Processor, cores that this process may use, memory, graphics card and operating system, in words."""
    made = {"processor": _processor(), "cores": str(_cores()), "system": platform.platform()}
    with contextlib.suppress(AttributeError, ValueError, OSError):  # Windows does not tell
        made["memory"] = f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.0f} GB"
    if has_cuda():
        made["GPU"] = _gpu()
    return made


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpu() -> str:
    """Name of the first CUDA device, from the driver."""
    driver, device, name = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(0), ctypes.create_string_buffer(128)
    driver.cuDeviceGet(ctypes.byref(device), 0)
    driver.cuDeviceGetName(name, len(name), device)
    return name.value.decode(errors="replace")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

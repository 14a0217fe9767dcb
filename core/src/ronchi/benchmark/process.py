"""A process for each cell, so that a crash, a hang or a hunger for memory costs one row."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from ronchi.benchmark.cells import Cell
from ronchi.benchmark.model import Protocol
from ronchi.benchmark.outcome import Outcome

__all__ = ["run_cell"]

_POLL_S = 0.1
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def run_cell(
    cell: Cell, protocol: Protocol, slot: str | None, base: Path, folder: Path, stop: threading.Event
) -> Outcome:
    """Run a cell in a new process; never raises for what happens in it.

    Parameters
    ----------
    slot : str or None
        Step that is timed, if ``protocol.timings`` says so.
    base : Path
        Folder that relative input paths start from.
    folder : Path
        Outputs and log of the cell.
    stop : threading.Event
        Ends the process when it is set; the outcome is then of no use.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        order, answer = Path(scratch) / "order.json", Path(scratch) / "answer.json"
        told = {
            "pipeline": cell.pipeline, "base": str(base), "out": str(folder), "slot": slot,
            "timings": protocol.timings, "warm_up": protocol.warm_up,
        }  # fmt: skip
        order.write_text(json.dumps(told), encoding="utf-8")
        command = [sys.executable, "-P", "-m", "ronchi.benchmark.cell", str(order), str(answer)]
        threads = str((cell.pipeline.get("run") or {}).get("threads", 1))
        with (folder / "cell.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                env={**os.environ, **dict.fromkeys(_THREAD_VARIABLES, threads)},
                # Its other end closes when this process ends, in whatever way: the cell then ends too.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # A session of its own: what the cell has started ends with it.
                start_new_session=True,
            )
            try:
                stopped = _watch(process, protocol, stop)
            finally:
                _end(process)
        if stopped is not None:
            return stopped
        try:
            return Outcome(**json.loads(answer.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return Outcome(status="crashed", error=_last_words(process.returncode, folder / "cell.log"))


def _watch(process: subprocess.Popen[bytes], protocol: Protocol, stop: threading.Event) -> Outcome | None:
    """Wait for the end, or for what is too much."""
    deadline = time.monotonic() + protocol.timeout_s
    while process.poll() is None:
        if time.monotonic() > deadline:
            return Outcome(status="timeout", error=f"took more than {protocol.timeout_s:g} s")
        if protocol.memory_mb is not None and _rss_mb(process.pid) > protocol.memory_mb:
            return Outcome(status="memory", error=f"took more than {protocol.memory_mb:g} MB")
        if stop.wait(_POLL_S):
            return Outcome(status="skipped", error="stopped")
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:  # Windows
        process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _rss_mb(leader: int) -> float:
    """Resident memory of all processes of a session, where the system tells it (Linux)."""
    total = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader:
            total += int(fields[21])
    return total * os.sysconf("SC_PAGE_SIZE") / 1e6


def _last_words(code: int, log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    died = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"the process ended with {died}" + (f": {lines[-1]}" if lines else "")

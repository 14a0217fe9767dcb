"""What runs one cell: a process of its own, so that a crash, a hang or a hunger for memory costs one row."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ronchi.bench.cells import Cell
from ronchi.bench.config import Protocol

__all__ = ["Outcome", "main", "measure", "run_cell"]

_POLL_S = 0.1


@dataclass(kw_only=True)
class Outcome:
    """What became of a cell.

    Parameters
    ----------
    status : str
        ``"done"``, ``"failed"``, ``"skipped"``, ``"timeout"``, ``"memory"`` or ``"crashed"``.
    error : str
        Message, if it is not done.
    scores : mapping
        ``step.figure`` to number.
    seconds : list of float
        Wall times of the compared step in a warm process.
    peak_rss_mb : float
        Highest resident memory while the compared step was made, above that before it.
    """

    status: str
    error: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    peak_rss_mb: float = 0.0


def run_cell(cell: Cell, protocol: Protocol, slot: str | None, base: Path, folder: Path) -> Outcome:
    """Run a cell in a new process; never raises for what happens in it.

    Parameters
    ----------
    slot : str or None
        Step that is timed, if ``protocol.timings`` says so.
    base : Path
        Folder that relative input paths start from.
    folder : Path
        Outputs and log of the cell.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        order, answer = Path(scratch) / "order.json", Path(scratch) / "answer.json"
        told = {
            "pipeline": cell.pipeline, "base": str(base), "out": str(folder), "slot": slot,
            "timings": protocol.timings, "warm_up": protocol.warm_up,
        }  # fmt: skip
        order.write_text(json.dumps(told), encoding="utf-8")
        command = [sys.executable, "-m", "ronchi.bench.cell", str(order), str(answer)]
        with (folder / "cell.log").open("wb") as log:
            # A session of its own: what the cell has started ends with it.
            process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
            try:
                stopped = _watch(process, protocol)
            finally:
                _end(process)
        if stopped is not None:
            return stopped
        try:
            return Outcome(**json.loads(answer.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return Outcome(status="crashed", error=_last_words(process.returncode, folder / "cell.log"))


def _watch(process: subprocess.Popen[bytes], protocol: Protocol) -> Outcome | None:
    """Wait for the end, or for what is too much."""
    deadline = time.monotonic() + protocol.timeout_s
    while process.poll() is None:
        if time.monotonic() > deadline:
            return Outcome(status="timeout", error=f"took more than {protocol.timeout_s:g} s")
        if protocol.memory_mb is not None and (used := _rss_mb(process.pid)) > protocol.memory_mb:
            return Outcome(status="memory", error=f"took {used:.0f} MB, more than {protocol.memory_mb:g}")
        time.sleep(_POLL_S)
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


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


def main(order: str, answer: str) -> None:
    """Do what the order says and leave the answer: the body of the cell's process."""
    told = json.loads(Path(order).read_text(encoding="utf-8"))
    outcome = measure(told)
    Path(answer).write_text(json.dumps(asdict(outcome)), encoding="utf-8")


def measure(told: Mapping[str, Any]) -> Outcome:
    """Run a pipeline once for its scores, then its compared step for its time."""
    from ronchi.errors import RonchiError
    from ronchi.pipeline.run import run_pipeline

    options: dict[str, Any] = {"out": told["out"], "base": Path(told["base"]), "progress": False}
    try:
        result = run_pipeline(told["pipeline"], **options)
    except RonchiError as error:
        return Outcome(status="failed", error=str(error))
    for step in result.steps.values():
        if step.status == "failed":
            return Outcome(status="failed", error=f"{step.step}: {step.error}")
    scores = {
        f"{step}.{figure}": value for step, figures in result.scores().items() for figure, value in figures.items()
    }
    outcome = Outcome(status="done", scores=scores)
    slot = told["slot"]
    if slot is None or not told["timings"]:
        return outcome
    for number in range(told["warm_up"] + told["timings"]):
        again = run_pipeline(told["pipeline"], force=[slot], **options)
        if number >= told["warm_up"]:
            outcome.seconds.append(again.steps[slot].seconds)
            outcome.peak_rss_mb = max(outcome.peak_rss_mb, again.steps[slot].peak_rss_mb)
    return outcome


if __name__ == "__main__":
    main(*sys.argv[1:])

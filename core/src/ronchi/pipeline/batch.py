"""One pipeline on many files: each in a process of its own, and a table of how they ended."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

from ronchi.errors import ConfigError, OutputError
from ronchi.pipeline.batch_files import absolute, find_inputs, folders_of, is_text, path_override
from ronchi.pipeline.cache import write_atomically
from ronchi.pipeline.config import PipelineConfig, load_config
from ronchi.pipeline.outputs import check_writable, sole_writer
from ronchi.pipeline.provenance import FILE_NAME
from ronchi.pipeline.run import check_pipeline

__all__ = ["SOME_FAILED", "SUMMARY_NAME", "Row", "run_batch"]

SOME_FAILED = 3
"""Exit code of a batch in which some files failed and others may not have."""

SUMMARY_NAME = "summary.csv"
_COLUMNS = ("input", "status", "reason", "seconds", "peak_rss_mb", "out", "warnings")


@dataclass(frozen=True)
class Row:
    """How one file ended.

    Parameters
    ----------
    input : str
    status : str
        ``"done"``, ``"failed"`` or ``"stopped"``.
    reason : str
        First line of the error.
    seconds, peak_rss_mb : float
    out : str
        Folder of its outputs; empty if there is none, as where it failed before anything was made.
    warnings : int
        How many there are in its record and report.
    scores : dict of str to float
        ``step.figure`` to number.
    """

    input: str
    status: str
    reason: str
    seconds: float
    out: str
    peak_rss_mb: float = 0.0
    warnings: int = 0
    scores: dict[str, float] = field(default_factory=dict)


def run_batch(
    pipeline: str | Path,
    inputs: str,
    *,
    out: str | Path | None = None,
    jobs: int = 1,
    overrides: Sequence[str] = (),
    executor: str | None = None,
    stream: TextIO | None = None,
) -> int:
    """Run a pipeline once for every file, in place of its reader's path.

    Every file has its own process and folder, so that a crash costs one file. ``summary.csv`` in
    the output folder has a row a file and is up to date at any time. The processes end with this one.

    Parameters
    ----------
    inputs : str
        Glob of input files, ``**`` included; what lies in the cache, or in a folder that an earlier batch of this
        pipeline made here, is no input.
    out : path, optional
        Folder of the folders; ``./<name>-out`` by default.
    jobs : int
        Files at a time.
    executor : str, optional
        Instead of ``run.executor``.
    stream : file, optional
        Gets a line a file; stderr by default.

    Returns
    -------
    int
        0 if all files are done, else `SOME_FAILED`.

    Raises
    ------
    ConfigError
        The pipeline is not valid with any of the files, has no reader or several, or no file matches; nothing was
        started.
    OutputError
        The folder cannot be written to, or the summary could not be in the end; what the files gave is kept.
    """
    if jobs < 1:
        raise ConfigError("at least one job is needed", where=f"--jobs {jobs}")
    options = [*overrides, *([f"run.executor={executor}"] if executor else [])]
    config = load_config(pipeline, overrides=options)
    reader = _reader(config)
    folder = absolute(out or f"{config.name}-out")
    files = find_inputs(inputs, config, folder)
    _check(pipeline, reader, options, files)
    check_writable(folder, "-o")
    told, rows, unwritten = stream or sys.stderr, list[Row](), None
    held = sole_writer(folder, lambda note: told.write(f"{note}\n"))
    with held, _Runs(Path(pipeline), reader, options) as runs, ThreadPoolExecutor(jobs) as pool:
        futures = [
            pool.submit(runs.run, file, where) for file, where in zip(files, folders_of(files, folder), strict=True)
        ]
        try:
            for future in as_completed(futures):
                rows.append(future.result())
                _tell(rows[-1], len(rows), len(files), told)
                unwritten = _write_summary(folder / SUMMARY_NAME, rows)
        except KeyboardInterrupt:
            for future in futures:
                future.cancel()
            runs.stop()
            raise
    if unwritten is not None:
        what = f"the summary cannot be written: {unwritten.strerror or unwritten}"
        fix = "free some space and run the same again: what is finished is in the cache and in the files' own folders"
        raise OutputError(what, where=str(folder / SUMMARY_NAME), fix=fix) from unwritten
    return SOME_FAILED if any(row.status != "done" for row in rows) else 0


class _Runs:
    """Runs of the command line in subprocesses, which can be stopped together."""

    def __init__(self, pipeline: Path, reader: str, overrides: Sequence[str]) -> None:
        self.pipeline, self.reader, self.overrides = pipeline, reader, overrides
        self.lock, self.stopped = threading.Lock(), False
        self.running: set[subprocess.Popen[str]] = set()

    def __enter__(self) -> _Runs:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Interrupt what runs, and start nothing more."""
        with self.lock:
            self.stopped = True
            for process in self.running:
                # As Ctrl-C does: the run cleans up and keeps finished blocks. Windows knows only the hard way.
                process.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)

    def run(self, file: Path, out: Path) -> Row:
        """Run the pipeline on one file."""
        if not is_text(file):
            return Row(str(file), "failed", "the file's name, or a folder's, is not UTF-8: rename it", 0.0, _there(out))
        overrides = (*self.overrides, path_override(self.reader, file))
        sets = [word for text in overrides for word in ("--set", text)]
        run = ["run", str(self.pipeline), "-o", str(out), "--quiet", *sets]
        command = [sys.executable, "-P", "-m", "ronchi.cli.child", *run]
        start, before = time.perf_counter(), _stamp(out / FILE_NAME)
        with self.lock:
            if self.stopped:
                return Row(str(file), "stopped", "stopped before it began", 0.0, _there(out))
            process = subprocess.Popen(
                command,
                # Its other end closes when this process ends, in whatever way: the run then ends too.
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                # A session of its own, so that Ctrl-C reaches it once, from `stop`.
                start_new_session=True,
            )
            self.running.add(process)
        assert process.stdin is not None
        assert process.stderr is not None
        # `communicate` would close the pipe that keeps it running.
        errors = process.stderr.read()
        process.wait()
        for pipe in (process.stdin, process.stderr):
            pipe.close()
        with self.lock:
            self.running.discard(process)
        record, seconds = _record(out, before), time.perf_counter() - start
        peak, warnings = float(record.get("peak_rss_mb", 0.0)), len(record.get("warnings", ()))
        # A library that ends the process says that all went well, and has written nothing.
        if process.returncode == 0 and record:
            return Row(str(file), "done", "", seconds, _there(out), peak, warnings, _scores(record))
        status = "stopped" if self.stopped else "failed"
        return Row(str(file), status, _reason(record, errors, process.returncode), seconds, _there(out), peak, warnings)


def _reader(config: PipelineConfig) -> str:
    readers = [name for name, step in config.steps.items() if step.kind == "reader"]
    if len(readers) != 1:
        what = f"a batch needs a pipeline with one reader, this has {len(readers)}"
        raise ConfigError(what, where=config.source.name, fix="run the pipeline by itself")
    return readers[0]


def _check(pipeline: str | Path, reader: str, overrides: Sequence[str], files: Sequence[Path]) -> None:
    """Check the pipeline once, before a process starts for every file; a file that is broken costs only itself."""
    first = None
    for file in filter(is_text, files):
        try:
            check_pipeline(pipeline, overrides=[*overrides, path_override(reader, file)])
        except ConfigError as error:
            first = first or error
        else:
            return
    if first is not None:
        raise first


def _there(folder: Path) -> str:
    return str(folder) if folder.is_dir() else ""


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _record(out: Path, before: int) -> dict[str, Any]:
    """Provenance of the run that has just ended; empty if it did not get so far."""
    path = out / FILE_NAME
    if _stamp(path) == before:
        return {}
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _scores(record: Mapping[str, Any]) -> dict[str, float]:
    scores: Mapping[str, Mapping[str, float | None]] = record.get("scores", {})
    return {
        f"{step}.{name}": math.nan if value is None else value
        for step, figures in scores.items()
        for name, value in figures.items()
    }


def _reason(record: Mapping[str, Any], errors: str, code: int) -> str:
    failed = [
        f"{name}: {step['error']}" for name, step in record.get("steps", {}).items() if step["status"] == "failed"
    ]
    # What the command line says at its end, after what a library or a wait may have said before.
    _, said, error = f"\n{errors.strip()}".rpartition("\nronchi: ")
    lines = (failed[0] if failed else error.strip()).splitlines()
    return lines[0 if failed or said else -1] if lines else f"the process ended with exit code {code}"


def _write_summary(path: Path, rows: Sequence[Row]) -> OSError | None:
    """Write the rows so far; a disk that is full now may not be so after the next file."""
    ordered = sorted(rows, key=lambda row: row.input)
    figures = sorted({name for row in ordered for name in row.scores})
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, *figures])
    for row in ordered:
        fixed = [
            row.input,
            row.status,
            row.reason,
            f"{row.seconds:.2f}",
            f"{row.peak_rss_mb:.0f}",
            row.out,
            row.warnings,
        ]
        writer.writerow([*fixed, *(repr(row.scores[name]) if name in row.scores else "" for name in figures)])
    try:
        write_atomically(path, text.getvalue().encode(errors="backslashreplace"))
    except OSError as error:
        return error
    return None


def _tell(row: Row, done: int, total: int, stream: TextIO) -> None:
    warned = f", {row.warnings} warning{'s' * (row.warnings > 1)}" if row.warnings else ""
    ended = f"{row.status} in {row.seconds:.1f} s{warned}" if row.status == "done" else f"{row.status}: {row.reason}"
    text = f"[{done} of {total}] {Path(row.input).name}: {ended}\n"
    stream.write(text.encode(errors="backslashreplace").decode())
    stream.flush()

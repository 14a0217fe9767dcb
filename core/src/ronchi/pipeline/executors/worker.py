"""The worker's side: one prepared detector a process (or thread), one thread of arithmetic, no orphans.

Imports nothing heavy at the top: the number of threads must be set before numpy is imported.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import signal
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ronchi.api import PeakBatch
    from ronchi.pipeline.detect_job import Detection, DetectJob
    from ronchi.pipeline.logs import Record
    from ronchi.pipeline.tiles import Tile

__all__ = [
    "SAFE_PATH_VARIABLE",
    "THREAD_VARIABLES",
    "BlockDone",
    "PackedJob",
    "call",
    "compilation_note",
    "ignore_ctrl_c",
    "pack",
    "run_block",
    "start_worker",
]

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
SAFE_PATH_VARIABLE = "PYTHONSAFEPATH"
"""Of Python: the current folder holds no modules."""

_local = threading.local()


def start_worker() -> None:
    """Set up a worker process: single threads, deaf to Ctrl-C, gone when the main process is gone."""
    for name in THREAD_VARIABLES:
        os.environ[name] = "1"
    # What this process starts is not of its making.
    os.environ.pop(SAFE_PATH_VARIABLE, None)
    ignore_ctrl_c()
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def ignore_ctrl_c() -> None:
    """Leave Ctrl-C to the main process, which hears it too and stops its workers itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@dataclass(frozen=True)
class PackedJob:
    """A job on its way to a worker.

    Parameters
    ----------
    digest : str
        Sha256 of the bytes, in hex.
    content : bytes or pathlib.Path
        The bytes, or the file that holds them.
    """

    digest: str
    content: bytes | Path


@dataclass(frozen=True)
class BlockDone:
    """What a worker gives back.

    Parameters
    ----------
    batch : PeakBatch
    pid : int
    peak_rss_mb : float
        Of the worker's process, ever.
    log : list of Record
        What the detector logged.
    """

    batch: PeakBatch
    pid: int
    peak_rss_mb: float
    log: list[Record]


def pack(job: DetectJob, file: Path | None = None) -> PackedJob:
    """Pack a job for `run_block`, into a file if one is given; dask graphs hold closures, so cloudpickle."""
    import cloudpickle

    content: bytes = cloudpickle.dumps(job)
    digest = hashlib.sha256(content).hexdigest()
    if file is None:
        return PackedJob(digest, content)
    file.write_bytes(content)
    return PackedJob(digest, file)


def run_block(packed: PackedJob, tile: Tile) -> BlockDone:
    """Detect one block; the job is loaded and the detector prepared at the first one, and kept."""
    import dask

    from ronchi.pipeline.logs import collect
    from ronchi.pipeline.resources import peak_rss_mb

    log: list[Record] = []
    with dask.config.set(scheduler="synchronous"), collect(log), _compilation_noted(packed):
        batch = _detection(packed).run(tile)
    return BlockDone(batch, os.getpid(), peak_rss_mb(), log)


def call(function: Callable[[Any], Any], item: Any) -> Any:
    """The function's value; an exception that cannot be made again where it is received would end all workers."""
    import pickle

    try:
        return function(item)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # noqa: BLE001 - whatever its class raises
            raise RuntimeError(f"{type(error).__name__}: {error}") from error
        raise


def compilation_note(job: Path) -> Path:
    """File beside that of a job in which workers say that they compile, before their first block is done."""
    return job.with_name("compiling")


class _Note(logging.Handler):
    def __init__(self, packed: PackedJob) -> None:
        super().__init__()
        self.job = packed.content

    def emit(self, record: logging.LogRecord) -> None:
        if not isinstance(self.job, bytes):
            with contextlib.suppress(OSError):
                compilation_note(self.job).write_text(record.getMessage(), encoding="utf-8")


@contextlib.contextmanager
def _compilation_noted(packed: PackedJob) -> Iterator[None]:
    log, note = logging.getLogger("ronchi.compiled"), _Note(packed)
    log.addHandler(note)
    try:
        yield
    finally:
        log.removeHandler(note)


def _detection(packed: PackedJob) -> Detection:
    # Detectors have buffers of their own, so each thread of a dask worker has its own detector.
    import pickle

    kept: tuple[str, Any] | None = getattr(_local, "kept", None)
    if kept is None or kept[0] != packed.digest:
        content = packed.content if isinstance(packed.content, bytes) else packed.content.read_bytes()
        _local.kept = kept = (packed.digest, pickle.loads(content).start())
    detection: Detection = kept[1]
    return detection


def _leave_with_parent() -> None:
    # After kill -9 of the main process nobody would stop a worker that waits for the next block.
    import multiprocessing
    from multiprocessing.connection import wait

    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)

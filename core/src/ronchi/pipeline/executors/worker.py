"""The worker's side: one prepared detector a process (or thread), one thread of arithmetic, no orphans.

Imports nothing heavy at the top: the number of threads must be set before numpy is imported.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ronchi.api import PeakBatch
    from ronchi.pipeline.detect import Detection, DetectJob
    from ronchi.pipeline.tiles import Tile

__all__ = ["THREAD_VARIABLES", "pack", "run_block", "start_worker"]

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

_local = threading.local()


def start_worker() -> None:
    """Set up a worker process: single threads, deaf to Ctrl-C, gone when the main process is gone."""
    for name in THREAD_VARIABLES:
        os.environ[name] = "1"
    # The main process hears Ctrl-C too, and stops its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def pack(job: DetectJob) -> bytes:
    """Bytes of a job for `run_block`; dask graphs hold closures, so cloudpickle."""
    import cloudpickle  # type: ignore[import-untyped]

    packed: bytes = cloudpickle.dumps(job)
    return packed


def run_block(packed: bytes, tile: Tile) -> tuple[PeakBatch, int, float]:
    """Detect one block; the detector is prepared at the first one and kept.

    Returns
    -------
    batch : PeakBatch
    pid : int
    peak_rss_mb : float
        Of this process, ever.
    """
    import dask

    from ronchi.pipeline.resources import peak_rss_mb

    with dask.config.set(scheduler="synchronous"):
        batch = _detection(packed).run(tile)
    return batch, os.getpid(), peak_rss_mb()


def _detection(packed: bytes) -> Detection:
    # Detectors have buffers of their own, so each thread of a dask worker has its own detector.
    import pickle

    digest = hashlib.sha256(packed).digest()
    kept: tuple[bytes, Any] | None = getattr(_local, "kept", None)
    if kept is None or kept[0] != digest:
        _local.kept = kept = (digest, pickle.loads(packed).start())
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

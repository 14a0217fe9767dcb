"""Blocks in worker processes of this machine."""

from __future__ import annotations

import contextlib
import functools
import logging
import multiprocessing
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ronchi.errors import RunError
from ronchi.pipeline.executors.worker import SAFE_PATH_VARIABLE, call, compilation_note, pack, run_block, start_worker
from ronchi.pipeline.logs import replay_records

if TYPE_CHECKING:
    from ronchi.api import PeakBatch
    from ronchi.pipeline.detect_job import DetectJob
    from ronchi.pipeline.tiles import Tile

__all__ = ["ProcessExecutor"]

_LOOK_S = 0.5
"""How often workers are asked whether they compile."""


class ProcessExecutor:
    """Spawned processes, each with a detector and a file handle of its own.

    Parameters
    ----------
    workers : int
    scratch : pathlib.Path, optional
        Folder for the file that hands a job to the workers; the system's by default.
    """

    def __init__(self, workers: int, scratch: Path | None = None) -> None:
        self.workers, self.scratch = workers, scratch
        self._pool: ProcessPoolExecutor | None = None
        self._under_way = False
        self._before: set[int | None] = set()
        self._peaks: dict[int, float] = {}

    def map_blocks(self, job: DetectJob, tiles: Sequence[Tile]) -> Iterator[tuple[Tile, PeakBatch]]:
        """Yield every tile with its peaks as it gets ready; two blocks a worker are under way.

        Raises
        ------
        RunError
            A worker died.
        """
        if not tiles:
            return
        # A file, because what is submitted is sent to a worker with every single block.
        with tempfile.TemporaryDirectory(prefix="job-", dir=self.scratch, ignore_cleanup_errors=True) as folder:
            detect = functools.partial(run_block, pack(job, Path(folder) / "job"))
            look = _Look(compilation_note(Path(folder) / "job"))
            for tile, done in self._map(detect, tiles, "a smaller block, or set run.memory_mb; finished blocks", look):
                self._peaks[done.pid] = done.peak_rss_mb
                replay_records(done.log)
                yield tile, done.batch

    def map_tasks(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Yield the function's value of every item as it gets ready; two items a worker are under way.

        Raises
        ------
        RunError
            A worker died.
        """
        return (value for _, value in self._map(function, items, "or smaller pieces; those that are finished"))

    def _map(
        self, function: Callable[[Any], Any], items: Iterable[Any], fix: str, look: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[Any, Any]]:
        pool, waiting, self._under_way = self._start(), iter(items), True
        running: dict[Future[Any], Any] = {}
        try:
            while True:
                for item in waiting:
                    with _safe_path():  # a worker starts when there is something for it to do
                        running[pool.submit(call, function, item)] = item
                    if len(running) >= 2 * self.workers:
                        break
                if not running:
                    self._under_way = False
                    return
                done = wait(running, _LOOK_S, return_when=FIRST_COMPLETED).done
                look()
                for future in done:
                    yield running.pop(future), future.result()
        except BrokenProcessPool as error:
            self.close()  # the next step starts workers of its own
            raise RunError(
                "a worker process died, perhaps killed because memory ran out",
                fix=f"use fewer workers, {fix} are kept. A script of "
                "your own must start the run under `if __name__ == '__main__':`",
            ) from error

    def peak_rss_mb(self) -> float:
        """Highest resident memory of the workers together, in MB."""
        return sum(self._peaks.values())

    def close(self) -> None:
        """Stop the workers: those with nothing to do end by themselves, others at once."""
        if self._pool is None:
            return
        # A worker that is stopped leaves the locks of its libraries behind, and Python warns of them at the end.
        self._pool.shutdown(wait=not self._under_way, cancel_futures=True)
        ours = [child for child in multiprocessing.active_children() if child.pid not in self._before]
        for child in ours:
            child.terminate()
        for child in ours:
            child.join(timeout=2)
            if child.is_alive():
                child.kill()
        self._pool = None

    def _start(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._before = {child.pid for child in multiprocessing.active_children()}
            context = multiprocessing.get_context("spawn")
            with _safe_path():  # its locks start the process that watches over them
                self._pool = ProcessPoolExecutor(self.workers, mp_context=context, initializer=start_worker)
        return self._pool


class _Look:
    """Tells once, as `ronchi.compiled` does in this process, that workers compile; this one need not have it."""

    def __init__(self, note: Path) -> None:
        self.note, self.told = note, False
        self.log = logging.getLogger("ronchi.compiled")
        self.log.setLevel(logging.INFO)
        self.log.propagate = False

    def __call__(self) -> None:
        if not self.told and self.note.exists() and (text := self.note.read_text(encoding="utf-8")):
            self.told = True
            self.log.info("%s", text)


_environment = threading.Lock()


@contextlib.contextmanager
def _safe_path() -> Iterator[None]:
    """What starts meanwhile does not look for its modules in the current folder, where somebody's data may lie."""
    with _environment:
        before = os.environ.get(SAFE_PATH_VARIABLE)
        os.environ[SAFE_PATH_VARIABLE] = "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ[SAFE_PATH_VARIABLE]
            else:
                os.environ[SAFE_PATH_VARIABLE] = before

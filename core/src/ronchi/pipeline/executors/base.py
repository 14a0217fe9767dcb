"""What all executors share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from ronchi.api import PeakBatch
    from ronchi.pipeline.config import RunOptions
    from ronchi.pipeline.detect_job import DetectJob
    from ronchi.pipeline.tiles import Tile

__all__ = ["Executor", "make_executor"]


class Executor(Protocol):
    """Works on the blocks of a job; results are the same whoever does."""

    def map_blocks(self, job: DetectJob, tiles: Sequence[Tile]) -> Iterator[tuple[Tile, PeakBatch]]:
        """Yield every tile with its peaks as it gets ready, in any order; few are under way at a time."""

    def map_tasks(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Yield the function's value of every item as it gets ready, in any order; what `Context.map` lends."""

    def peak_rss_mb(self) -> float:
        """Highest resident memory of the workers together so far, in MB; 0 without workers."""

    def close(self) -> None:
        """Stop the workers at once, whatever they are doing."""


def make_executor(options: RunOptions, scratch: Path | None = None) -> Executor:
    """Make the executor that ``run`` asks for.

    Parameters
    ----------
    options : RunOptions
    scratch : pathlib.Path, optional
        Folder for temporary files; the system's by default.

    Raises
    ------
    ConfigError
        ``dask`` without the package distributed, or an address that does not answer.
    """
    if options.executor == "process":
        from ronchi.pipeline.executors.process import ProcessExecutor

        return ProcessExecutor(options.n_workers(), scratch)
    if options.executor == "dask":
        from ronchi.pipeline.executors.dask import DaskExecutor

        return DaskExecutor(options.n_workers(), options.address)
    from ronchi.pipeline.executors.serial import SerialExecutor

    return SerialExecutor()

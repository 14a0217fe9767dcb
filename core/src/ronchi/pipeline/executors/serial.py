"""Blocks one after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ronchi.api import PeakBatch
    from ronchi.pipeline.detect_job import DetectJob
    from ronchi.pipeline.tiles import Tile

__all__ = ["SerialExecutor"]


class SerialExecutor:
    """No workers; the reference that the other executors must equal."""

    def map_blocks(self, job: DetectJob, tiles: Sequence[Tile]) -> Iterator[tuple[Tile, PeakBatch]]:
        """Yield every tile with its peaks, in order."""
        if tiles:
            detection = job.start()
            for tile in tiles:
                yield tile, detection.run(tile)

    def map_tasks(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Yield the function's value of every item, in order."""
        return map(function, items)

    def peak_rss_mb(self) -> float:
        """0: there are no workers."""
        return 0.0

    def close(self) -> None:
        """Do nothing."""

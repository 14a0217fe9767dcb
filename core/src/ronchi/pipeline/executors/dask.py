"""Blocks on a dask cluster: a local one, or one that is already running."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ronchi.errors import ConfigError, RunError
from ronchi.pipeline.executors.worker import ignore_ctrl_c, pack, run_block
from ronchi.pipeline.logs import replay_records

if TYPE_CHECKING:
    from ronchi.api import PeakBatch
    from ronchi.pipeline.detect_job import DetectJob
    from ronchi.pipeline.tiles import Tile

__all__ = ["DaskExecutor"]


class DaskExecutor:
    """Tasks on a `distributed` scheduler, two blocks a worker thread at a time.

    Parameters
    ----------
    workers : int
        Processes of the local cluster.
    address : str, optional
        Scheduler to use instead; its workers must see the input files under the same path.

    Raises
    ------
    ConfigError
        The package distributed is not installed, or nobody answers at the address.
    """

    def __init__(self, workers: int, address: str | None = None) -> None:
        try:
            import distributed
        except ImportError as error:
            what = "the executor 'dask' needs the package distributed"
            fix = 'pip install "ronchi[distributed]", or use `executor: process`'
            raise ConfigError(what, where="run.executor", fix=fix) from error
        self._cluster: Any = None
        self._peaks: dict[int, float] = {}
        if address is None:
            self._cluster = distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address="127.0.0.1:0",
                silence_logs=50,
            )
        try:
            self._client = distributed.Client(self._cluster or address, timeout=10, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            fix = "start it with `dask scheduler`, or leave the address out for a local cluster"
            raise ConfigError(f"no dask scheduler answers at {address!r}", where="run.address", fix=fix) from error
        if self._cluster is not None:
            # Dask would start those that Ctrl-C ended anew, and take ten seconds more to close.
            self._client.run(ignore_ctrl_c)

    def map_blocks(self, job: DetectJob, tiles: Sequence[Tile]) -> Iterator[tuple[Tile, PeakBatch]]:
        """Yield every tile with its peaks as it gets ready.

        Raises
        ------
        RunError
            A worker died, or the scheduler has none.
        """
        if not tiles:
            return
        [packed] = self._client.scatter([pack(job)], broadcast=True)
        for tile, done in self._map(run_block, (packed,), tiles, "use a smaller block; finished blocks"):
            self._peaks[done.pid] = done.peak_rss_mb
            if done.pid != os.getpid():  # a cluster may have its workers in this process
                replay_records(done.log)
            yield tile, done.batch

    def map_tasks(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Yield the function's value of every item as it gets ready; its workers must see the same files.

        Raises
        ------
        RunError
            A worker died, or the scheduler has none.
        """
        return (value for _, value in self._map(function, (), items, "make smaller pieces; those that are finished"))

    def _map(
        self, function: Callable[..., Any], common: tuple[Any, ...], items: Iterable[Any], fix: str
    ) -> Iterator[tuple[Any, Any]]:
        import distributed

        threads = sum(self._client.nthreads().values())
        if not threads:
            raise RunError("the dask scheduler has no workers", fix="start some with `dask worker ADDRESS`")
        waiting = iter(items)

        def submit(item: Any) -> Any:
            future = self._client.submit(function, *common, item, pure=False)
            names[future.key] = item
            return future

        names: dict[str, Any] = {}
        first = [submit(item) for _, item in zip(range(2 * threads), waiting, strict=False)]
        running = distributed.as_completed(first, loop=self._client.loop)
        try:
            for future in running:
                yield names.pop(future.key), future.result()
                for item in waiting:
                    running.add(submit(item))
                    break
        except distributed.KilledWorker as error:
            fix = f"give the workers more memory, or {fix} are kept"
            raise RunError("a dask worker died repeatedly, perhaps because memory ran out", fix=fix) from error

    def peak_rss_mb(self) -> float:
        """Highest resident memory of the workers together, in MB."""
        return sum(self._peaks.values())

    def close(self) -> None:
        """Cancel what is under way and stop the local cluster; a foreign one goes on."""
        # What is late is stopped by its nanny; a run that has its results must not fail for it.
        with contextlib.suppress(TimeoutError):
            self._client.close(timeout=2)
        if self._cluster is not None:
            try:
                self._cluster.close(timeout=2)
            except TimeoutError:
                # Else Dask would try again when Python ends, and wait for ten seconds more.
                self._cluster.shutdown_on_close = False

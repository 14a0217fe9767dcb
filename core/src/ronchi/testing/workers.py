"""Two worker processes that all contracts of a session share: starting them takes longer than most checks."""

from __future__ import annotations

import atexit
import contextlib
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ronchi.pipeline.executors import Executor

__all__ = ["two_processes"]


@contextlib.contextmanager
def two_processes() -> Iterator[Executor]:
    """Lend the workers; they are stopped after a failure, and when the process ends."""
    try:
        yield _started()
    except BaseException:
        _started().close()
        _started.cache_clear()
        raise


@functools.cache
def _started() -> Executor:
    from ronchi.pipeline.executors.process import ProcessExecutor

    executor = ProcessExecutor(2)
    atexit.register(executor.close)
    return executor

"""Who works on the blocks: this process, processes of its own, or a dask cluster."""

from __future__ import annotations

from ronchi.pipeline.executors.base import Executor, make_executor

__all__ = ["Executor", "make_executor"]

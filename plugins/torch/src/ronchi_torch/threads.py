"""How many threads torch may use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["thread_limit"]


@contextmanager
def thread_limit(n: int) -> Iterator[None]:
    """So many threads for torch: with one, sums are in one order, and results the same every time."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""Processes that end with the one that started them, in whatever way that ended, be it killed.

The starter gives a pipe as standard input and never writes to it: the pipe closes when the starter ends.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

__all__ = ["end_with_parent", "kill"]


def end_with_parent(end: Callable[[], None]) -> None:
    """Call ``end`` in a thread of its own once standard input closes; reads of it find nothing from now on."""
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def wait() -> None:
        os.read(lifeline, 1)
        end()

    threading.Thread(target=wait, daemon=True).start()


def kill() -> None:
    """End this process and those that it has started, if it leads a session."""
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)

"""Processes that end with the one that started them, in whatever way that ended, be it killed.

The starter gives a pipe as standard input and never writes to it: the pipe closes when the starter ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

__all__ = ["end_with_parent", "kill"]

_PATIENCE_S = 30.0


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


def _stop() -> None:
    """As Ctrl-C does, so that the run cleans up; without mercy if that takes long."""
    if hasattr(signal, "pthread_kill"):
        with contextlib.suppress(ProcessLookupError):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(_PATIENCE_S)
    kill()


if __name__ == "__main__":
    from ronchi.cli.main import main

    # Shells let what they start in the background ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    end_with_parent(_stop)
    sys.exit(main())

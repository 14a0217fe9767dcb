"""``python -m ronchi.cli.child``: the command line in a process that ends with the batch that started it."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time

from ronchi.cli.main import main
from ronchi.pipeline.lifeline import end_with_parent, kill

_PATIENCE_S = 30.0


def _stop() -> None:
    """As Ctrl-C does, so that the run cleans up; without mercy if that takes long."""
    if hasattr(signal, "pthread_kill"):
        with contextlib.suppress(ProcessLookupError):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(_PATIENCE_S)
    kill()


if __name__ == "__main__":
    # Shells let what they start in the background ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    end_with_parent(_stop)
    sys.exit(main())

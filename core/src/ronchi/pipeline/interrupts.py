"""Ctrl-C that cannot be lost: it is heard again at the next step of the work.

Python turns Ctrl-C into an exception wherever its code happens to be.  In a callback of a compiled library, such as
netCDF4's while it reads, that exception is printed and forgotten, and the work would go on.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["check", "remembered"]

_asked = threading.Event()


@contextlib.contextmanager
def remembered() -> Iterator[None]:
    """Remember a Ctrl-C until the end of the block; the handler of an application that has its own is left alone."""
    own = threading.current_thread() is threading.main_thread()
    if not own or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _remember)
    try:
        yield
    finally:
        _asked.clear()
        signal.signal(signal.SIGINT, signal.default_int_handler)


def check() -> None:
    """Stop, in the main thread, if Ctrl-C was pressed and came to nothing.

    Raises
    ------
    KeyboardInterrupt
        Once for each time that it was pressed.
    """
    if _asked.is_set() and threading.current_thread() is threading.main_thread():
        _asked.clear()
        raise KeyboardInterrupt


def _remember(number: int, frame: FrameType | None) -> None:
    _asked.set()
    raise KeyboardInterrupt

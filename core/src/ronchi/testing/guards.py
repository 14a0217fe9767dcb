"""Guards around a piece of work: that it ends, draws no global random numbers, prints nothing and leaves no files."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from ronchi.testing.failure import ContractError, of_an_author

__all__ = ["Heard", "global_random_state", "in_empty_folder", "listening", "overdue", "time_limit"]


class _TooLong(BaseException):
    """Out of reach of a plugin's ``except Exception``."""


@contextlib.contextmanager
def time_limit(seconds: float, where: str) -> Iterator[None]:
    """Stop work that hangs, and say at which line.

    Works in the main thread of systems with alarms; elsewhere there is no limit. Compiled code that does not return
    to Python is not stopped.

    Raises
    ------
    ContractError
        The work took longer.
    """
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return
    places: list[str] = []

    def ring(number: int, frame: FrameType | None) -> None:
        places.append(_place(frame) or where)
        raise _TooLong

    before = signal.signal(signal.SIGALRM, ring)
    # Again and again, for code that swallows whatever is raised.
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        with contextlib.suppress(_TooLong):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if places:
        raise ContractError(
            f"it hangs: not done after {seconds:g} s",
            where=places[0],
            fix="make sure that its loops end; raise `time_limit_s` of the contract if it is only slow",
        )


def _place(frame: FrameType | None) -> str:
    """``file:line in function`` of the author's innermost frame, or of the innermost where none is the author's."""
    found = frame
    while found is not None and not of_an_author(found.f_code.co_filename):
        found = found.f_back
    found = found or frame
    return f"{found.f_code.co_filename}:{found.f_lineno} in {found.f_code.co_name}" if found is not None else ""


@contextlib.contextmanager
def overdue(seconds: float, tell: Callable[[], None] | None) -> Iterator[None]:
    """Call ``tell``, in a thread of its own, once work takes longer; nothing is stopped."""
    timer = threading.Timer(seconds, tell or (lambda: None))
    timer.daemon = True
    if tell is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Heard:
    """A stream that passes on what is written to it, so that a debugger works, and keeps it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._parts: list[str] = []

    def write(self, text: str) -> int:
        """Keep the text, and pass it on."""
        self._parts.append(text)
        return int(self._stream.write(text) or 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def text(self) -> str:
        """All that was written."""
        return "".join(self._parts)


@contextlib.contextmanager
def listening() -> Iterator[tuple[Heard, Heard]]:
    """Hear what Python code prints to stdout, and to stderr."""
    out, err = Heard(sys.stdout), Heard(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield out, err


def global_random_state() -> dict[str, bytes]:
    """State of the random numbers that a process shares, by the name of who draws them."""
    states = {"numpy.random": pickle.dumps(np.random.get_state()), "random": pickle.dumps(random.getstate())}  # noqa: NPY002
    if "torch" in sys.modules:
        states["torch"] = sys.modules["torch"].get_rng_state().numpy().tobytes()
    return states


@contextlib.contextmanager
def in_empty_folder() -> Iterator[Path]:
    """Work in a new, empty current folder."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="ronchi-testing-") as name:
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(before)

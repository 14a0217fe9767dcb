"""What algorithms say while they run: to the log file, and warnings to the user."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

__all__ = ["LOG_NAME", "Record", "collect", "in_step", "logged", "logger_name", "replay_records"]

LOG_NAME = "log.txt"
"""The log file of a run, in the folder of its outputs."""

Record = tuple[str, int, str]
"""Logger, level and message: a log record that can travel between processes."""

_PREFIX = "ronchi.step."
_TOLD_OTHERWISE = ("ronchi.run", "ronchi.manager", "ronchi.report")
"""Loggers of what the result of a run tells itself, as a failed step, and of tracebacks."""


_running: ContextVar[str] = ContextVar("_running", default="")


def logger_name(step: str) -> str:
    """Name of a step's logger."""
    return _PREFIX + step


@contextlib.contextmanager
def in_step(step: str) -> Iterator[None]:
    """What readers and libraries, which have loggers of their own, warn of meanwhile is told as of this step."""
    token = _running.set(step)
    try:
        yield
    finally:
        _running.reset(token)


@contextlib.contextmanager
def logged(path: Path, warnings: list[str]) -> Iterator[None]:
    """Write what is logged to a file, and append the warnings of steps, readers and writers to a list, each once.

    Parameters
    ----------
    path : pathlib.Path
        Made with the first record.
    warnings : list of str
        Gets ``"step: message"``; of a writer, which belongs to no step, ``"name: message"``.
    """
    path.unlink(missing_ok=True)
    file = _LogFile(path, encoding="utf-8", delay=True)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    with _listening(file), _listening(_Warnings(warnings)):
        yield


@contextlib.contextmanager
def collect(records: list[Record]) -> Iterator[None]:
    """Append what this thread logs to a list, in a worker that has no log file."""
    with _listening(_Records(records)):
        yield


def replay_records(records: list[Record]) -> None:
    """Log in this process what a worker has collected."""
    for name, level, message in records:
        logging.getLogger(name).log(level, "%s", message)


class _Level:
    """The level at which ronchi logs, lowered while anybody listens; several threads may."""

    def __init__(self) -> None:
        self.lock, self.listeners, self.before = threading.Lock(), 0, logging.NOTSET

    def change(self, listeners: int) -> None:
        """Note that there are so many listeners more."""
        logger = logging.getLogger("ronchi")
        with self.lock:
            if not self.listeners:
                self.before = logger.level
            self.listeners += listeners
            logger.setLevel(logging.INFO if self.listeners else self.before)


_level = _Level()


@contextlib.contextmanager
def _listening(handler: logging.Handler) -> Iterator[None]:
    logger = logging.getLogger("ronchi")
    _level.change(1)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        _level.change(-1)
        handler.close()


class _LogFile(logging.FileHandler):
    """A log that cannot be written costs no step: its folder was removed, or the disk is full."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is Python's
        pass


class _Warnings(logging.Handler):
    def __init__(self, warnings: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.warnings = warnings

    def emit(self, record: logging.LogRecord) -> None:
        own = record.name.startswith(_PREFIX)
        name = record.name.removeprefix(_PREFIX) if own else _running.get() or record.name.removeprefix("ronchi.")
        text = f"{name}: {record.getMessage()}"
        # A detector may say the same of every block.
        if record.name not in _TOLD_OTHERWISE and text not in self.warnings:
            self.warnings.append(text)


class _Records(logging.Handler):
    def __init__(self, records: list[Record]) -> None:
        super().__init__()
        self.records, self.thread = records, threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self.thread:
            self.records.append((record.name, record.levelno, record.getMessage()))

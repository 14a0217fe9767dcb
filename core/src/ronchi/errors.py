"""The one error tree: every message says what was wrong, where, and what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

__all__ = [
    "CalibrationError",
    "ConfigError",
    "DataError",
    "OutputError",
    "PluginError",
    "ReadError",
    "RonchiError",
    "RunError",
    "SchemaError",
]


class RonchiError(Exception):
    """Base of all errors that ronchi raises on purpose.

    Parameters
    ----------
    what : str
        What was wrong, with the field and the offending value.
    where : str, optional
        ``file:line:column``, a path, a step or a variable name.
    fix : str, optional
        What the user can do about it.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what = what
        self.where = where
        self.fix = fix
        super().__init__(what, where, fix)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  -> {self.fix}" if self.fix else text

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.where, self.fix))


def _rebuild(cls: type[RonchiError], what: str, where: str, fix: str) -> RonchiError:
    return cls(what, where=where, fix=fix)


class ConfigError(RonchiError):
    """A pipeline file, a parameter or a command line is not valid."""


class PluginError(RonchiError):
    """A plugin is missing, broken, clashing or of another API version."""


class SchemaError(RonchiError):
    """A data set does not follow its schema."""


class ReadError(RonchiError):
    """A file cannot be read: absent, truncated, or not what it claims to be."""


class DataError(RonchiError):
    """The data are readable, but cannot be used for what was asked."""


class CalibrationError(DataError):
    """A calibration is missing or implausible."""


class OutputError(RonchiError):
    """A result cannot be written: read-only folder, full disk, or a path in use."""


class RunError(RonchiError):
    """A step of a pipeline failed."""


@contextlib.contextmanager
def noting(where: str) -> Iterator[None]:
    """Add to an unforeseen exception in whose code it was; one of ours says so itself."""
    try:
        yield
    except RonchiError:
        raise
    except Exception as error:
        error.add_note(where)
        raise

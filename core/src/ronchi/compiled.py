"""Compiled functions that are kept on disk where that is possible, and are compiled anew where it is not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numba
from numba.core import event

__all__ = ["njit"]

P = ParamSpec("P")
R = TypeVar("R")

_log = logging.getLogger("ronchi.compiled")
# Its messages are for the progress shown, not for the log of a run.
_log.setLevel(logging.INFO)
_log.propagate = False
_log.addHandler(logging.NullHandler())


class _Compilations(event.Listener):  # type: ignore[misc]  # numba has no types
    """Tells that numba compiles; code that is read from disk causes no such event."""

    kept = True

    def on_start(self, event: Any) -> None:
        _log.info("compiling for this machine%s", " (once)" if self.kept else ": there is no folder to keep the result")

    def on_end(self, event: Any) -> None:
        """Nothing is told."""


_compilations = _Compilations()
event.register("numba:compile", _compilations)


def njit(*, allocates: bool = True, **options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile a function with ``numba.njit``, and keep the machine code on disk if there is a place for it.

    With ``cache=True`` numba refuses to import a module when neither the module's folder nor
    the user's own cache can be written to, as in a read-only container without a home.

    A division by zero gives infinity or NaN, as in NumPy: the test for it would keep loops from being vectorised.

    Parameters
    ----------
    allocates : bool
        False for a function that makes no arrays and is called for each of many small things: numba then counts no
        references.  Else each call counts those of every array in its arguments, named tuples of them included, up and
        down again, which can take longer than the work itself.
    **options
        Of ``numba.njit``, without ``cache``.
    """
    options = {"error_model": "numpy", **({} if allocates else {"_nrt": False}), **options}

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        try:
            compiled = numba.njit(cache=True, **options)(function)
            _stamp_with_imports(compiled, function)
            return compiled
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
            _compilations.kept = False
            return numba.njit(**options)(function)

    return decorate


def _stamp_with_imports(compiled: Any, function: Callable[..., Any]) -> None:
    """Make what is kept of a function stale when something changes that its file imports: functions and constants.

    numba looks at that file only: after an upgrade of another package, it would go on with that one's old code.
    """
    if not hasattr(compiled._cache, "_cache_file"):
        return
    file, module = compiled._cache._cache_file, function.__module__
    stamps = {(module, repr(file._source_stamp))}
    for name, value in function.__globals__.items():
        if isinstance(value, type(compiled)):
            stamps.update(getattr(getattr(value._cache, "_cache_file", None), "_source_stamp", ()))
        elif isinstance(value, (int, float, str, tuple)) and not name.startswith("__"):
            stamps.add((f"{module}.{name}", repr(value)))
    file._source_stamp = tuple(sorted(stamps))

"""Compiled functions that are kept on disk where that is possible, and are compiled anew where it is not."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numba
from numba.core import event
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.extending import register_jitable

__all__ = ["njit", "part"]

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
        False for a function that neither makes nor returns arrays and is called for each of many small things: numba
        then counts no references.  Else each call counts those of every array in its arguments, named tuples of them
        included, up and down again, which can take longer than the work itself.
    **options
        Of ``numba.njit``, without ``cache``.
    """
    options = _with_defaults(allocates, options)

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


def part(*, allocates: bool = True, **options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function a part of the compiled ones that call it; what calls it from Python runs it uncompiled.

    It has no entry for Python and no file of its own, and constants as arguments compile no function for each: of a
    tree of functions that pass named tuples of arrays to each other, the entries take longer to compile than the rest.

    Parameters
    ----------
    allocates, **options
        As for `njit`; ``nogil`` is that of the function which Python calls.
    """
    options = _with_defaults(allocates, options)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        jitable: Callable[P, R] = register_jitable(**options)(function)
        # What is kept of its callers goes stale with it: its stamp is where `_stamp_with_imports` looks for theirs.
        with contextlib.suppress(RuntimeError):
            jitable._cache = FunctionCache(function)  # type: ignore[attr-defined]
            _stamp_with_imports(jitable, function)
        return jitable

    return decorate


def _with_defaults(allocates: bool, options: dict[str, Any]) -> dict[str, Any]:
    return {"error_model": "numpy", **({} if allocates else {"_nrt": False}), **options}


class _KeptCode(IndexDataCacheFile):  # type: ignore[misc]  # numba has no types
    """Kept code of which what cannot be read is no error but compiled anew.

    numba reads the types of what it has kept before it looks at the stamp: a named tuple that an upgrade has renamed
    would be an error for ever, and so would a damaged file.
    """

    def _load_index(self) -> dict[Any, str]:
        try:
            index: dict[Any, str] = super()._load_index()
        except Exception:  # noqa: BLE001 - whatever unpickling raises
            return {}
        return index

    def _load_data(self, name: str) -> Any:
        try:
            return super()._load_data(name)
        except Exception:  # noqa: BLE001 - as above
            return None


def _stamp_with_imports(compiled: Any, function: Callable[..., Any]) -> None:
    """Make what is kept of a function stale when something changes that its file imports.

    That is functions, constants and the fields of named tuples.  numba looks at the function's file only: after an
    upgrade of another package, it would go on with that one's old code.
    """
    # Nothing is kept where numba is disabled, or has no place for it.
    file = _kept(compiled)
    if file is None:
        return
    stamps = [file._source_stamp]
    for name, value in function.__globals__.items():
        if _kept(value) is not None:
            stamps.append((name, _kept(value)._source_stamp))
        elif isinstance(value, type) and issubclass(value, tuple):
            stamps.append((name, getattr(value, "_fields", ())))
        elif _is_plain(value) and not name.startswith("__"):
            stamps.append((name, value))
    stamp = hashlib.sha256(repr(stamps).encode()).hexdigest()
    cache = compiled._cache
    cache._cache_file = _KeptCode(cache.cache_path, cache._impl.filename_base, stamp)


def _kept(compiled: Any) -> Any:
    """File in which numba keeps the code of a compiled function; None of anything else."""
    return getattr(getattr(compiled, "_cache", None), "_cache_file", None)


def _is_plain(value: Any) -> bool:
    """Whether the text of a constant is the same in every run."""
    return isinstance(value, (int, float, str)) or (isinstance(value, tuple) and all(map(_is_plain, value)))

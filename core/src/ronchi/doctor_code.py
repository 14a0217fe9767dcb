"""What is wrong with the code that specs name: the modules behind algorithms, which are imported on use alone."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
import pkgutil
import traceback
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ronchi.catalog import PluginProblem
from ronchi.errors import PluginError

if TYPE_CHECKING:
    from ronchi.manager import Manager

__all__ = ["code_problems"]

_NAMED = ("factory", "trainer", "files")
"""Fields of a spec that are texts of the form ``module:attribute``."""

_LAST_CALLS = 5
"""Calls of a traceback that are shown."""


@dataclass(frozen=True)
class _Fault:
    """Why ``module:attribute`` cannot be had, what may have been meant, and the end of the traceback."""

    what: str
    meant: str = ""
    traceback: str = ""


def code_problems(manager: Manager, explained: Collection[str] = ()) -> Iterator[PluginProblem]:
    """Import what the specs of all advertised algorithms name, and tell what cannot be imported.

    Parameters
    ----------
    explained : collection of str
        Distributions of which it is known why they do not work, such as a package that they lack.
    """
    told: set[tuple[str, str, str]] = set()
    for entry in manager.catalog.entries:
        if entry.kind == "observer" or entry.dist in explained or manager.problem(entry) is not None:
            continue
        try:
            spec = manager.spec(entry.kind, f"{entry.dist}:{entry.name}")
        except PluginError:  # two versions of one distribution lie side by side, which is told elsewhere
            continue
        for field in _NAMED:
            place = getattr(spec, field)
            fault = _fault(place) if place else None
            if fault is None or (entry.dist, place, fault.what) in told:
                continue
            told.add((entry.dist, place, fault.what))
            what = f"the {field} {place!r} of the {entry.kind} {entry.name!r} cannot be imported: {fault.what}"
            fix = f"upgrade, re-install or uninstall {entry.dist}"
            if fault.meant:
                fix = f"its authors: did you mean {fault.meant!r}? {fix}"
            elif fault.traceback:
                fix = f"`ronchi doctor {entry.dist}` shows where; {fix}, or install what it lacks"
            yield PluginProblem(entry.dist, place.partition(":")[0], what, fix, fault.traceback)


def _fault(place: str) -> _Fault | None:
    module, _, attribute = place.partition(":")
    if not module or not attribute:
        return _Fault("it is not of the form 'module:attribute'")
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plugin does at import stays its own fault
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        absent = isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}.")
        return _Fault(text, _resembling(module, attribute)) if absent else _Fault(text, traceback=_end_of(error))
    if callable(getattr(found, attribute, None)):
        return None
    names = [name for name, value in vars(found).items() if callable(value)]
    close = difflib.get_close_matches(attribute, names, 1)
    what = f"{module} has no class or function {attribute!r}"
    return _Fault(what, f"{module}:{close[0]}" if close else "")


def _end_of(error: BaseException) -> str:
    """The last calls of a traceback without those of the import system, and the exception."""
    calls = [
        call
        for call in traceback.extract_tb(error.__traceback__)
        if not call.filename.startswith("<frozen") and call.filename not in (__file__, importlib.__file__)
    ]
    return "".join([*traceback.format_list(calls[-_LAST_CALLS:]), *traceback.format_exception_only(error)])


def _resembling(module: str, attribute: str) -> str:
    """The same attribute of a module beside the one that is not there, of nearly its name."""
    package, _, name = module.rpartition(".")
    with contextlib.suppress(ImportError):
        spec = importlib.util.find_spec(package) if package else None
        beside = pkgutil.iter_modules(spec.submodule_search_locations) if spec else ()
        close = difflib.get_close_matches(name, [each.name for each in beside], 1)
        return f"{package}.{close[0]}:{attribute}" if close else ""
    return ""

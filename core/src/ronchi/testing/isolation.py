"""A manager that knows only what it is told of: nothing that is installed gets in the way of a test."""

from __future__ import annotations

from collections.abc import Iterable

from ronchi.catalog import Catalog, Entry, scan
from ronchi.kinds import KINDS
from ronchi.manager import Manager

__all__ = ["isolated_manager"]


def isolated_manager(*modules: str, kind: str, names: Iterable[str] = (), dist: str = "trial") -> Manager:
    """Make a manager of ronchi's own algorithms and those of a few modules.

    Parameters
    ----------
    *modules : str
        Modules with hooks, as an entry point names them; they can be imported.
    kind : str
        Kind of the algorithms.
    names : iterable of str
        Name that each module brings, in the same order; by default the last part of the module's name.
    dist : str
        Distribution that is said to bring them.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}, one of: {', '.join(KINDS)}")
    given = list(names) or [module.rpartition(".")[2].replace("_", "-") for module in modules]
    own = tuple(entry for entry in scan().entries if entry.dist == "ronchi")
    added = tuple(Entry(kind, name, dist, "0", module) for name, module in zip(given, modules, strict=True))
    return Manager(Catalog(own + added))

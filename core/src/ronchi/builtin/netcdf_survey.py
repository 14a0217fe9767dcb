"""What is in a netCDF-4 file, looked through before its data are opened for use."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Survey", "survey"]


@dataclass(frozen=True)
class Survey:
    """What a file holds.

    Parameters
    ----------
    groups : tuple of str
        Names of the groups below the root that have variables.
    unfiltered : bool
        Whether the variable ``intensity`` of the root is stored as it is, neither compressed nor shuffled.
    """

    groups: tuple[str, ...]
    unfiltered: bool


def survey(path: Path) -> Survey:
    """Look through a file once, all attributes included.

    Raises
    ------
    OSError, RuntimeError
        The library cannot list what is in it. It stays open until the process ends.
    """
    import netCDF4

    file = None
    try:
        file = netCDF4.Dataset(path)
        for part in _parts(file):
            for name in part.ncattrs():
                part.getncattr(name)
        filters = file.variables["intensity"].filters() if "intensity" in file.variables else None
        groups = tuple(name for name, group in file.groups.items() if group.variables)
    except Exception:
        if file is not None:
            # To close it would free what was never allocated (seen with netCDF-C 4.10): the process would end.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(file))
        raise
    file.close()
    return Survey(groups, filters is not None and not any(filters.values()))


def _parts(group: Any) -> Iterator[Any]:
    """A group, its variables, and those of the groups below it."""
    yield group
    yield from group.variables.values()
    for child in group.groups.values():
        yield from _parts(child)
